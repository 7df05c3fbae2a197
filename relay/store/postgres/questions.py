"""The story of an object, unrouted events by their type, refused requests -> records; see `question_contract`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import orjson

from relay.store import looks, refused_rows, unrouted_rows
from relay.store.activity import Activity, as_json, of_json
from relay.store.heal_rows import UNROUTED
from relay.store.looks import Place
from relay.store.postgres import attempts, conditions, listings
from relay.store.postgres.acts import columns
from relay.store.postgres.connection import Connection
from relay.store.postgres.filters import filter_sql
from relay.store.postgres.text import clean, clean_or_none
from relay.store.question_records import (
    ACTIVITY_KEPT,
    AttemptFilter,
    MadeAttempt,
    RefusedMinute,
    RefusedTotal,
    StoryEvent,
    UnroutedKind,
)
from relay.store.records import DeliveryRecord, Filter, Page, Report
from relay.store.rows import page, story_of
from relay.store.times import from_ms, to_ms

_STORY = (
    "select w.received_at, w.seq, e.seq, e.id, e.payload, e.checksum, o.id, o.source, o.received_at, o.kind = 'heal'"
)
_ITS_WEBHOOK = "cross join lateral (select * from webhooks where seq = e.webhook offset 0) o"
_BEHIND = "(w.received_at < %(at)s or w.seq < %(webhook)s or e.seq < %(past_event)s)"
_ORDER = "order by w.received_at desc, w.seq desc, e.seq desc limit %(limit)s"
STORY = (
    f"{_STORY} from events e {_ITS_WEBHOOK} cross join lateral (select o.received_at, o.seq) w"
    f" where {{where}} and (w.received_at, w.seq) <= (%(at)s, %(webhook)s) and {_BEHIND} {_ORDER}"
)
STORY_WALK = (
    f"{_STORY} from {listings.IN_STEP} {listings.EVENTS_OF_W} {_ITS_WEBHOOK} where {{where}} and {_BEHIND} {_ORDER}"
)
STORY_DELIVERIES = (
    f"select {listings.COLUMNS} from unnest(%(events)s::bigint[]) i"
    f" cross join lateral (select * from events where seq = i offset 0) e {listings.WEBHOOK_OF_E}"
    f" {listings.DELIVERIES_OF_E} {listings.LAST_ATTEMPT} order by d.event, d.target"
)
KINDS = (
    "select e.entity, e.action, count(*), min(w.received_at), max(w.received_at)"
    f" from {listings.IN_STEP} {listings.EVENTS_OF_W}"
    f" where e.kind = 'event' and {UNROUTED} and {{where}} group by e.entity, e.action"
)
REFUSED = """
select minute, source, reason, sum(count)::bigint, max(last_at), (array_agg(detail order by last_at desc))[1],
  (array_agg(remote order by last_at desc))[1], (array_agg(address order by last_at desc))[1]
from refused
where minute >= %(least)s and minute <= %(minute)s
  and (minute < %(minute)s or (source, reason) > (%(after_source)s, %(after_reason)s))
  and (%(source)s::text is null or source = %(source)s::text)
  and (%(reason)s::text is null or reason = %(reason)s::text)
group by minute, source, reason order by minute desc, source, reason limit %(limit)s
"""
RECORD_REFUSED = """
insert into refused as r (minute, source, reason, count, last_at, detail, remote, address, relay)
select c.*, %s from unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[],
  %s::text[]) c
on conflict (minute, source, reason, relay) do update set count = greatest(r.count, excluded.count),
  last_at = excluded.last_at, detail = excluded.detail, remote = excluded.remote, address = excluded.address
