"""Claim due deliveries; settle and release claimed ones. One transaction each, sent whole."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from relay.model import Delivery, RetryAt
from relay.model.trace import webhook_trace
from relay.model.webhooks import HEAL
from relay.store.checksum import is_corrupt
from relay.store.postgres.arrays import Numbers, Texts
from relay.store.postgres.clock import NOW
from relay.store.postgres.connection import Row, Statement
from relay.store.postgres.locks import take_of
from relay.store.postgres.registry import ALIVE, Owner
from relay.store.postgres.text import clean
from relay.store.records import Due
from relay.store.requests import Settlement
from relay.store.rows import next_state
from relay.store.times import from_ms, to_ms

CLOCK_TOLERANCE = 5000  # milliseconds between our clock and the database's, beyond which nothing is claimed

_MICROSECOND = timedelta(microseconds=1)

# materialized: else the planner may run a locking query more than once
# two ranges: deliveries that wait, and those whose lease ran out
# lateral, with a limit: a join may be planned as a read of all webhooks
_CLAIM = f"""
with waiting as materialized (
  select event, due_at from deliveries
  where target = %(target)s and state = 'pending' and claim is null and due_at <= %(now)s
  order by due_at, event limit %(limit)s for update skip locked),
expired as materialized (
  select event, due_at from deliveries
  where target = %(target)s and state = 'pending' and claim is not null and due_at <= %(now)s
  order by due_at, event limit %(limit)s for update skip locked),
due as materialized (
  select event, due_at from waiting union all select event, due_at from expired
  order by due_at, event limit %(limit)s),
sized as materialized (
  select due.event, e.id, e.received_at, e.payload, e.checksum, e.entity, e.entity_id, w.id as webhook,
    w.traceparent, w.kind, row_number() over longest as n,
    coalesce(sum(octet_length(e.payload)) over longest - octet_length(e.payload), 0) as before
  from due left join events e on e.seq = due.event
    left join lateral (select id, traceparent, kind from webhooks where seq = e.webhook limit 1) w on true
  window longest as (order by due.due_at, due.event)),
taken as (
  update deliveries d set claim = %(first)s + s.n - 1, attempt = d.attempt + 1, due_at = %(until)s
  from sized s
  where d.event = s.event and d.target = %(target)s and (s.n = 1 or s.before < %(max_bytes)s) and {ALIVE}
    and abs({NOW} - %(clock)s) <= {CLOCK_TOLERANCE}
  returning d.event, d.claim, d.attempt, d.base, d.replays, d.pending_since, d.key is not null as ordered, s.id,
    s.received_at, s.payload, s.checksum, s.entity, s.entity_id, s.webhook, s.traceparent, s.kind)
select event, claim, attempt, base, replays, pending_since, ordered, id, received_at, payload, checksum, entity,
  entity_id, webhook, traceparent, kind
