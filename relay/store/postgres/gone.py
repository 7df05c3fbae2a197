"""A relay that is gone for good, its spool with it -> listed no more."""

from dataclasses import replace

from relay.errors import ConflictError, NotFoundError
from relay.store.postgres import audit
from relay.store.postgres.connection import Transaction
from relay.store.postgres.text import clean
from relay.store.records import AuditEntry, ForgottenSpool

_NAMED = """
select name, host, pid, gone_at is null, spooled from relays where starts_with(name, %s) order by name limit 2
for update
"""
_FORGET = "update relays set spooled = 0, spooled_at = null where name = %s"


async def forget_spool(transaction: Transaction, start: str, act: AuditEntry) -> ForgottenSpool:
    """Take the spool of a relay for empty, with its audit entry; `start`: of its name, as long as it is unique.

    Repeated, it changes nothing. NotFoundError if there is no such relay; ConflictError if there are several, or it
    lives.
    """
    found = await transaction.rows(_NAMED, (clean(start),)) if start else []
    if not found:
        raise NotFoundError(f"no relay whose name begins with {start!r}: `relay status` lists them")
    if len(found) > 1:
        raise ConflictError(f"several relays have names that begin with {start!r}: give more of it")
    [(name, host, pid, lives, spooled)] = found
    if lives:
        raise ConflictError(f"relay {name} lives (host {host}, pid {pid}): it forwards its spool by itself")
    if spooled:
        await transaction.rows(_FORGET, (name,))
        details = {"relay": name, "host": host, **({"webhooks": "unknown"} if spooled < 0 else {})}
        await audit.add(transaction, replace(act, details=details), max(spooled, 0))
    return ForgottenSpool(relay=name, host=host, webhooks=None if spooled < 0 else spooled)
