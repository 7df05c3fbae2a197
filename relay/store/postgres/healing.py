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
from relay.store.buried import buried_heals
from relay.store.heal_decision import Decision, RunSpan, decide, gaps
from relay.store.heal_rows import (
    ANYTHING,
    COUNTS,
    LAST_LOSS,
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
from relay.store.postgres import audit, buried, healing_sql, ingest
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


class PostgresHealing:
    """See `contract.HealStore` for what each verb promises. `relay`: the name of this one."""

    def __init__(self, look: Connection, acts: Acts, relay: str) -> None:
        self._look = look
        self._acts = acts
        self._relay = relay
        self._run = RunSpan()

    # ---- what operators ask

    async def heal_counts(self) -> Sequence[HealCount]:
        return [count_of(row) for row in await self._rows(COUNTS)]

    async def heal_marks(self, source: str) -> Mapping[str, datetime]:
        found = await self._rows("select lane, upto from heal_marks where source = %s", (source,))
        return {lane: from_ms(upto) for lane, upto in found}

    async def heal_records(
        self, source: str, *, since: datetime, states: Collection[HealState] | None = None
    ) -> Sequence[HealRecord]:
        sql = healing_sql.RECORDS
        values: dict[str, Any] = {"source": source, "since": to_ms(since)}
        if states is not None:
            if not states:
                return []
            sql = healing_sql.of_states({*states})
        sql += " order by at, event_id, channel"
        return await asyncio.to_thread(_each, record_of, await self._rows(sql, values))

    async def channels(self, source: str) -> Sequence[str]:
        return [channel for (channel,) in await self._rows(healing_sql.CHANNELS, {"source": source})]

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
        sql = healing_sql.HOOKS
        values: dict[str, Any] = {"source": source, "since": to_ms(since), "until": to_ms(until)}
        if keys is not None:
            sql += healing_sql.OF_KEYS
            values |= {
                "channels": [clean(each) for each, _key in keys],
                "keys": [clean(each) for _channel, each in keys],
            }
        sql += " order by since, webhook, item, channel, key"
        return await asyncio.to_thread(_each, hook_of, await self._rows(sql, values))

    async def records_of_webhook_type(self, source: str, webhook_type: str) -> Sequence[HealRecord]:
        values = {"source": source, "first": f"{webhook_type}:", "end": f"{webhook_type};"}
        return await asyncio.to_thread(_each, record_of, await self._rows(healing_sql.TOLD_BY, values))

    async def request_ids(self, webhooks: Collection[str]) -> Mapping[str, str]:
        return dict(await self._rows(healing_sql.REQUEST_IDS, ([*webhooks],)))

    async def first_hook(self, source: str) -> datetime | None:
        found = await self._rows(healing_sql.FIRST, (source,))
        return from_ms(found[0][0]) if found else None

    async def last_loss(self) -> datetime | None:
        ((noticed_at,),) = await self._rows(LAST_LOSS)
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
        cleaned = [_cleaned(each) for each in records]

        async def record(transaction: Transaction) -> list[HealRecord]:
            erased = await buried.tombstones(transaction) if records else ()
            left, kept = buried_heals(source, cleaned, healed, erased)
            asked = [asked_of(each, None) for each in kept]
            return await _record(transaction, source, left, asked, marks or {}, repeats)

        return await self._acts.commit(record)

    async def answer_heal(self, id_: str, answer: Json) -> None:
        await self._acts.commit(lambda transaction: transaction.rows(healing_sql.ANSWER, (as_json(answer), id_)))

    async def beat(self, now: datetime) -> None:
        began_at, ended_at = self._run.beat(now)
        values = (self._relay, to_ms(began_at), to_ms(ended_at))
        await self._acts.commit(lambda transaction: transaction.rows(healing_sql.BEAT, values))

    async def outages(self, since: datetime) -> Sequence[Span]:
        found = await self._rows("select began_at, ended_at from run_marks")
        return gaps([Span(from_ms(began_at), from_ms(ended_at)) for began_at, ended_at in found], since)

    # ---- beside

    async def purge(self, now: datetime) -> None:
        """Delete what is older than `HORIZON`, in short transactions; not the last run, from which an outage counts."""
        if not await self._rows(ANYTHING):
            return
        before = {"before": to_ms(now - HORIZON), "most": PAGE}
        for sql in healing_sql.PURGE:
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
    repeats: Collection[StoredHook],
) -> list[HealRecord]:
    await _lock(transaction, source, records, asked)
    stored = [record_of(row) for row in await transaction.rows(healing_sql.STORED, _names(source, records))]
    hooks = await _candidates(transaction, source, records)
    decision = decide(records, stored, hooks, [each.request for each in asked], repeats)
    await _write(transaction, decision)
    if decision.healed:
        await _keep(transaction, decision.healed)
    if marks:
        await transaction.rows(healing_sql.MARKS, (source, [*marks], [to_ms(upto) for upto in marks.values()]))
    return decision.records


async def _lock(transaction: Transaction, source: str, records: Sequence[HealRecord], asked: Sequence[Asked]) -> None:
    """Lock against webhooks that can match, and the ordering keys of what is healed; all in one statement."""
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
    return [hook_of(row) for row in await transaction.rows(healing_sql.CANDIDATES, values)]


async def _write(transaction: Transaction, decision: Decision) -> None:
    if decision.written:
        await transaction.rows(healing_sql.ADD_RECORDS, columns([record_row(each) for each in decision.written], 18))
    if decision.spent:
        spent = [(*place, event) for place, event in decision.spent.items()]
        await transaction.rows(healing_sql.SPEND, columns(spent, 5))


async def _keep(transaction: Transaction, healed: Sequence[KeepRequest]) -> None:
    overtaken = {each for each in happened(healed) if await transaction.rows(healing_sql.NEWER, _newer(each))}
    await ingest.keep_healed(transaction, [mark_stale(each, overtaken) for each in healed])
    await transaction.rows(healing_sql.KIND, (HEAL, [each.webhook.id for each in healed]))


def _newer(about: Happened) -> dict[str, object]:
    entity, entity_id = clean(about.entity), clean(about.entity_id)
    return {"entity": entity, "entity_id": entity_id, "at": to_ms(about.at), "kind": HEAL}


async def _approve(transaction: Transaction, source: str, act: AuditEntry) -> int:
    approved = len(await transaction.rows(healing_sql.APPROVE, (source,)))
    await transaction.rows(healing_sql.MARKS, (source, [APPROVED], [to_ms(act.at)]))
    return await audit.add(transaction, act, approved) + approved


async def _request(transaction: Transaction, request: HealRequest, act: AuditEntry) -> None:
    if await transaction.rows(healing_sql.ADD_REQUEST, request_row(request)):
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