from taken order by claim
"""
_LIVES = f"select {NOW}, (select max(seen_at) from relays), {ALIVE}"


def claim(
    target: str, *, limit: int, max_bytes: int, now: int, until: int, clock: int, owner: Owner, first: int
) -> list[Statement]:
    """Return the statements of a claim: they return rows for `claimed`, and one row for `Membership.claimed`.

    Nothing is claimed if `clock` is wrong by `CLOCK_TOLERANCE`: leases would end too soon or too late.
    """
    values = {"target": clean(target), "limit": limit, "max_bytes": max_bytes, "now": now, "until": until}
    alive = owner._asdict()
    return [(_CLAIM, {**values, **alive, "clock": clock, "first": first}), (_LIVES, alive)]


def claimed(target: str, rows: Sequence[Row]) -> list[Delivery]:
    """Make the deliveries of what `claim` returned."""
    return [_claimed(target, *row) for row in rows]


def _claimed(
    target: str,
    seq: int,
    token: int,
    attempt: int,
    base: int,
    replays: int,
    pending_since: int,
    ordered: bool,
    event_id: str | None,
    received_at: int | None,
    payload: bytes | None,
    checksum: bytes | None,
    entity: str | None,
    entity_id: str | None,
    webhook: str | None,
    traceparent: str | None,
    kind: str | None,
) -> Delivery:
    """One without its event is claimed as corrupt."""
    return Delivery(
        row=seq,
        event_id=event_id or "",
        target=target,
        attempt=attempt,
        policy_attempt=attempt - base,
        received_at=from_ms(received_at or 0),
        pending_since=from_ms(pending_since),
        payload=payload or b"",
        replay=replays > 0,
        corrupt=not event_id or is_corrupt(payload, checksum, event_id.encode()),
        entity=entity or "",
        entity_id=entity_id or "",
        token=token,
        ordered=ordered,
        trace=webhook_trace(webhook, traceparent or "") if webhook else "",
        healed=kind == HEAL,
    )


# ---- settle

_SETTLED = """unnest(%(events)s::bigint[], %(targets)s::text[], %(tokens)s::bigint[], %(states)s::text[],
  %(due)s::bigint[], %(why)s::text[], %(settled_at)s::bigint[], %(overlooked)s::int[]) with ordinality
  as s(event, target, token, state, due_at, why, settled_at, overlooked, n)"""
_OF_BATCH = "unnest(%(events)s::bigint[], %(targets)s::text[]) as s(event, target)"

_LOCK = take_of(f"select d.key from {_OF_BATCH} join deliveries d using (event, target)")

# one delivery settled twice in a batch: the first counts. The case: by the primary key alone, not by a partial index
# an attempt is recorded whether or not its claim is still in force, unless the delivery was purged; its answer is not
# if the request carried an event that was erased meanwhile
_SETTLE = f"""
with ours as materialized (
  select d.event, d.target, d.key, s.n, s.state, s.due_at, s.why, s.settled_at, s.overlooked
  from (select distinct on (s.event, s.target, s.token) s.* from {_SETTLED}
        order by s.event, s.target, s.token, s.n) s
  join deliveries d using (event, target)
  where case when d.state = 'pending' then d.claim = s.token end
  order by d.event, d.target for update of d),
settled as (
  update deliveries d set state = o.state, claim = null, due_at = o.due_at, why = o.why, settled_at = o.settled_at,
    base = d.base + o.overlooked
  from ours o where d.event = o.event and d.target = o.target),
recorded as (
  insert into attempts (event, target, number, started_at, took_us, verdict, reason, status, detail, late)
  select a.event, a.target, a.number, a.started_at, a.took_us, a.verdict, a.reason, a.status,
    case when bool_or(d.why = 'erased') over (partition by a.target, a.started_at) then '' else a.detail end, a.late
  from unnest(%(events)s::bigint[], %(targets)s::text[], %(numbers)s::int[], %(started)s::bigint[], %(took)s::bigint[],
    %(verdicts)s::text[], %(reasons)s::text[], %(statuses)s::int[], %(details)s::text[], %(late)s::int[])
    as a(event, target, number, started_at, took_us, verdict, reason, status, detail, late)
  join deliveries d on d.event = a.event and d.target = a.target
  order by a.event, a.target, a.number
  on conflict do nothing)
select n from ours
"""
# a statement of its own: it has to see what the one before did, and what was committed before the locks were had
UNBLOCK = """
update deliveries d set due_at = greatest(%(now)s, d.pending_since, d.held)
from (select k.target, (select o.event from deliveries o
                        where o.target = k.target and o.key = k.key and o.state = 'pending'
                        order by o.event limit 1) as event
      from (select distinct d.target, d.key
            from unnest(%(events)s::bigint[], %(targets)s::text[]) as s(event, target)
            join deliveries d using (event, target) where d.key is not null) k
      where (select true from deliveries o where o.target = k.target and o.key = k.key and o.state = 'pending'
             and o.due_at is not null limit 1) is null) head
where d.target = head.target and d.event = head.event and d.due_at is null and d.state = 'pending'
"""
"""Makes the oldest pending delivery of each key due, of keys of deliveries that are settled; never before a replay,
and not while it is held.

