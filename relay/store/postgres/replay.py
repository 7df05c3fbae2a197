"""Deliveries that ended, wait for a later attempt or were never planned -> pending ones, each due in its turn.

Found without a lock, changed in short transactions: a replay of a million must not make webhooks wait. Each takes the
locks of its keys first, so that no keep or settle sees half of it.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import orjson

from relay.model import Health, PlannedDelivery, RoutedEvent, State
from relay.store.heal_rows import IS_LATE
from relay.store.postgres import audit
from relay.store.postgres.acts import Acts, columns, lock_webhooks
from relay.store.postgres.connection import Connection, Row, Statement, Transaction
from relay.store.postgres.filters import READ_SINCE, filter_sql
from relay.store.postgres.locks import TAKE, hashed, locks
from relay.store.postgres.text import clean
from relay.store.records import AuditEntry, Filter
from relay.store.times import MILLISECOND, to_ms

CHUNK = 100  # deliveries, or events, a transaction: some ms
PAUSE = 0.02  # seconds between transactions, in which others write

_PENDING_WITH_KEY = (
    "(select true from deliveries o where o.target = {target} and o.key = {key} and o.state = 'pending' limit 1)"
)
"""SQL: a scalar subquery, which cannot become a hash of all that is pending, as `exists` does."""

PAGE = """
select d.event, d.target, d.key from deliveries d join events e on e.seq = d.event
where {which} and (d.event, d.target) > (%(seq)s, %(name)s) and {where}
order by d.event, d.target limit %(limit)s
"""
LOCKED = """
select d.event, d.target, d.state, d.key
from unnest(%(events)s::bigint[], %(targets)s::text[]) page (event, target)
join deliveries d on d.event = page.event and d.target = page.target join events e on e.seq = d.event
where {which} order by d.event, d.target for update of d
"""
REPLAY = f"""
update deliveries d set state = 'pending', claim = null, base = d.attempt, replays = d.replays + 1,
  pending_since = page.due_at, settled_at = null, dismissed_at = null, why = '',
  due_at = case when page.waits or (page.first and {_PENDING_WITH_KEY.format(target="d.target", key="d.key")} is null)
    then page.due_at end
from unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bool[], %s::bool[]) page (event, target, due_at, first, waits)
where d.event = page.event and d.target = page.target
"""
_TARGETS = "select event, target from deliveries where event = any(%s::bigint[])"
_REROUTE = f"""
insert into deliveries (event, target, routes, state, attempt, base, replays, pending_since, key, held, due_at)
select event, target, routes, 'pending', 0, 0, 1, due_at, key, due_at + hold,
  case when first and {_PENDING_WITH_KEY.format(target="page.target", key="page.key")} is null
    then due_at + coalesce(hold, 0) end
from unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bytea[], %s::bool[], %s::bigint[])
  page (event, target, routes, due_at, key, first, hold)
