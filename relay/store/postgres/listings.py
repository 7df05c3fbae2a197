"""A filter -> deliveries, the newest first, or events, the oldest first, each page looked for in steps.

See `relay.store.looks`. What an index leads to needs no steps: an event's id, and, while it is little, what has the id
of an entity, and what is pending or dead.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from relay.model import State
from relay.store import cursors, looks
from relay.store.checksum import is_corrupt
from relay.store.heal_rows import UNROUTED
from relay.store.looks import Place, Step
from relay.store.postgres.connection import Connection, Row
from relay.store.postgres.filters import filter_sql
from relay.store.postgres.reading import DELIVERY_COLUMNS
from relay.store.records import DeliveryRecord, EventRecord, Filter, Page
from relay.store.rows import attempt_or_none, delivery_of
from relay.store.times import to_ms

NEWER = (
    "(w.received_at < %(at)s or w.seq < %(webhook)s or e.seq < %(past_event)s"
    " or e.seq = %(past_event)s and d.target > %(past_target)s)"
)
"""SQL: a row of deliveries stands behind a place, if its webhook does not stand before it."""

# offset 0: joined row by row in this order, whatever the planner thinks of a filter
EVENTS_OF_W = "cross join lateral (select * from events where webhook = w.seq offset 0) e"
DELIVERIES_OF_E = "cross join lateral (select * from deliveries where event = e.seq offset 0) d"
WEBHOOK_OF_E = "cross join lateral (select * from webhooks where seq = e.webhook offset 0) w"
LAST_ATTEMPT = (
    "left join lateral (select * from attempts where event = d.event and target = d.target"
    " order by number desc limit 1) a on true"
)
ATTEMPT_COLUMNS = "a.number, a.started_at, a.took_us, a.verdict, a.reason, a.status, a.detail"
COLUMNS = f"w.received_at, w.seq, {DELIVERY_COLUMNS}, {ATTEMPT_COLUMNS}"
_ORDER = "order by w.received_at desc, w.seq desc, e.seq desc, d.target limit %(limit)s"

END = (
    "select received_at, seq from webhooks where (received_at, seq) <= (%(at)s, %(webhook)s)"
    " and received_at >= %(least)s order by received_at desc, seq desc limit 1 offset %(step)s"
)
"""The first webhook beyond a step."""

IN_STEP = """(
  select received_at, seq from webhooks
  where (received_at, seq) <= (%(at)s, %(webhook)s) and (received_at, seq) > (%(end_at)s, %(end_webhook)s)
  order by received_at desc, seq desc limit %(step)s
) w"""
WALK = (
    f"select {COLUMNS} from {IN_STEP} {EVENTS_OF_W} {DELIVERIES_OF_E} {LAST_ATTEMPT}"
    f" where {NEWER} and {{where}} {_ORDER}"
)
BY_EVENT = (
    f"select {COLUMNS} from events e {WEBHOOK_OF_E} {DELIVERIES_OF_E} {LAST_ATTEMPT}"
    f" where (w.received_at, w.seq) <= (%(at)s, %(webhook)s) and {NEWER} and {{where}} {_ORDER}"
)
# ordered as the partial indexes are: else the whole table may be read, as most of it is expected to fit
_PENDING = (
    "(select event, target from deliveries where state = 'pending' and claim is null order by target, due_at, event)"
    " union all"
    " (select event, target from deliveries where state = 'pending' and claim is not null"
    " order by target, due_at, event)"
)
_DEAD = "(select event, target from deliveries where state = 'dead' order by event, target)"
UNSETTLED = {State.PENDING: _PENDING, State.DEAD: _DEAD}
"""What has partial indexes."""

COUNT = f"select count(*) from ({{unsettled}} limit {looks.FEW + 1}) few"
COUNT_ABOUT = f"select count(*) from (select 1 from events e where {{where}} limit {looks.FEW + 1}) few"
BY_STATE = (
    f"select {COLUMNS} from ({{unsettled}} limit {looks.FEW}) i"
    " cross join lateral (select * from deliveries where event = i.event and target = i.target offset 0) d"
    f" cross join lateral (select * from events where seq = d.event offset 0) e {WEBHOOK_OF_E} {LAST_ATTEMPT}"
    f" where (w.received_at, w.seq) <= (%(at)s, %(webhook)s) and {NEWER} and {{where}} {_ORDER}"
)


async def deliveries(
    look: Connection, wanted: Filter, limit: int, before: str | None, budget: timedelta | None
) -> Page[DeliveryRecord]:
    """See `contract.OperationsStore.find`."""
    where, values = filter_sql(wanted)
    place = looks.place("deliveries", before) if before else looks.newest(_latest(wanted))
    run: Callable[[Place, int], Awaitable[Step[Place]]]
    if sql := await _indexed(look, wanted):
        run = partial(at_once, look, sql.format(where=where), values)
    else:
        run = partial(step, look, WALK.format(where=where), values | {"least": least(wanted.since)})
    seen = await looks.look(run, place, limit, budget)
    return looks.page_of("deliveries", seen, limit, _place_of, record_of)


def _latest(wanted: Filter) -> datetime | None:
    """Nothing is settled before it arrives."""
    return min((each for each in (wanted.until, wanted.settled_until) if each), default=None)


def least(since: datetime | None) -> int:
    """Return the first arrival that is wanted."""
    return 0 if since is None else to_ms(since)


async def _indexed(look: Connection, wanted: Filter) -> str | None:
    """Return the statement that finds all by an index, if there is one."""
    if await leads_to_events(look, wanted):
        return BY_EVENT
    if not wanted.states or State.DELIVERED in wanted.states:
        return None
    unsettled = " union all ".join(UNSETTLED[each] for each in dict.fromkeys(wanted.states))
    [[(number,)]] = await look.run([(COUNT.format(unsettled=unsettled), {})])
    return BY_STATE.replace("{unsettled}", unsettled) if number <= looks.FEW else None


async def leads_to_events(look: Connection, wanted: Filter) -> bool:
    """Whether ids lead to the events, and to few."""
    if wanted.event_ids or wanted.entity_id is None:
        return bool(wanted.event_ids)
    where, values = filter_sql(Filter(entity_id=wanted.entity_id))
    [[(number,)]] = await look.run([(COUNT_ABOUT.format(where=where), values)])
    return bool(number <= looks.FEW)


async def at_once(look: Connection, sql: str, values: Mapping[str, Any], place: Place, limit: int) -> Step[Place]:
    """Look at all that an index leads to."""
    [found] = await look.run([(sql, {**values, **place._asdict(), "limit": limit})])
    return Step(found, None)


async def step(look: Connection, sql: str, values: Mapping[str, Any], place: Place, limit: int) -> Step[Place]:
    """Look at the next webhooks, newest first; `values` have `least`, the first arrival that is wanted."""
    at = {"at": place.at, "webhook": place.webhook, "least": values["least"], "step": looks.STEP}
    [end] = await look.run([(END, at)])
    [(end_at, end_webhook)] = end or [(values["least"] - 1, cursors.LARGEST)]
    bound = {**values, **place._asdict(), **at, "end_at": end_at, "end_webhook": end_webhook, "limit": limit}
    [found] = await look.run([(sql, bound)])
    return Step(found, looks.of_webhook(end_at, end_webhook) if end else None)


def _place_of(row: Row) -> Place:
    return Place(row[0], row[1], row[2], row[8])


def record_of(row: Row) -> DeliveryRecord:
    """Return the delivery of a row of `COLUMNS`."""
    return replace(delivery_of(row[2:-7]), last=attempt_or_none(row[-7:]))


# ---- events, the oldest first

END_LATER = (
    "select received_at, seq from webhooks where (received_at, seq) >= (%(at)s, %(webhook)s)"
    " and received_at < %(most)s order by received_at, seq limit 1 offset %(step)s"
)
_IN_STEP_LATER = """(
  select received_at, seq from webhooks
  where (received_at, seq) >= (%(at)s, %(webhook)s) and (received_at, seq) < (%(end_at)s, %(end_webhook)s)
  order by received_at, seq limit %(step)s
) w"""
_BEHIND = "(w.received_at > %(at)s or w.seq > %(webhook)s or e.seq > %(past_event)s)"
_EVENT_COLUMNS = "w.received_at, w.seq, e.seq, e.id, e.payload, e.checksum"
_EVENT_ORDER = "order by w.received_at, w.seq, e.seq limit %(limit)s"
EVENTS = (
    f"select {_EVENT_COLUMNS} from {_IN_STEP_LATER} {EVENTS_OF_W}"
    f" where {_BEHIND} and {{which}} and {{where}} {_EVENT_ORDER}"
)
EVENTS_BY_ID = (
    f"select {_EVENT_COLUMNS} from events e {WEBHOOK_OF_E}"
    f" where (w.received_at, w.seq) >= (%(at)s, %(webhook)s) and {_BEHIND} and {{which}} and {{where}} {_EVENT_ORDER}"
)


async def events(
    look: Connection, wanted: Filter, limit: int, after: str | None, unrouted: bool, budget: timedelta | None
) -> Page[EventRecord]:
    """See `contract.OperationsStore.events`."""
    wanted = wanted.of_events()
    where, values = filter_sql(wanted)
    which = UNROUTED if unrouted else "e.kind = 'event'"
    place = looks.place("events", after) if after else Place(least(wanted.since), 0, 0, "")
    run: Callable[[Place, int], Awaitable[Step[Place]]]
    if await leads_to_events(look, wanted):
        run = partial(at_once, look, EVENTS_BY_ID.format(which=which, where=where), values)
    else:
        most = looks.newest(wanted.until).at + 1
        run = partial(_step_later, look, EVENTS.format(which=which, where=where), values | {"most": most})
    seen = await looks.look(run, place, limit, budget)
    return looks.page_of("events", seen, limit, lambda row: Place(row[0], row[1], row[2], ""), _event_of)


async def _step_later(look: Connection, sql: str, values: Mapping[str, Any], place: Place, limit: int) -> Step[Place]:
    at = {"at": place.at, "webhook": place.webhook, "most": values["most"], "step": looks.STEP}
    [end] = await look.run([(END_LATER, at)])
    [(end_at, end_webhook)] = end or [(values["most"], 0)]
    bound = {**values, **place._asdict(), **at, "end_at": end_at, "end_webhook": end_webhook, "limit": limit}
    [found] = await look.run([(sql, bound)])
    return Step(found, Place(end_at, end_webhook, 0, "") if end else None)


def _event_of(row: Row) -> EventRecord:
    _at, _webhook, _seq, id_, payload, checksum = row
    return EventRecord(id=id_, payload=payload, deliveries=(), corrupt=is_corrupt(payload, checksum, id_.encode()))
