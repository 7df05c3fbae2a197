"""The story of an object, unrouted events by their type, refused requests -> records; see `question_contract`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import apsw
import orjson

from relay.store import looks, refused_rows, unrouted_rows
from relay.store.activity import Activity, as_json
from relay.store.heal_rows import UNROUTED
from relay.store.looks import Look, Place
from relay.store.question_records import (
    AttemptFilter,
    MadeAttempt,
    RefusedMinute,
    RefusedTotal,
    StoryEvent,
    UnroutedKind,
)
from relay.store.records import DeliveryRecord, Filter, Page, Report
from relay.store.rows import page, story_of
from relay.store.sqlite import attempts, listings, target_conditions
from relay.store.sqlite.reading import filter_sql
from relay.store.sqlite.sql import Run, rows
from relay.store.times import to_ms

_STORY = (
    "select w.received_at, w.seq, e.seq, e.id, e.payload, e.checksum, w.id, w.source, w.received_at, w.kind = 'heal'"
)
_BEHIND = "(w.received_at < :at or w.seq < :webhook or e.seq < :past_event)"
_ORDER = "order by w.received_at desc, w.seq desc, e.seq desc limit :limit"
STORY = (
    f"{_STORY} from events e cross join webhooks w on w.seq = e.webhook where {{where}}"
    f" and (w.received_at, w.seq) <= (:at, :webhook) and {_BEHIND} {_ORDER}"
)
STORY_WALK = (
    f"{_STORY} from webhooks w cross join events e on e.webhook = w.seq"
    f" where {listings.IN_STEP} and {{where}} and {_BEHIND} {_ORDER}"
)
STORY_DELIVERIES = (
    f"select {listings.COLUMNS} from json_each(:events) i cross join events e on e.seq = i.value"
    " cross join webhooks w on w.seq = e.webhook cross join deliveries d on d.event = e.seq"
    f" {listings.LAST_ATTEMPT} order by d.event, d.target"
)
KINDS = (
    "select e.entity, e.action, count(*), min(w.received_at), max(w.received_at)"
    " from webhooks w cross join events e on e.webhook = w.seq"
    f" where {listings.IN_STEP} and e.kind = 'event'"
    f" and {UNROUTED} and {{where}} group by e.entity, e.action"
)
REFUSED = (
    "select minute, source, reason, count, last_at, detail, remote, address from refused"
    " where minute >= :least and minute <= :minute"
    " and (minute < :minute or (source, reason) > (:after_source, :after_reason))"
    " and (:source is null or source = :source) and (:reason is null or reason = :reason)"
    " order by minute desc, source, reason limit :limit"
)
RECORD_REFUSED = (
    "insert into refused (minute, source, reason, count, last_at, detail, remote, address)"
    " values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (minute, source, reason) do update set"
    " count = max(count, excluded.count), last_at = excluded.last_at, detail = excluded.detail,"
    " remote = excluded.remote, address = excluded.address"
)

REFUSED_TOTALS = (
    "select source, reason, sum(count), max(last_at) from refused where minute >= ?"
    " group by source, reason order by source, reason"
)


class SqliteQuestions:
    """A `QuestionStore` by the connections of a store."""

    def __init__(self, read: Run, write: Run) -> None:
        self._read = read
        self._write = write

    async def attempts(
        self, wanted: AttemptFilter, *, limit: int, before: str | None = None, budget: timedelta | None = None
    ) -> Page[MadeAttempt]:
        return await attempts.attempts(self._read, wanted, limit, before, budget)

    async def story(
        self, entity: str, entity_id: str, *, limit: int, before: str | None = None, budget: timedelta | None = None
    ) -> Page[StoryEvent]:
        wanted = Filter(entity=entity, entity_id=entity_id)
        place = looks.place("story", before) if before else looks.newest(None)
        few = await self._read(partial(listings.leads_to_events, wanted=wanted))
        where, values = filter_sql(wanted, walked=not few)
        run = (
            partial(listings.at_once, sql=STORY.format(where=where), values=values)
            if few
            else partial(listings.step, sql=STORY_WALK.format(where=where), values={**values, "least": 0})
        )
        seen = await looks.look(lambda at, left: self._read(partial(run, place=at, limit=left)), place, limit, budget)
        return await self._read(partial(_story, seen=seen, limit=limit))

    async def unrouted_kinds(self, wanted: Filter, *, budget: timedelta | None = None) -> Page[UnroutedKind]:
        where, values = filter_sql(wanted.of_events())
        values |= {"least": 0 if wanted.since is None else to_ms(wanted.since)}
        run = partial(listings.step, sql=KINDS.format(where=where), values=values)
        first = looks.newest(wanted.until)
        every = unrouted_rows.MOST
        seen = await looks.look(lambda at, left: self._read(partial(run, place=at, limit=left)), first, every, budget)
        return await self._read(lambda _cursor: unrouted_rows.page(seen))

    async def refused(
        self,
        *,
        source: str | None = None,
        reason: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int,
        before: str | None = None,
    ) -> Page[RefusedMinute]:
        values = refused_rows.values(source, reason, since, until, limit, before)
        return await self._read(partial(_refused, values=values, limit=limit))

    async def record_refused(self, refused: Sequence[RefusedMinute]) -> None:
        def write(cursor: apsw.Cursor) -> None:
            for each in refused:
                rows(cursor, RECORD_REFUSED, refused_rows.write(each))
            rows(cursor, "delete from refused where minute < ?", (refused_rows.oldest(refused),))

        if refused:
            await self._write(write)

    async def refused_totals(self, *, since: datetime) -> Sequence[RefusedTotal]:
        first = refused_rows.first_minute(since)
        return await self._read(lambda cursor: [*map(refused_rows.total, rows(cursor, REFUSED_TOTALS, (first,)))])

    @property
    def relay(self) -> str:
        return ""

    async def published(self, name: str) -> Sequence[Report]:
        found = await self._read(target_conditions.reports)
        return [found[name]] if name in found else []

    async def record_activity(self, activity: Activity, *, now: datetime) -> None:
        name, value = target_conditions.ACTIVITY, as_json(activity)
        await self._write(lambda cursor: target_conditions.publish(cursor, name, value, now))

    async def activity(self) -> Sequence[Activity]:
        return await self._read(target_conditions.activity)

    async def own_activity(self) -> Activity | None:
        return next(iter(await self.activity()), None)


def _refused(cursor: apsw.Cursor, values: dict[str, Any], limit: int) -> Page[RefusedMinute]:
    return page("refused", rows(cursor, REFUSED, values), limit, lambda row: tuple(row[:3]), refused_rows.read)


def _story(cursor: apsw.Cursor, seen: Look[Place], limit: int) -> Page[StoryEvent]:
    deliveries: dict[int, list[DeliveryRecord]] = {}
    for row in rows(
        cursor, STORY_DELIVERIES, {"events": orjson.dumps([each[2] for each in seen.rows[:limit]]).decode()}
    ):
        deliveries.setdefault(row[2], []).append(listings.record_of(row))
    return looks.page_of(
        "story",
        seen,
        limit,
        lambda row: Place(row[0], row[1], row[2], ""),
        lambda row: story_of(row[2:], deliveries.get(row[2], ())),
    )
