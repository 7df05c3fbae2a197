"""Dead deliveries and unparsed webhooks -> dismissed ones; what is pending for a target -> dead and dismissed.

Found on the reading connection, changed in short transactions, as `replay` does it.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

import apsw

from relay.store.records import DROPPED, AuditEntry, Filter
from relay.store.sqlite import audit
from relay.store.sqlite.ordering import unblock
from relay.store.sqlite.reading import filter_sql
from relay.store.sqlite.sql import Run, rows
from relay.store.times import to_ms

CHUNK = 100  # deliveries, or webhooks, a transaction: some ms
PAUSE = 0.02  # seconds between transactions, in which others write

_Key = tuple[str, int]
"""Target and event: the order of the index."""

UNDISMISSED = "d.state = 'dead' and d.why <> 'reparsed' and d.dismissed_at is null"
"""SQL for a dead delivery `d` that is counted and alarmed about."""


# ---- dead deliveries


async def dismiss(read: Run, write: Run, wanted: Filter, act: AuditEntry) -> int:
    """See `contract.OperationsStore.dismiss`."""
    dismissed, after = 0, ("", -1)
    while page := await read(partial(_page, wanted=wanted, after=after)):
        dismissed += await write(partial(_dismiss, keys=page, act=act))
        after = page[-1]
        await asyncio.sleep(PAUSE)  # a cancelled call stops here
    return dismissed


def _page(cursor: apsw.Cursor, wanted: Filter, after: _Key) -> list[_Key]:
    where, values = filter_sql(wanted)
    found = rows(
        cursor,
        f"select d.target, d.event from deliveries d join events e on e.seq = d.event where {UNDISMISSED}"
        f" and (d.target, d.event) > (:name, :seq) and {where} order by d.target, d.event limit :limit",
        {**values, "name": after[0], "seq": after[1], "limit": CHUNK},
    )
    return [(target, seq) for target, seq in found]


def _dismiss(cursor: apsw.Cursor, keys: Sequence[_Key], act: AuditEntry) -> int:
    """Dismiss those of `keys` that are still dead; return how many."""
    before = cursor.connection.total_changes()
    cursor.executemany(
        f"update deliveries as d set dismissed_at = ? where d.target = ? and d.event = ? and {UNDISMISSED}",
        [(to_ms(act.at), target, seq) for target, seq in keys],
    )
    return _audited(cursor, act, cursor.connection.total_changes() - before)


def _audited(cursor: apsw.Cursor, act: AuditEntry, changed: int) -> int:
    if changed:
        audit.add(cursor, act, changed)
    return changed


# ---- unparsed webhooks


async def dismiss_unparsed(write: Run, ids: Sequence[str], act: AuditEntry) -> int:
    """See `contract.OperationsStore.dismiss_unparsed`."""
    dismissed = 0
    for start in range(0, len(ids), CHUNK):
        dismissed += await write(partial(_dismiss_unparsed, ids=ids[start : start + CHUNK], act=act))
        await asyncio.sleep(PAUSE if start + CHUNK < len(ids) else 0)
    return dismissed


def _dismiss_unparsed(cursor: apsw.Cursor, ids: Sequence[str], act: AuditEntry) -> int:
    before = cursor.connection.total_changes()
    cursor.executemany(
        "insert into dismissed (webhook, at) select seq, ? from webhooks where id = ? and unparsed is not null"
        " on conflict do nothing",
        [(to_ms(act.at), id_) for id_ in ids],
    )
    return _audited(cursor, act, cursor.connection.total_changes() - before)


# ---- a target that is gone


async def drop(read: Run, write: Run, target: str, act: AuditEntry) -> int:
    """See `contract.OperationsStore.drop`. What is kept meanwhile is left alone: the call ends."""
    last = await read(_last)
    dropped = 0
    while changed := await write(partial(_drop, target=target, last=last, act=act)):
        dropped += changed
        await asyncio.sleep(PAUSE)  # a cancelled call stops here
    return dropped


def _last(cursor: apsw.Cursor) -> int:
    [(last,)] = rows(cursor, "select coalesce(max(seq), 0) from events")
    return int(last)


def _drop(cursor: apsw.Cursor, target: str, last: int, act: AuditEntry) -> int:
    found = rows(
        cursor,
        "select event, key is not null from deliveries"
        # by the index of what is pending, which begins with `claimed`
        " where state = 'pending' and claimed in (0, 1) and target = ? and event <= ? limit ?",
        (target, last, CHUNK),
    )
    at = to_ms(act.at)
    cursor.executemany(
        "update deliveries set state = 'dead', claimed = 0, due_at = null, held = null, settled_at = ?,"
        " dismissed_at = ?, why = ? where event = ? and target = ?",
        [(at, at, DROPPED, seq, target) for seq, _has_key in found],
    )
    for seq, has_key in found:
        if has_key:
            unblock(cursor, seq, target, at)
    return _audited(cursor, act, len(found))
