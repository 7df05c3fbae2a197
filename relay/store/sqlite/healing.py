"""The `HealStore` of the SQLite store: what the feed told, and what became of it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

import apsw

from relay.model import Json
from relay.model.heal import APPROVED, HORIZON, HealCount, HealRecord, HealRequest, HealState, Span, StoredHook
from relay.model.webhooks import HEAL
from relay.store.buried import buried_heals
from relay.store.heal_decision import RunSpan, decide, gaps
from relay.store.heal_rows import (
    ANYTHING,
    COUNTS,
    HOOK,
    LAST_LOSS,
    RECORD,
    REQUEST,
    as_json,
    count_of,
    hook_of,
    record_of,
    record_row,
    request_of,
    request_row,
)
from relay.store.records import AuditEntry
from relay.store.requests import KeepRequest
from relay.store.sqlite import audit, ingest
from relay.store.sqlite.early_purge import ROOM_TO_WORK
from relay.store.sqlite.entity_index import ABOUT
from relay.store.sqlite.erasure import tombstones
from relay.store.sqlite.purge import PAUSE
from relay.store.sqlite.sql import Run, at_once, rows
from relay.store.stale import Happened, happened, mark_stale
from relay.store.times import from_ms, to_ms

T = TypeVar("T")

PAGE = 500  # rows that a transaction deletes

_STORED = f"select {RECORD} from heal_events where source = ? and channel = ? and event_id = ?"
# `+source`: without statistics the planner takes an index of the source alone, and so would read all of a week
_RECORDS = f"select {RECORD} from heal_events where at >= :since and +source = :source"
_OF_STATES = (
    f"select {RECORD} from (select value as wanted_state from json_each(:states))"
    " cross join heal_events where source = :source and state = wanted_state and at >= :since"
)
_HOOKS = f"select {HOOK} from hook_index where until >= :since and since <= :until and +source = :source"
_HOOKS_OF_KEYS = (
    f"select {HOOK} from (select value ->> 0 as wanted_channel, value ->> 1 as wanted_key from json_each(:keys))"
    " cross join hook_index where source = :source and channel = wanted_channel and key = wanted_key"
    " and since <= :until and until >= :since"
)
_FITTING = (
    f"select {HOOK} from hook_index where source = ? and channel = ? and key = ? and since <= ? and until >= ?"
    " and matched is null"
)
_NAMED = f"select {HOOK} from hook_index where webhook = ? and item = ? and channel = ? and key = ?"
_CHANNELS = """
with recursive found (channel) as (
  select min(channel) from hook_index where source = :source
  union all select (select min(h.channel) from hook_index h where h.source = :source and h.channel > found.channel)
  from found where found.channel is not null)
