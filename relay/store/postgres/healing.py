"""The `HealStore` of the PostgreSQL store: what the feed told, and what became of it."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from relay.model import Json
from relay.model.heal import APPROVED, HORIZON, HealCount, HealRecord, HealRequest, HealState, Span, StoredHook
from relay.model.webhooks import HEAL
from relay.store.heal_decision import Decision, RunSpan, decide, gaps
from relay.store.heal_rows import (
    ANYTHING,
    HOOK,
    RECORD,
    REQUEST,
    as_json,
    columns,
    count_of,
    hook_of,
    record_of,
    record_row,
    request_of,
    request_row,
)
from relay.store.postgres import audit, ingest
from relay.store.postgres.acts import Acts
from relay.store.postgres.arrays import Numbers, Texts
from relay.store.postgres.connection import Connection, Transaction
from relay.store.postgres.ingest_rows import Asked, asked_of
from relay.store.postgres.locks import TAKE, hashed_hook, locks
from relay.store.postgres.purge import PAUSE
from relay.store.postgres.text import clean
from relay.store.records import AuditEntry
from relay.store.requests import KeepRequest
from relay.store.stale import Happened, happened, mark_stale
from relay.store.times import from_ms, to_ms

T = TypeVar("T")

PAGE = 500  # rows that a transaction deletes

_COUNTS = """
select source, action, state, exactness, reason, count(*), max(at) from heal_events
group by source, action, state, exactness, reason order by source, action, state, exactness, reason
"""
_RECORDS = f"select {RECORD} from heal_events where at >= %(since)s and source = %(source)s"
_HOOKS = f"select {HOOK} from hook_index where until >= %(since)s and since <= %(until)s and source = %(source)s"
_OF_KEYS = (
    " and (channel, key) in (select wanted_channel, wanted_key"
    " from unnest(%(channels)s::text[], %(keys)s::text[]) wanted (wanted_channel, wanted_key))"
)
_STORED = f"""
select {RECORD} from heal_events where source = %(source)s and (channel, event_id) in (
  select wanted_channel, wanted_id from unnest(%(channels)s::text[], %(ids)s::text[]) wanted (wanted_channel, wanted_id)
)
"""
_CANDIDATES = f"""
select {HOOK} from hook_index where (webhook, item, channel, key) in (
  select w, i, c, k from unnest(%(webhooks)s::text[], %(items)s::bigint[], %(named_channels)s::text[],
    %(named_keys)s::text[]) named (w, i, c, k))
union
select {HOOK} from hook_index where source = %(source)s and matched is null and (channel, key) in (
  select c, k from unnest(%(channels)s::text[], %(keys)s::text[]) wanted (c, k))
  and since <= %(until)s and until >= %(since)s
"""
_RECORD = f"""
insert into heal_events ({RECORD})
select {RECORD} from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
  %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[],
  %s::text[], %s::bool[]) given ({RECORD})
on conflict (source, channel, event_id) do update set type = excluded.type, action = excluded.action,
  entity = excluded.entity, entity_id = excluded.entity_id, key = excluded.key, at = excluded.at,
  found_at = excluded.found_at, state = excluded.state, before = excluded.before, after = excluded.after,
  webhook = excluded.webhook, item = excluded.item, reason = excluded.reason, exactness = excluded.exactness,
  approved = excluded.approved
"""
_SPEND = """
update hook_index h set matched = spent.event_id
from unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::text[]) spent (webhook, item, channel, key, event_id)
where h.webhook = spent.webhook and h.item = spent.item and h.channel = spent.channel and h.key = spent.key
"""
_KIND = "update webhooks set kind = %s where id = any(%s::text[])"
_NEWER = """
select 1 from events e where left(e.entity_id, 64) = left(%(entity_id)s, 64) and e.entity_id = %(entity_id)s
  and e.entity = %(entity)s and e.received_at > %(at)s
  and (select w.kind from webhooks w where w.seq = e.webhook limit 1) <> %(kind)s limit 1
"""
_MARKS = """
insert into heal_marks as m (source, lane, upto)
select %s, lane, upto from unnest(%s::text[], %s::bigint[]) given (lane, upto)
on conflict (source, lane) do update set upto = greatest(m.upto, excluded.upto)
"""
_CHANNELS = """
with recursive found (channel) as (
  select min(channel) from hook_index where source = %(source)s
  union all select (select min(h.channel) from hook_index h where h.source = %(source)s and h.channel > found.channel)
  from found where found.channel is not null)
