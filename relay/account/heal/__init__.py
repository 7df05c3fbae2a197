"""Heal: make the events that no webhook brought, from the account's own history.

    webhook's event ── hooks, keys, channels ──▶ Hook        what it may report; indexed in the commit that keeps it
    account's feed ─── scanner, expected ──────▶ HealRecord  what should have been reported, one for each channel
          lanes, reader, stages
                       settle, matching          which of them go together; what stays over was lost
                       brake                     what of that is healed now, and what waits for an operator
                       entities, bodies, healed  the webhook that amoCRM would have sent, kept like any other

`healer` does all of it for one source, step by step; `wanted` says what is to be healed of a source.
"""