select channel from found where channel is not null order by channel
"""  # a seek for each, not a row for each hook
_TOLD_BY = (
    f"select {RECORD} from heal_events where source = :source and channel = 'account' and key >= :first and key < :end"
    " order by key, at"
)
_REQUEST_IDS = "select id, request_id from webhooks where id in (select value from json_each(?)) and request_id <> ''"
_FIRST = "select received_at from hook_index where source = ? order by webhook limit 1"
_RECORD = (
    f"insert into heal_events ({RECORD}) values {{(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)}}"
    " on conflict (source, channel, event_id) do update set type = excluded.type, action = excluded.action,"
    " entity = excluded.entity, entity_id = excluded.entity_id, key = excluded.key, at = excluded.at,"
    " found_at = excluded.found_at, state = excluded.state, before = excluded.before, after = excluded.after,"
    " webhook = excluded.webhook, item = excluded.item, reason = excluded.reason, exactness = excluded.exactness,"
    " approved = excluded.approved"
)
_APPROVE = (
    "update heal_events indexed by heal_events_state set approved = 1"
    " where source = ? and state = 'waiting' and approved = 0 returning 1"
)
_SPEND = "update hook_index set matched = ? where webhook = ? and item = ? and channel = ? and key = ?"
_MARKS = (
    "insert into heal_marks (source, lane, upto) values {(?, ?, ?)}"
    " on conflict (source, lane) do update set upto = max(upto, excluded.upto)"
)
_NEWER = (
    f"select 1 from events e join webhooks w on w.seq = e.webhook where {ABOUT} and e.entity = :entity"
    " and e.received_at > :at and w.kind <> :kind limit 1"
)
_REQUEST = f"insert into heal_requests ({REQUEST}) values (?, ?, ?, ?, ?, ?) on conflict (id) do nothing returning id"
_BEAT = (
    "insert into run_marks (began_at, ended_at) values (?, ?)"
    " on conflict (began_at) do update set ended_at = max(ended_at, excluded.ended_at)"
)
_OLD_RECORDS = (
    "delete from heal_events where (source, channel, event_id) in"
    " (select source, channel, event_id from heal_events where at < :before"
    " and not (state = 'late_hook' and exists (select 1 from webhooks w where w.id = heal_events.webhook))"
    " order by at limit :most) returning 1"
)
_OLD_HOOKS = (
    "delete from hook_index where (webhook, item, channel, key) in (select webhook, item, channel, key"
    " from hook_index where until < :before order by until limit :most) returning 1"
)
_OLD_REQUESTS = "delete from heal_requests where asked_at < :before returning 1"
_OLD_RUNS = (
    "delete from run_marks where ended_at < :before and began_at < (select max(began_at) from run_marks) returning 1"
)
_PURGE = (_OLD_RECORDS, _OLD_HOOKS, _OLD_REQUESTS, _OLD_RUNS)


class Write(Protocol):
    """Runs a function of a cursor in a transaction of the writer; see `WriteQueue.submit`."""

    def __call__(self, run: Callable[[apsw.Cursor], T], /, *, grows: int = 0) -> Awaitable[T]:
        """Return its result once it is committed."""
        ...


class SqliteHealing:
    """See `contract.HealStore` for what each verb promises.

    Records and hooks are made of rows in the reading thread: ten thousand would hold up webhooks in the event loop.
    """

    def __init__(self, read: Run, write: Write) -> None:
        self._read = read
        self._write = write
        self._run = RunSpan()

    # ---- what operators ask

    async def heal_counts(self) -> Sequence[HealCount]:
        return [count_of(row) for row in await self._read(lambda cursor: rows(cursor, COUNTS))]

    async def heal_marks(self, source: str) -> Mapping[str, datetime]:
        sql = "select lane, upto from heal_marks where source = ?"
        return {lane: from_ms(upto) for lane, upto in await self._read(lambda cursor: rows(cursor, sql, (source,)))}

    async def heal_records(
        self, source: str, *, since: datetime, states: Collection[HealState] | None = None
    ) -> Sequence[HealRecord]:
        sql = _RECORDS
        values: dict[str, Any] = {"source": source, "since": to_ms(since)}
        if states is not None:
            sql, values = _OF_STATES, values | {"states": as_json(sorted({each.value for each in states}))}
        sql += " order by at, event_id, channel"
        return await self._read(lambda cursor: [record_of(row) for row in rows(cursor, sql, values)])

    async def channels(self, source: str) -> Sequence[str]:
        found = await self._read(lambda cursor: rows(cursor, _CHANNELS, {"source": source}))
        return [channel for (channel,) in found]

    async def approve(self, source: str, act: AuditEntry) -> int:
        return await self._write(partial(_approve, source=source, act=act))

    async def request_heal(self, request: HealRequest, act: AuditEntry) -> None:
        await self._write(partial(_request, request=request, act=act))

    async def heal_requests(self, *, answered: bool = False) -> Sequence[HealRequest]:
        sql = f"select {REQUEST} from heal_requests where (answer is not null) = ? order by asked_at, id"
        return [request_of(row) for row in await self._read(lambda cursor: rows(cursor, sql, (answered,)))]

    # ---- what a scan needs

    async def hooks(
        self,
        source: str,
        *,
        since: datetime,
        until: datetime,
        keys: Collection[tuple[str, str]] | None = None,
    ) -> Sequence[StoredHook]:
        sql = _HOOKS
        values: dict[str, Any] = {"source": source, "since": to_ms(since), "until": to_ms(until)}
        if keys is not None:
            sql, values = _HOOKS_OF_KEYS, values | {"keys": as_json([*keys])}
        sql += " order by since, webhook, item, channel, key"
        return await self._read(lambda cursor: [hook_of(row) for row in rows(cursor, sql, values)])

    async def records_of_webhook_type(self, source: str, webhook_type: str) -> Sequence[HealRecord]:
        values = {"source": source, "first": f"{webhook_type}:", "end": f"{webhook_type};"}
        return await self._read(lambda cursor: [record_of(row) for row in rows(cursor, _TOLD_BY, values)])

    async def request_ids(self, webhooks: Collection[str]) -> Mapping[str, str]:
        found = await self._read(lambda cursor: rows(cursor, _REQUEST_IDS, (as_json([*webhooks]),)))
        return dict(found)

    async def first_hook(self, source: str) -> datetime | None:
        found = await self._read(lambda cursor: rows(cursor, _FIRST, (source,)))
        return from_ms(found[0][0]) if found else None

    async def last_loss(self) -> datetime | None:
        ((noticed_at,),) = await self._read(lambda cursor: rows(cursor, LAST_LOSS))
        return None if noticed_at is None else from_ms(noticed_at)

    async def record_heal(
        self,
        source: str,
        records: Sequence[HealRecord],
        *,
        healed: Sequence[KeepRequest] = (),
        marks: Mapping[str, datetime] | None = None,
        repeats: Collection[StoredHook] = (),
    ) -> Sequence[HealRecord]:
        record = partial(_record, source=source, records=records, healed=healed, marks=marks or {}, repeats=repeats)
        return await self._write(record, grows=ROOM_TO_WORK + sum(4 * len(each.webhook.body) for each in healed))

    async def answer_heal(self, id_: str, answer: Json) -> None:
        values = (as_json(answer), id_)
        sql = "update heal_requests set answer = ? where id = ? and answer is null"
        await self._write(lambda cursor: rows(cursor, sql, values))

    async def beat(self, now: datetime) -> None:
        values = tuple(map(to_ms, self._run.beat(now)))
        await self._write(lambda cursor: rows(cursor, _BEAT, values))

    async def outages(self, since: datetime) -> Sequence[Span]:
        sql = "select began_at, ended_at from run_marks"
        found = await self._read(lambda cursor: rows(cursor, sql))
        return gaps([Span(from_ms(began_at), from_ms(ended_at)) for began_at, ended_at in found], since)

    # ---- beside

    async def purge(self, now: datetime) -> None:
        """Delete what is older than `HORIZON`, in short transactions; not the last run, from which an outage counts."""
        if not await self._read(lambda cursor: rows(cursor, ANYTHING)):
            return
        before = {"before": to_ms(now - HORIZON), "most": PAGE}
        for sql in _PURGE:
            gone = PAGE
            while gone == PAGE:
                gone = len(await self._write(partial(rows, sql=sql, values=before)))
                await asyncio.sleep(PAUSE if gone else 0)  # a cancelled call stops here


def _record(
    cursor: apsw.Cursor,
    source: str,
    records: Sequence[HealRecord],
    healed: Sequence[KeepRequest],
    marks: Mapping[str, datetime],
    repeats: Collection[StoredHook],
) -> list[HealRecord]:
    records, healed = buried_heals(source, records, healed, tombstones(cursor) if records else ())
    stored, hooks = [*_stored(cursor, source, records)], [*_candidates(cursor, source, records)]
    decision = decide(records, stored, hooks, healed, repeats)
    at_once(cursor, _RECORD, [record_row(each) for each in decision.written])
    for place, event in decision.spent.items():
        cursor.execute(_SPEND, (event, *place))
    if decision.healed:
        _keep(cursor, decision.healed)
    at_once(cursor, _MARKS, [(source, lane, to_ms(upto)) for lane, upto in marks.items()])
    return decision.records


def _stored(cursor: apsw.Cursor, source: str, records: Sequence[HealRecord]) -> Iterator[HealRecord]:
    for each in records:
        yield from map(record_of, rows(cursor, _STORED, (source, each.channel, each.event_id)))


def _candidates(cursor: apsw.Cursor, source: str, records: Sequence[HealRecord]) -> Iterator[StoredHook]:
    """The hooks that records name, and those that may match one that is to be healed."""
    for each in records:
        if each.state is HealState.MATCHED and each.webhook is not None:
            yield from map(hook_of, rows(cursor, _NAMED, (each.webhook, each.item, each.channel, each.key)))
        elif each.state is HealState.HEALED:
            at = to_ms(each.at)
            yield from map(hook_of, rows(cursor, _FITTING, (source, each.channel, each.key, at, at)))


def _keep(cursor: apsw.Cursor, healed: Sequence[KeepRequest]) -> None:
    overtaken = {each for each in happened(healed) if rows(cursor, _NEWER, _newer(each))}
    ingest.keep_all(None, cursor, [mark_stale(each, overtaken) for each in healed])
    listed = as_json([each.webhook.id for each in healed])
    cursor.execute("update webhooks set kind = ? where id in (select value from json_each(?))", (HEAL, listed))


def _newer(about: Happened) -> dict[str, object]:
    return {"entity": about.entity, "entity_id": about.entity_id, "at": to_ms(about.at), "kind": HEAL}


def _approve(cursor: apsw.Cursor, source: str, act: AuditEntry) -> int:
    approved = len(rows(cursor, _APPROVE, (source,)))
    at_once(cursor, _MARKS, [(source, APPROVED, to_ms(act.at))])
    audit.add(cursor, act, approved)
    return audit.counted(cursor, act)


def _request(cursor: apsw.Cursor, request: HealRequest, act: AuditEntry) -> None:
    if rows(cursor, _REQUEST, request_row(request)):
        audit.add(cursor, act, 0)