"""
_ROUTED = "update events set unrouted = null where seq = any(%s::bigint[]) and unrouted = 1"
_REQUEST_PROBES = """
insert into probes as p (target, at) select target, %s from unnest(%s::text[]) target
on conflict (target) do update set at = greatest(p.at + 1, excluded.at)
"""  # at + 1: it is not the one that may be fulfilled now


class _Replay(NamedTuple):
    """One call: what it is asked for, and the times that its act has given already."""

    wanted: Filter
    act: AuditEntry
    rate: float | None
    which: str
    times: dict[str, int]


async def replay(look: Connection, acts: Acts, wanted: Filter, act: AuditEntry, rate: float | None) -> int:
    """See `contract.OperationsStore.replay`. What was settled after it was passed is not met again."""
    [found] = await look.run([audit.counted(act)])
    last = _due_at(act, found[0][0] - 1, rate) if found else -1
    asked = _Replay(wanted, act, rate, which(wanted), {"now": to_ms(act.at), "last": last})
    replayed, after = 0, (0, "")
    while page := await _page(look, asked, after):
        replayed += await acts.commit(partial(_replay, page=page, asked=asked))
        after = page[-1][:2]
        await asyncio.sleep(PAUSE)  # a cancelled call stops here
    if State.PENDING in wanted.states and (targets := await _pending(look, wanted)):
        await acts.commit(partial(_request_probes, targets=targets, act=act, replayed=replayed))
    return replayed


def which(wanted: Filter) -> str:
    """SQL for rows `d` and `e` that may be replayed: it is over or, if such are asked for, waits until after `now`.

    Not what an earlier call of the same act has replayed, whose policies begin from `now` to `last`.
    """
    over = "d.state in ('dead', 'delivered')"
    waits = "d.state = 'pending' and d.claim is null and d.due_at > %(now)s"
    either = f"({over} or {waits})" if State.PENDING in wanted.states else over
    same_act = "d.replays > 0 and d.pending_since between %(now)s and %(last)s"
    return f"{either} and not ({same_act}) and e.erased_at is null and not {READ_SINCE}"


async def _page(look: Connection, asked: _Replay, after: tuple[int, str]) -> list[tuple[int, str, bytes | None]]:
    """The oldest first, so that those which share a key keep their order."""
    where, values = filter_sql(asked.wanted)
    sql = PAGE.format(which=asked.which, where=where)
    place = {"seq": after[0], "name": after[1], "limit": CHUNK}
    [found] = await look.run([(sql, {**values, **asked.times, **place})])
    return [(event, target, key) for event, target, key in found]


async def _replay(transaction: Transaction, page: Sequence[tuple[int, str, bytes | None]], asked: _Replay) -> int:
    """Replay those of the page that may still be replayed; return how many."""
    events, targets, keys = columns(page, 3)
    await _take(transaction, keys)
    await lock_webhooks(transaction, [event for event, _target, _key in page])
    values = {**asked.times, "events": events, "targets": targets}
    found = await transaction.rows(LOCKED.format(which=asked.which), values)
    if not found:
        return 0
    turn = await audit.add(transaction, asked.act, len(found))
    first = _first_of_keys()
    rows = [
        (event, target, _due_at(asked.act, turn + nth, asked.rate), first(target, key), state == "pending")
        for nth, (event, target, state, key) in enumerate(found)
    ]
    await transaction.rows(REPLAY, columns(rows, 5))
    return len(found)


async def _take(transaction: Transaction, keys: Sequence[Any]) -> None:
    if taken := locks(key for key in keys if key is not None):
        await transaction.rows(TAKE, (taken,))


def _first_of_keys() -> Any:
    """Return a function that says whether a delivery is the first one of its target and key that it is asked about."""
    seen: set[tuple[str, bytes]] = set()

    def first(target: str, key: bytes | None) -> bool:
        if key is None:
            return True
        known = (target, key) in seen
        seen.add((target, key))
        return not known

    return first


async def _pending(look: Connection, wanted: Filter) -> list[str]:
    """The targets of what is pending."""
    where, values = filter_sql(replace(wanted, states=(State.PENDING,)))
    sql = f"select distinct d.target from deliveries d join events e on e.seq = d.event where {where}"
    [found] = await look.run([(sql, values)])
    return [target for (target,) in found]


async def _request_probes(transaction: Transaction, targets: Sequence[str], act: AuditEntry, replayed: int) -> None:
    """Have them probed; an act too if it is all there was to do."""
    sql = "select 1 from conditions where health = %s and target = any(%s::text[]) limit 1"
    if not replayed and await transaction.rows(sql, (Health.OPEN.value, list(targets))):
        await audit.add(transaction, act, 0)
    await transaction.rows(_REQUEST_PROBES, (to_ms(act.at), sorted(targets)))


# ---- what no route took


async def reroute(
    acts: Acts, routed: Sequence[RoutedEvent], act: AuditEntry, rate: float | None, *, missing: bool
) -> int:
    """How many deliveries; see `contract.OperationsStore.reroute`."""
    added = 0
    for start in range(0, len(routed), CHUNK):
        chunk = routed[start : start + CHUNK]
        added += await acts.commit(partial(_reroute, routed=chunk, act=act, rate=rate, missing=missing))
        await asyncio.sleep(PAUSE if start + CHUNK < len(routed) else 0)
    return added


async def _reroute(
    transaction: Transaction, routed: Sequence[RoutedEvent], act: AuditEntry, rate: float | None, missing: bool
) -> int:
    await _take(transaction, [_key(planned) for each in routed for planned in each.planned])
    found = await transaction.rows(*_found(routed))
    seqs = sorted(seq for _id, seq, _is_late in found)
    await lock_webhooks(transaction, seqs)
    # each event's row, too: two reroutes at once must not both find it without a delivery
    await transaction.rows("select 1 from events where seq = any(%s::bigint[]) order by seq for update", (seqs,))
    planned = _lacking(routed, found, await transaction.rows(_TARGETS, (seqs,)), missing=missing)
    if not planned:
        return 0
    turn = await audit.add(transaction, act, len(planned))
    first = _first_of_keys()
    rows = [
        (
            seq,
            clean(each.target),
            clean(orjson.dumps(each.routes).decode()),
            _due_at(act, turn + nth, rate),
            _key(each),
            first(each.target, _key(each)),
            None if each.hold is None else each.hold // MILLISECOND,
        )
        for nth, (seq, each) in enumerate(planned)
    ]
    await transaction.rows(_REROUTE, columns(rows, 7))
    await transaction.rows(_ROUTED, ([seq for seq, _each in planned],))
    return len(planned)


async def reroutable(look: Connection, routed: Sequence[RoutedEvent], *, missing: bool) -> dict[str, int]:
    """See `contract.OperationsStore.reroutable`."""
    [found] = await look.run([_found(routed)])
    [targets] = await look.run([(_TARGETS, ([seq for _id, seq, _is_late in found],))])
    return dict(Counter(each.target for _seq, each in _lacking(routed, found, targets, missing=missing)))


def _found(routed: Sequence[RoutedEvent]) -> Statement:
    """The statement that returns id, seq, and whether it came late, of those events that are stored."""
    sql = f"select e.id, e.seq, {IS_LATE} from events e where e.id = any(%s::text[]) and e.erased_at is null"
    return sql, ([clean(each.event.id) for each in routed],)


def _lacking(
    routed: Sequence[RoutedEvent], found: Sequence[Row], targets: Sequence[Row], *, missing: bool
) -> list[tuple[int, PlannedDelivery]]:
    """The deliveries that are to be planned, each with its event's seq, for the rows of `_found` and `_TARGETS`."""
    stored = {id_: (seq, is_late) for id_, seq, is_late in found}
    has: dict[int, set[str]] = {seq: set() for _id, seq, _is_late in found}
    for seq, target in targets:
        has[seq].add(target)
    return [
        (seq, each)
        for one in {clean(each.event.id): each for each in routed}.values()
        if clean(one.event.id) in stored
        for seq, is_late in [stored[clean(one.event.id)]]
        for each in (one.if_late() if is_late else one.planned)
        if (clean(each.target) not in has[seq] if missing else not has[seq])
    ]


def _key(planned: PlannedDelivery) -> bytes | None:
    return None if planned.key is None else hashed(planned.key)


def _due_at(act: AuditEntry, turn: int, rate: float | None) -> int:
    """The `turn` counts from 0 over the whole act."""
    return to_ms(act.at) + (int(turn * 1000 / rate) if rate else 0)