"""
REFUSED_TOTALS = """
select source, reason, sum(count)::bigint, max(last_at) from refused where minute >= %s
group by source, reason order by source, reason
"""
PUBLISHED = "select relay, as_of, value from reports where name = %s order by as_of desc, relay"
ACTIVITY = "select relay, value from reports where name = %s order by as_of desc, relay"
OLD_ACTIVITY = "delete from reports where name = %s and as_of < %s"


class PostgresQuestions:
    """A `QuestionStore` by the connections of a store; `relay`: what it has refused."""

    def __init__(self, look: Connection, work: Connection, *, relay: str) -> None:
        self._look = look
        self._work = work
        self._relay = relay

    async def attempts(
        self, wanted: AttemptFilter, *, limit: int, before: str | None = None, budget: timedelta | None = None
    ) -> Page[MadeAttempt]:
        return await attempts.attempts(self._look, wanted, limit, before, budget)

    async def story(
        self, entity: str, entity_id: str, *, limit: int, before: str | None = None, budget: timedelta | None = None
    ) -> Page[StoryEvent]:
        wanted = Filter(entity=entity, entity_id=entity_id)
        where, values = filter_sql(wanted)
        place = looks.place("story", before) if before else looks.newest(None)
        run = (
            partial(listings.at_once, self._look, STORY.format(where=where), values)
            if await listings.leads_to_events(self._look, wanted)
            else partial(listings.step, self._look, STORY_WALK.format(where=where), {**values, "least": 0})
        )
        seen = await looks.look(run, place, limit, budget)
        [rows] = await self._look.run([(STORY_DELIVERIES, {"events": [each[2] for each in seen.rows[:limit]]})])
        deliveries: dict[int, list[DeliveryRecord]] = {}
        for row in rows:
            deliveries.setdefault(row[2], []).append(listings.record_of(row))
        return looks.page_of(
            "story",
            seen,
            limit,
            lambda row: Place(row[0], row[1], row[2], ""),
            lambda row: story_of(row[2:], deliveries.get(row[2], ())),
        )

    async def unrouted_kinds(self, wanted: Filter, *, budget: timedelta | None = None) -> Page[UnroutedKind]:
        where, values = filter_sql(wanted.of_events())
        values |= {"least": listings.least(wanted.since)}
        run = partial(listings.step, self._look, KINDS.format(where=where), values)
        seen = await looks.look(run, looks.newest(wanted.until), unrouted_rows.MOST, budget)
        return unrouted_rows.page(seen)

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
        values = refused_rows.values(clean_or_none(source), clean_or_none(reason), since, until, limit, before)
        [found] = await self._look.run([(REFUSED, values)])
        return page("refused", found, limit, lambda row: tuple(row[:3]), refused_rows.read)

    async def record_refused(self, refused: Sequence[RefusedMinute]) -> None:
        if not refused:
            return
        rows = [
            tuple(clean(each) if isinstance(each, str) else each for each in refused_rows.write(one)) for one in refused
        ]
        await self._work.run(
            [
                (RECORD_REFUSED, (self._relay, *columns(rows, 8))),
                ("delete from refused where minute < %s", (refused_rows.oldest(refused),)),
            ]
        )

    async def refused_totals(self, *, since: datetime) -> Sequence[RefusedTotal]:
        [found] = await self._look.run([(REFUSED_TOTALS, (refused_rows.first_minute(since),))])
        return [*map(refused_rows.total, found)]

    @property
    def relay(self) -> str:
        return self._relay

    async def published(self, name: str) -> Sequence[Report]:
        [found] = await self._look.run([(PUBLISHED, (name,))])
        return [Report(as_of=from_ms(as_of), value=orjson.loads(value), relay=relay) for relay, as_of, value in found]

    async def record_activity(self, activity: Activity, *, now: datetime) -> None:
        await self._work.run(
            [
                conditions.publish(self._relay, conditions.ACTIVITY, as_json(activity), now),
                (OLD_ACTIVITY, (conditions.ACTIVITY, to_ms(now - ACTIVITY_KEPT))),
            ]
        )

    async def activity(self) -> Sequence[Activity]:
        return [each for _relay, each in await self._activity()]

    async def own_activity(self) -> Activity | None:
        return next((each for relay, each in await self._activity() if relay == self._relay), None)

    async def _activity(self) -> list[tuple[str, Activity]]:
        [found] = await self._look.run([(ACTIVITY, (conditions.ACTIVITY,))])
        return [(relay, read) for relay, value in found if (read := of_json(orjson.loads(value)))]
