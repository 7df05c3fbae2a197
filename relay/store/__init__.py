"""Store webhooks, events and deliveries so that nothing acknowledged is lost."""
