"""The spool before a store that relays share: webhooks are committed to it while that one is away, and forwarded."""
