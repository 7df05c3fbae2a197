"""Deliveries that ended, wait for a later attempt or were never planned -> pending ones, each due in its turn.

Found on the reading connection, changed in short transactions: a replay of a million must not make webhooks wait.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import apsw

from relay.model import Health, PlannedDelivery, RoutedEvent, State
from relay.store.heal_rows import IS_LATE
from relay.store.records import AuditEntry, Filter
from relay.store.sqlite import audit, ingest, target_conditions
from relay.store.sqlite.ordering import pending_with_key
from relay.store.sqlite.reading import READ_SINCE, filter_sql
from relay.store.sqlite.sql import Run, rows
from relay.store.times import to_ms

CHUNK = 100  # deliveries a transaction: some ms
PAUSE = 0.02  # seconds between transactions, in which others write

_Key = tuple[int, str]
"""Event and target."""


async def replay(read: Run, write: Run, wanted: Filter, act: AuditEntry, rate: float | None) -> int:
    """See `contract.OperationsStore.replay`. What was settled after it was passed is not met again."""
    replayed = 0
    after: _Key = (0, "")
    which = _which(wanted)
    times = {"now": to_ms(act.at), "last": await read(partial(_last_due_at, act=act, rate=rate))}
    while page := await read(partial(_page, wanted=wanted, which=which, after=after, times=times)):
        replayed += await write(partial(_replay, keys=page, which=which, times=times, act=act, rate=rate))
        after = page[-1]
        await asyncio.sleep(PAUSE)  # a cancelled call stops here
    if State.PENDING in wanted.states and (names := await read(partial(_pending, wanted=wanted))):
        await write(partial(_request_probes, names=names, act=act, replayed=replayed))
    return replayed


def _pending(cursor: apsw.Cursor, wanted: Filter) -> list[str]:
    """The targets of what is pending."""
    where, values = filter_sql(replace(wanted, states=(State.PENDING,)))
    sql = f"select distinct d.target from deliveries d join events e on e.seq = d.event where {where}"
    return [target for (target,) in rows(cursor, sql, values)]


def _request_probes(cursor: apsw.Cursor, names: Sequence[str], act: AuditEntry, replayed: int) -> None:
    """Have them probed; an act too if it is all there was to do."""
    held = {target for target, seen in target_conditions.conditions(cursor).items() if seen.health is Health.OPEN}
    if not replayed and held.intersection(names):
        audit.add(cursor, act, 0)
    target_conditions.request_probes(cursor, names, to_ms(act.at))


def _which(wanted: Filter) -> str:
    """SQL for rows `d` and `e` that may be replayed: it is over or, if such are asked for, waits until after `now`.

    Not what an earlier call of the same act has replayed, whose policies begin from `now` to `last`.
    """
    over = "d.state in ('dead', 'delivered')"
    waits = "d.state = 'pending' and d.claimed = 0 and d.due_at > :now"
    which = f"({over} or {waits})" if State.PENDING in wanted.states else f"{over}"
    same_act = "d.replays > 0 and d.pending_since between :now and :last"
    return f"{which} and not ({same_act}) and e.erased_at is null and not {READ_SINCE}"


def _last_due_at(cursor: apsw.Cursor, act: AuditEntry, rate: float | None) -> int:
    """The last time that earlier calls of this act have given, the commit of which was not known; else before all."""
    turns = audit.counted(cursor, act)
    return _due_at(act, turns - 1, rate) if turns else -1


def _page(cursor: apsw.Cursor, wanted: Filter, which: str, after: _Key, times: dict[str, int]) -> list[_Key]:
    """The oldest first, so that those which share a key keep their order."""
    where, values = filter_sql(wanted)
    found = rows(
        cursor,
        "select d.event, d.target from deliveries d join events e on e.seq = d.event"
        f" where {which} and (d.event, d.target) > (:seq, :name) and {where}"
        " order by d.event, d.target limit :limit",
        {**values, **times, "seq": after[0], "name": after[1], "limit": CHUNK},
    )
    return [(seq, target) for seq, target in found]


def _replay(
    cursor: apsw.Cursor,
    keys: Sequence[_Key],
    which: str,
    times: dict[str, int],
    act: AuditEntry,
    rate: float | None,
) -> int:
    """Replay those of `keys` that may still be replayed; return how many."""
    sql = (
        "select d.event, d.target, d.state, d.key from deliveries d join events e on e.seq = d.event"
        f" where d.event = :seq and d.target = :name and {which}"
    )
    asked = [{**times, "seq": seq, "name": target} for seq, target in keys]
    found = [row for each in asked for row in rows(cursor, sql, each)]
    turn = audit.add(cursor, act, len(found)) if found else 0
    for seq, target, state, key in found:
        due_at = _due_at(act, turn, rate)
        turn += 1
        # one that waits for a later attempt is the first of its key
        blocked = state != "pending" and key is not None and pending_with_key(cursor, target, key)
        cursor.execute(
            "update deliveries set state = 'pending', claimed = 0, base = attempt, replays = replays + 1,"
            " pending_since = ?, due_at = ?, settled_at = null, dismissed_at = null, why = ''"
            " where event = ? and target = ?",
            (due_at, None if blocked else due_at, seq, target),
        )
    return len(found)


def reroute(
    cursor: apsw.Cursor, routed: Sequence[RoutedEvent], act: AuditEntry, rate: float | None, *, missing: bool
) -> int:
    """How many deliveries; see `contract.OperationsStore.reroute`."""
    found = _lacking(cursor, routed, missing)
    turn = audit.add(cursor, act, len(found)) if found else 0
    for seq, planned in found:
        ingest.insert_delivery(None, cursor, seq, planned, _due_at(act, turn, rate), replays=1)
        turn += 1
    cursor.executemany("update events set unrouted = null where seq = ? and unrouted = 1", {(seq,) for seq, _ in found})
    return len(found)


def reroutable(cursor: apsw.Cursor, routed: Sequence[RoutedEvent], *, missing: bool) -> dict[str, int]:
    """See `contract.OperationsStore.reroutable`."""
    return dict(Counter(planned.target for _seq, planned in _lacking(cursor, routed, missing)))


def _lacking(cursor: apsw.Cursor, routed: Sequence[RoutedEvent], missing: bool) -> list[tuple[int, PlannedDelivery]]:
    """The deliveries that are to be planned, each with the seq of its event."""
    return [
        (seq, planned)
        for each in routed
        for seq, targets, late in _targets(cursor, each.event.id)
        for planned in (each.if_late() if late else each.planned)
        if (planned.target not in targets if missing else not targets)
    ]


def _targets(cursor: apsw.Cursor, event_id: str) -> list[tuple[int, set[str], bool]]:
    """The event's seq, the targets that it has deliveries to, and if it came late; none if there is no such event."""
    found = rows(cursor, f"select e.seq, {IS_LATE} from events e where e.id = ? and e.erased_at is null", (event_id,))
    sql = "select target from deliveries where event = ?"
    return [(seq, {target for (target,) in rows(cursor, sql, (seq,))}, bool(late)) for seq, late in found]


def _due_at(act: AuditEntry, turn: int, rate: float | None) -> int:
    """The `turn` counts from 0 over the whole act."""
    return to_ms(act.at) + (int(turn * 1000 / rate) if rate else 0)
