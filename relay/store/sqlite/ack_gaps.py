"""Acknowledged webhooks that are missing from the database -> gaps: found at a start, reported until accepted.

SQLite cannot see them. A WAL that was deleted, cut short or changed in one bit ends early; a file that was restored
from a backup is whole.
"""

from datetime import datetime

import apsw

from relay.store.records import AckGap, AuditEntry
from relay.store.sqlite import audit
from relay.store.sqlite.sql import rows
from relay.store.times import from_ms, to_ms


def last_seq(cursor: apsw.Cursor) -> int:
    """Return the seq of the newest webhook ever stored; a purge does not lower it."""
    found = rows(cursor, "select seq from sqlite_sequence where name = 'webhooks'")
    return found[0][0] if found else 0


def missing(cursor: apsw.Cursor, acked: int, now: datetime) -> AckGap | None:
    """Return the gap, if webhooks up to `acked` were committed and the newest seq is lower."""
    seq = last_seq(cursor)
    if seq >= acked:
        return None
    newest = rows(cursor, "select received_at from webhooks where seq = (select max(seq) from webhooks)")
    return AckGap(count=acked - seq, after=from_ms(newest[0][0]) if newest else None, noticed_at=now)


def notice(connection: apsw.Connection, acked: int, now: datetime) -> AckGap | None:
    """Record the gap, if there is one, before new webhooks take its seqs."""
    cursor = connection.cursor()
    first, loss = last_seq(cursor) + 1, missing(cursor, acked, now)
    if loss:
        record(cursor, first, loss)
        # a WAL has just been lost, perhaps: this must not be in the next one that is
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)
    return loss


def record(cursor: apsw.Cursor, first: int, gap: AckGap) -> None:
    """Record a gap that begins at the seq `first`."""
    cursor.execute(
        "insert into losses (first, last, after, noticed_at) values (?, ?, ?, ?) on conflict (first, last)"
        " do update set after = excluded.after, noticed_at = excluded.noticed_at, accepted_at = null",
        (first, first + gap.count - 1, gap.after and to_ms(gap.after), to_ms(gap.noticed_at)),
    )


def losses(cursor: apsw.Cursor) -> tuple[AckGap, ...]:
    """Return the gaps that nobody has accepted yet."""
    found = rows(
        cursor, "select last - first + 1, after, noticed_at from losses where accepted_at is null order by noticed_at"
    )
    return tuple(
        AckGap(count=count, after=None if after is None else from_ms(after), noticed_at=from_ms(at))
        for count, after, at in found
    )


def accept(cursor: apsw.Cursor, act: AuditEntry) -> int:
    """Report the gaps no more; return how many webhooks that are."""
    count = sum(loss.count for loss in losses(cursor))
    if count:
        hand_over(cursor, act.at)
        audit.add(cursor, act, count)
    return count


def hand_over(cursor: apsw.Cursor, at: datetime) -> None:
    """Report the gaps no more: an operator knows of them, or another store reports them."""
    cursor.execute("update losses set accepted_at = ? where accepted_at is null", (to_ms(at),))