select channel from found where channel is not null order by channel
"""  # a seek for each, not a row for each hook
_FIRST = "select received_at from hook_index where source = %s order by webhook limit 1"
_APPROVE = """
update heal_events set approved = true where source = %s and state = 'waiting' and not approved returning 1
"""
_REQUEST = f"""
insert into heal_requests ({REQUEST}) values (%s, %s, %s, %s, %s, %s) on conflict (id) do nothing returning id
"""
_ANSWER = "update heal_requests set answer = %s where id = %s and answer is null"
_BEAT = """
insert into run_marks as m (relay, began_at, ended_at) values (%s, %s, %s)
on conflict (relay, began_at) do update set ended_at = greatest(m.ended_at, excluded.ended_at)
"""
_OLD_RECORDS = """
delete from heal_events where ctid = any(array(
  select ctid from heal_events where at < %(before)s
    and not (state = 'late_hook' and exists (select 1 from webhooks w where w.id = heal_events.webhook))
  order by at limit %(most)s)) and at < %(before)s returning 1
"""
_OLD_HOOKS = """
delete from hook_index where ctid = any(array(
  select ctid from hook_index where until < %(before)s order by until limit %(most)s)) and until < %(before)s
returning 1
"""
_OLD_REQUESTS = "delete from heal_requests where asked_at < %(before)s returning 1"
_OLD_RUNS = """
delete from run_marks where ended_at < %(before)s and ended_at < (select max(ended_at) from run_marks) returning 1
"""
_PURGE = (_OLD_RECORDS, _OLD_HOOKS, _OLD_REQUESTS, _OLD_RUNS)


class PostgresHealing:
    """See `contract.HealStore` for what each verb promises. `relay`: the name of this one."""

    def __init__(self, look: Connection, acts: Acts, relay: str) -> None:
        self._look = look
        self._acts = acts
        self._relay = relay
        self._run = RunSpan()

    # ---- what operators ask

    async def heal_counts(self) -> Sequence[HealCount]:
        return [count_of(row) for row in await self._rows(_COUNTS)]

    async def heal_marks(self, source: str) -> Mapping[str, datetime]:
        found = await self._rows("select lane, upto from heal_marks where source = %s", (source,))
        return {lane: from_ms(upto) for lane, upto in found}

    async def heal_records(
        self, source: str, *, since: datetime, states: Collection[HealState] | None = None
    ) -> Sequence[HealRecord]:
        sql = _RECORDS
        values: dict[str, Any] = {"source": source, "since": to_ms(since)}
        if states is not None:
            sql += " and state = any(%(states)s::text[])"
            values |= {"states": [each.value for each in states]}
        sql += " order by at, event_id, channel"
        return await asyncio.to_thread(_each, record_of, await self._rows(sql, values))

    async def channels(self, source: str) -> Sequence[str]:
        return [channel for (channel,) in await self._rows(_CHANNELS, {"source": source})]

    async def approve(self, source: str, act: AuditEntry) -> int:
        return await self._acts.commit(partial(_approve, source=source, act=act))

    async def request_heal(self, request: HealRequest, act: AuditEntry) -> None:
        await self._acts.commit(partial(_request, request=request, act=act))

    async def heal_requests(self, *, answered: bool = False) -> Sequence[HealRequest]:
        sql = f"select {REQUEST} from heal_requests where (answer is not null) = %s order by asked_at, id"
        return [request_of(row) for row in await self._rows(sql, (answered,))]

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
            sql += _OF_KEYS
            values |= {
                "channels": [clean(each) for each, _key in keys],
                "keys": [clean(each) for _channel, each in keys],
            }
        sql += " order by since, webhook, item, channel, key"
        return await asyncio.to_thread(_each, hook_of, await self._rows(sql, values))

    async def first_hook(self, source: str) -> datetime | None:
        found = await self._rows(_FIRST, (source,))
        return from_ms(found[0][0]) if found else None

    async def record_heal(
        self,
        source: str,
        records: Sequence[HealRecord],
        *,
        healed: Sequence[KeepRequest] = (),
        marks: Mapping[str, datetime] | None = None,
    ) -> Sequence[HealRecord]:
        asked = [asked_of(each, None) for each in healed]
        cleaned = [_cleaned(each) for each in records]
        return await self._acts.commit(partial(_record, source=source, records=cleaned, asked=asked, marks=marks or {}))

    async def answer_heal(self, id_: str, answer: Json) -> None:
        await self._acts.commit(lambda transaction: transaction.rows(_ANSWER, (as_json(answer), id_)))

    async def beat(self, now: datetime) -> None:
        began_at, ended_at = self._run.beat(now)
        values = (self._relay, to_ms(began_at), to_ms(ended_at))
        await self._acts.commit(lambda transaction: transaction.rows(_BEAT, values))

    async def outages(self, since: datetime) -> Sequence[Span]:
        found = await self._rows("select began_at, ended_at from run_marks")
        return gaps([Span(from_ms(began_at), from_ms(ended_at)) for began_at, ended_at in found], since)

    # ---- beside

    async def purge(self, now: datetime) -> None:
        """Delete what is older than `HORIZON`, in short transactions; not the last run, from which an outage counts."""
        if not await self._rows(ANYTHING):
            return
        before = {"before": to_ms(now - HORIZON), "most": PAGE}
        for sql in _PURGE:
            gone = PAGE
            while gone == PAGE:
                gone = len(await self._acts.commit(partial(_run, sql=sql, values=before)))
                await asyncio.sleep(PAUSE if gone else 0)  # a cancelled call stops here

    async def _rows(self, sql: str, values: Any = ()) -> list[tuple[Any, ...]]:
        [found] = await self._look.run([(sql, values)])
        return found


def _each(make: Callable[[tuple[Any, ...]], T], found: Sequence[tuple[Any, ...]]) -> list[T]:
    """In a thread: tens of thousands would hold up webhooks in the event loop."""
    return [make(row) for row in found]


async def _run(transaction: Transaction, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return await transaction.rows(sql, values)


async def _record(
    transaction: Transaction,
    source: str,
    records: Sequence[HealRecord],
    asked: Sequence[Asked],
    marks: Mapping[str, datetime],
) -> list[HealRecord]:
    await _lock(transaction, source, records, asked)
    stored = [record_of(row) for row in await transaction.rows(_STORED, _names(source, records))]
    hooks = await _candidates(transaction, source, records)
    decision = decide(records, stored, hooks, [each.request for each in asked])
    await _write(transaction, decision)
    if decision.healed:
        await _keep(transaction, decision.healed)
    if marks:
        await transaction.rows(_MARKS, (source, [*marks], [to_ms(upto) for upto in marks.values()]))
    return decision.records


async def _lock(transaction: Transaction, source: str, records: Sequence[HealRecord], asked: Sequence[Asked]) -> None:
    """Hold off who keeps what can match, and others of the keys of what is healed; all in one statement."""
    deciding = (HealState.MATCHED, HealState.HEALED)
    matching = [hashed_hook(source, each.channel, each.key) for each in records if each.state in deciding]
    if taken := locks([*matching, *(key for each in asked for key in each.locked())]):
        await transaction.rows(TAKE, (Numbers(taken),))


def _names(source: str, records: Sequence[HealRecord]) -> dict[str, Any]:
    return {
        "source": source,
        "channels": Texts(each.channel for each in records),
        "ids": Texts(each.event_id for each in records),
    }


async def _candidates(transaction: Transaction, source: str, records: Sequence[HealRecord]) -> list[StoredHook]:
    """The hooks that records name, and those that may match one that is to be healed."""
    named = [each for each in records if each.state is HealState.MATCHED and each.webhook is not None]
    healed = [each for each in records if each.state is HealState.HEALED]
    if not named and not healed:
        return []
    values = {
        "source": source,
        "webhooks": Texts(each.webhook for each in named),
        "items": Numbers(each.item for each in named),
        "named_channels": Texts(each.channel for each in named),
        "named_keys": Texts(each.key for each in named),
        "channels": Texts(each.channel for each in healed),
        "keys": Texts(each.key for each in healed),
        "since": min((to_ms(each.at) for each in healed), default=0),
        "until": max((to_ms(each.at) for each in healed), default=0),
    }
    return [hook_of(row) for row in await transaction.rows(_CANDIDATES, values)]


async def _write(transaction: Transaction, decision: Decision) -> None:
    if decision.written:
        await transaction.rows(_RECORD, columns([record_row(each) for each in decision.written], 18))
    if decision.spent:
        spent = [(*place, event) for place, event in decision.spent.items()]
        await transaction.rows(_SPEND, columns(spent, 5))


async def _keep(transaction: Transaction, healed: Sequence[KeepRequest]) -> None:
    overtaken = {each for each in happened(healed) if await transaction.rows(_NEWER, _newer(each))}
    await ingest.keep_healed(transaction, [mark_stale(each, overtaken) for each in healed])
    await transaction.rows(_KIND, (HEAL, [each.webhook.id for each in healed]))


def _newer(about: Happened) -> dict[str, object]:
    entity, entity_id = clean(about.entity), clean(about.entity_id)
    return {"entity": entity, "entity_id": entity_id, "at": to_ms(about.at), "kind": HEAL}


async def _approve(transaction: Transaction, source: str, act: AuditEntry) -> int:
    approved = len(await transaction.rows(_APPROVE, (source,)))
    await transaction.rows(_MARKS, (source, [APPROVED], [to_ms(act.at)]))
    return await audit.add(transaction, act, approved) + approved


async def _request(transaction: Transaction, request: HealRequest, act: AuditEntry) -> None:
    if await transaction.rows(_REQUEST, request_row(request)):
        await audit.add(transaction, act, 0)


def _cleaned(record: HealRecord) -> HealRecord:
    """Replace what PostgreSQL refuses in text, which came from a feed."""
    return replace(
        record,
        channel=clean(record.channel),
        event_id=clean(record.event_id),
        type=clean(record.type),
        action=clean(record.action),
        entity=clean(record.entity),
        entity_id=clean(record.entity_id),
        key=clean(record.key),
        reason=clean(record.reason),
    )
