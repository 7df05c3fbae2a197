"""What must not be lost: webhooks, events and the deliveries owed."""
