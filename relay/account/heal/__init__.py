"""Heal: make the events that no webhook brought, from the account's own history.

webhook's event ── hooks, keys, channels ──▶ Hook        what it may tell of; indexed in the commit that keeps it
account's feed ─── feed_events, tells ─────▶ HealRecord  what should have been told of, one for each channel
                   matching                 which of them go together; what stays over was lost
"""
