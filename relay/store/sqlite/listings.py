"""A filter -> deliveries, the newest first, or events, the oldest first, each page looked for in steps.

See `relay.store.looks`. What an index leads to needs no steps: an event's id, and, while it is little, what has the id
of an entity, and what is pending or dead.

Rows become records within a read, too: one that the disk has changed is a CorruptError there.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import apsw

from relay.model import State
from relay.store import cursors, looks
from relay.store.checksum import is_corrupt
from relay.store.heal_rows import UNROUTED
from relay.store.looks import Place, Step
from relay.store.records import DeliveryRecord, EventRecord, Filter, Page
from relay.store.rows import attempt_or_none, delivery_of
from relay.store.sqlite.entity_index import COUNT
from relay.store.sqlite.reading import DELIVERY_COLUMNS, filter_sql
from relay.store.sqlite.sql import Row, Run, rows
from relay.store.times import to_ms

NEWER = (
    "(w.received_at < :at or w.seq < :webhook or e.seq < :past_event"
    " or e.seq = :past_event and d.target > :past_target)"
)
"""SQL: a row of deliveries stands behind a place, if its webhook does not stand before it."""

LAST_ATTEMPT = (
    "left join attempts a on a.event = d.event and a.target = d.target and a.number ="
    " (select max(number) from attempts where event = d.event and target = d.target)"
)
ATTEMPT_COLUMNS = "a.number, a.started_at, a.took_us, a.verdict, a.reason, a.status, a.detail"
COLUMNS = f"w.received_at, w.seq, {DELIVERY_COLUMNS}, {ATTEMPT_COLUMNS}"
_ORDER = "order by w.received_at desc, w.seq desc, e.seq desc, d.target limit :limit"

END = (
    "select received_at, seq from webhooks where (received_at, seq) <= (:at, :webhook) and received_at >= :least"
    " order by received_at desc, seq desc limit 1 offset :step"
)
"""The first webhook beyond a step."""

IN_STEP = "(w.received_at, w.seq) <= (:at, :webhook) and (w.received_at, w.seq) > (:end_at, :end_webhook)"
# cross joins: in this order, whatever the planner thinks of a filter
WALK = (
    f"select {COLUMNS} from webhooks w cross join events e on e.webhook = w.seq"
    f" cross join deliveries d on d.event = e.seq {LAST_ATTEMPT} where {IN_STEP} and {NEWER} and {{where}} {_ORDER}"
)
BY_EVENT = (
    f"select {COLUMNS} from events e cross join webhooks w on w.seq = e.webhook"
    f" cross join deliveries d on d.event = e.seq {LAST_ATTEMPT}"
    f" where (w.received_at, w.seq) <= (:at, :webhook) and {NEWER} and {{where}} {_ORDER}"
)
UNSETTLED = {
    State.PENDING: "select event, target from deliveries where state = 'pending'",
    State.DEAD: "select event, target from deliveries where state = 'dead'",
}
"""What has partial indexes."""

BY_STATE = (
    f"select {COLUMNS} from ({{unsettled}}) i cross join deliveries d on d.event = i.event and d.target = i.target"
    f" cross join events e on e.seq = d.event cross join webhooks w on w.seq = e.webhook {LAST_ATTEMPT}"
    f" where (w.received_at, w.seq) <= (:at, :webhook) and {NEWER} and {{where}} {_ORDER}"
)


async def deliveries(
    read: Run, wanted: Filter, limit: int, before: str | None, budget: timedelta | None
) -> Page[DeliveryRecord]:
    """See `contract.OperationsStore.find`."""
    place = looks.place("deliveries", before) if before else looks.newest(_latest(wanted))
    sql = await read(partial(_indexed, wanted=wanted))
    where, values = filter_sql(wanted, walked=sql != BY_EVENT)
    if sql:
        run = partial(at_once, sql=sql.format(where=where), values=values)
    else:
        values |= {"least": _least(wanted.since)}
        run = partial(step, sql=WALK.format(where=where), values=values)
    seen = await looks.look(lambda at, left: read(partial(run, place=at, limit=left)), place, limit, budget)
    return await read(lambda _cursor: looks.page_of("deliveries", seen, limit, _place_of, record_of))


def _latest(wanted: Filter) -> datetime | None:
    """Nothing is settled before it arrives."""
    return min((each for each in (wanted.until, wanted.settled_until) if each), default=None)


def _least(since: datetime | None) -> int:
    return 0 if since is None else to_ms(since)


def _indexed(cursor: apsw.Cursor, wanted: Filter) -> str | None:
    """The statement that finds all by an index, if there is one."""
    if leads_to_events(cursor, wanted):
        return BY_EVENT
    if not wanted.states or State.DELIVERED in wanted.states:
        return None
    unsettled = " union all ".join(UNSETTLED[each] for each in dict.fromkeys(wanted.states))
    [(number,)] = rows(cursor, f"select count(*) from ({unsettled} limit {looks.FEW + 1})")
    return BY_STATE.replace("{unsettled}", unsettled) if number <= looks.FEW else None


def leads_to_events(cursor: apsw.Cursor, wanted: Filter) -> bool:
    """Whether ids lead to the events, and to few."""
    if wanted.event_ids or wanted.entity_id is None:
        return bool(wanted.event_ids)
    [(number,)] = rows(cursor, COUNT, {"entity_id": wanted.entity_id, "most": looks.FEW + 1})
    return bool(number <= looks.FEW)


def at_once(cursor: apsw.Cursor, sql: str, values: dict[str, Any], place: Place, limit: int) -> Step[Place]:
    """Look at all that an index leads to."""
    return Step(rows(cursor, sql, {**values, **place._asdict(), "limit": limit}), None)


def step(cursor: apsw.Cursor, sql: str, values: dict[str, Any], place: Place, limit: int) -> Step[Place]:
    """Look at the next webhooks, newest first; `values` have `least`, the first arrival that is wanted."""
    at = {"at": place.at, "webhook": place.webhook}
    end = rows(cursor, END, {**at, "least": values["least"], "step": looks.STEP})
    [(end_at, end_webhook)] = end or [(values["least"] - 1, cursors.LARGEST)]
    bound = {**values, **place._asdict(), "end_at": end_at, "end_webhook": end_webhook, "limit": limit}
    return Step(rows(cursor, sql, bound), looks.of_webhook(end_at, end_webhook) if end else None)


def _place_of(row: Row) -> Place:
    return Place(row[0], row[1], row[2], row[8])


def record_of(row: Row) -> DeliveryRecord:
    """Return the delivery of a row of `COLUMNS`."""
    return replace(delivery_of(row[2:-7]), last=attempt_or_none(row[-7:]))


# ---- events, the oldest first

END_LATER = (
    "select received_at, seq from webhooks where (received_at, seq) >= (:at, :webhook) and received_at < :most"
    " order by received_at, seq limit 1 offset :step"
)
_BEHIND = "(w.received_at > :at or w.seq > :webhook or e.seq > :past_event)"
_EVENT_COLUMNS = "w.received_at, w.seq, e.seq, e.id, e.payload, e.checksum"
_EVENT_ORDER = "order by w.received_at, w.seq, e.seq limit :limit"
EVENTS = (
    f"select {_EVENT_COLUMNS} from webhooks w cross join events e on e.webhook = w.seq"
    " where (w.received_at, w.seq) >= (:at, :webhook) and (w.received_at, w.seq) < (:end_at, :end_webhook)"
    f" and {_BEHIND} and {{which}} and {{where}} {_EVENT_ORDER}"
)
EVENTS_BY_ID = (
    f"select {_EVENT_COLUMNS} from events e cross join webhooks w on w.seq = e.webhook"
    f" where (w.received_at, w.seq) >= (:at, :webhook) and {_BEHIND} and {{which}} and {{where}} {_EVENT_ORDER}"
)


async def events(
    read: Run, wanted: Filter, limit: int, after: str | None, unrouted: bool, budget: timedelta | None
) -> Page[EventRecord]:
    """See `contract.OperationsStore.events`."""
    wanted = wanted.of_events()
    by_id = await read(partial(leads_to_events, wanted=wanted))
    where, values = filter_sql(wanted, walked=not by_id)
    which = UNROUTED if unrouted else "e.kind = 'event'"
    place = looks.place("events", after) if after else Place(_least(wanted.since), 0, 0, "")
    run: Callable[..., Step[Place]]
    if by_id:
        run = partial(at_once, sql=EVENTS_BY_ID.format(which=which, where=where), values=values)
    else:
        values |= {"most": looks.newest(wanted.until).at + 1}
        run = partial(_step_later, sql=EVENTS.format(which=which, where=where), values=values)
    seen = await looks.look(lambda at, left: read(partial(run, place=at, limit=left)), place, limit, budget)
    return await read(lambda _cursor: looks.page_of("events", seen, limit, _event_place, _event_of))


def _step_later(cursor: apsw.Cursor, sql: str, values: dict[str, Any], place: Place, limit: int) -> Step[Place]:
    at = {"at": place.at, "webhook": place.webhook}
    end = rows(cursor, END_LATER, {**at, "most": values["most"], "step": looks.STEP})
    [(end_at, end_webhook)] = end or [(values["most"], 0)]
    bound = {**values, **place._asdict(), "end_at": end_at, "end_webhook": end_webhook, "limit": limit}
    return Step(rows(cursor, sql, bound), Place(end_at, end_webhook, 0, "") if end else None)


def _event_place(row: Row) -> Place:
    return Place(row[0], row[1], row[2], "")


def _event_of(row: Row) -> EventRecord:
    _at, _webhook, _seq, id_, payload, checksum = row
    return EventRecord(id=id_, payload=payload, deliveries=(), corrupt=is_corrupt(payload, checksum, id_.encode()))
