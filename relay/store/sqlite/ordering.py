"""`order: entity`: of the deliveries of a target that share a key only the oldest pending one is ever due.

The key is `routes.plan`'s: account, entity and id. A delivery behind another is blocked: pending, without a due time.
It is blocked when it is inserted or replayed, and unblocked when the one before it is settled.
"""

import apsw

from relay.store.sqlite.sql import rows


def pending_with_key(cursor: apsw.Cursor, target: str, key: str) -> bool:
    """Return whether a delivery with this key is pending."""
    sql = "select 1 from deliveries where target = ? and key = ? and state = 'pending' limit 1"
    return bool(rows(cursor, sql, (target, key)))


def unblock(cursor: apsw.Cursor, seq: int, target: str, now: int) -> None:
    """Make the oldest pending delivery of the same key due, unless it has a due time already.

    And no earlier than a replay has set, or what is fetched for it (`held`).
    """
    cursor.execute(
        "update deliveries set due_at = max(:now, pending_since, coalesce(held, 0))"
        " where target = :target and due_at is null and event ="
        " (select min(event) from deliveries where target = :target and state = 'pending'"
        " and key = (select key from deliveries where event = :event and target = :target))",
        {"now": now, "target": target, "event": seq},
    )