Not of a key of which one is due: an older one that was replayed meanwhile waits behind it.
"""


def settle(settlements: Sequence[Settlement], mine: Sequence[bool], now: int) -> list[Statement]:
    """Return the statements: the middle one returns the numbers, from 1, of those whose claim token is the present one.

    `mine`: whether this process gave the token out. Nobody settles by a token of another relay. Without ordering keys
    one statement is all: there are no locks to take before it, and nobody is next after it.
    """
    tokens = (each.delivery.token if own else -1 for each, own in zip(settlements, mine, strict=True))
    batch = _rows_of(settlements) | {"tokens": Numbers(tokens)}
    settled = _SETTLE, batch | _states(settlements) | _attempts(settlements)
    if not (ordered := [each for each in settlements if each.delivery.ordered]):
        return [settled]
    rows = _rows_of(ordered)
    return [(_LOCK, rows), settled, (UNBLOCK, rows | {"now": now})]


def _rows_of(settlements: Sequence[Settlement]) -> dict[str, Any]:
    return {
        "events": Numbers(each.delivery.row for each in settlements),
        "targets": Texts(clean(each.delivery.target) for each in settlements),
    }


def _states(settlements: Sequence[Settlement]) -> dict[str, Any]:
    ends = [next_state(each.verdict) for each in settlements]
    return {
        "states": Texts(state.value for state, _due, _why in ends),
        "due": Numbers(due for _state, due, _why in ends),
        "why": Texts(clean(why) for _state, _due, why in ends),
        "settled_at": Numbers(
            None if due is not None else to_ms(each.now) for each, (_, due, _) in zip(settlements, ends, strict=True)
        ),
        "overlooked": Numbers(
            int(isinstance(each.verdict, RetryAt) and not each.verdict.counted) for each in settlements
        ),
    }


def _attempts(settlements: Sequence[Settlement]) -> dict[str, Any]:
    outcomes = [each.outcome for each in settlements]
    return {
        "numbers": Numbers(each.delivery.attempt for each in settlements),
        "started": Numbers(to_ms(each.started_at) for each in outcomes),
        "took": Numbers(each.took // _MICROSECOND for each in outcomes),
        "verdicts": Texts(each.verdict.name.value for each in settlements),
        "reasons": Texts(each.reason.value for each in outcomes),
        "statuses": Numbers(each.status for each in outcomes),
        "details": Texts(clean(each.detail) for each in outcomes),
        "late": Numbers(int(each.late) for each in settlements),
    }


# ---- release, due

_RELEASE = """
with ours as materialized (
  select d.event, d.target from unnest(%(events)s::bigint[], %(targets)s::text[], %(tokens)s::bigint[])
    as r(event, target, token) join deliveries d using (event, target)
  where case when d.state = 'pending' then d.claim = r.token end
  order by d.event, d.target for update of d)
update deliveries d set claim = null, due_at = %(now)s, attempt = d.attempt - 1
from ours where d.event = ours.event and d.target = ours.target
returning 1
"""

# each target is one look at the head of an index, whatever the backlog; 0: due times, 1: pauses, 2: probes
_DUE = """
select 0, t, (select due_at from deliveries where target = t and state = 'pending' and claim is null
              and due_at is not null order by due_at limit 1)
from unnest(%(targets)s::text[]) t
union all select 1, target, null from pauses
union all select 2, target, at from probes
"""


def release(deliveries: Sequence[Delivery], now: int) -> Statement:
    """Return the statement; it returns a row for each delivery that was given back."""
    return _RELEASE, {
        "events": Numbers(each.row for each in deliveries),
        "targets": Texts(clean(each.target) for each in deliveries),
        "tokens": Numbers(each.token for each in deliveries),
        "now": now,
    }


def due(targets: Sequence[str]) -> Statement:
    """Return the statement; see `due_of`."""
    return _DUE, {"targets": Texts(clean(each) for each in targets)}


def due_of(targets: Sequence[str], rows: Sequence[Row]) -> Due:
    """Return what the rows of `due` say."""
    named = {clean(each): each for each in targets}
    return Due(
        at={named[name]: from_ms(at) for what, name, at in rows if what == 0 and at is not None},
        paused=frozenset(named.get(str(name), str(name)) for what, name, _at in rows if what == 1),
        probes={named.get(str(name), str(name)): from_ms(at) for what, name, at in rows if what == 2},
    )


_SET_BACK = """
update deliveries set
  pending_since = case when pending_since > %(now)s then pending_since - %(by)s else pending_since end,
  due_at = case when claim is null and due_at > %(now)s then due_at - %(by)s else due_at end,
  held = case when held > %(now)s then held - %(by)s else held end
where state = 'pending' and (pending_since > %(now)s or due_at > %(now)s)
"""


def set_back(by: int, now: int) -> Statement:
    """Return what moves due times with a clock that was set back by so many milliseconds; leases stay."""
    return _SET_BACK, {"by": by, "now": now}
