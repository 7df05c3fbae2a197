"""Acts of operators that touch no delivery, and what all acts share; each with its audit entry in one transaction."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from time import perf_counter
from typing import TypeVar

from relay.model import RoutedEvent, Webhook
from relay.model.heal import Hook
from relay.signals import Committed, Emit
from relay.store.buried import without_buried
from relay.store.postgres import audit, buried, ingest
from relay.store.postgres.connection import Connection, Interactive, Row, Statement, Transaction, Values
from relay.store.postgres.text import clean
from relay.store.records import AckGap, AuditEntry
from relay.store.requests import KeepRequest
from relay.store.session_key import new_key
from relay.store.times import to_ms

T = TypeVar("T")


class Acts:
    """Runs acts one transaction at a time, between the claims and settles of the same connection."""

    def __init__(self, work: Connection, emit: Emit) -> None:
        self._work = work
        self._emit = emit

    async def commit(self, act: Interactive[T]) -> T:
        """Run the act in a transaction; one that is cancelled meanwhile has ended when this returns."""
        start = perf_counter()
        running = asyncio.ensure_future(self._work.transact(act))
        try:
            done = await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # retrieved, or asyncio would log it
            raise
        self._emit(Committed(writes=1, took=timedelta(seconds=perf_counter() - start)))
        return done

    async def pause(self, target: str, act: AuditEntry) -> bool:
        """See `contract.OperationsStore.pause`."""
        sql = (
            "insert into pauses (target, paused_at, who, reason) values (%s, %s, %s, %s)"
            " on conflict (target) do nothing returning target"
        )
        reason = clean(str(act.details.get("reason", "")))
        return await self._once(sql, (clean(target), to_ms(act.at), clean(act.who), reason), act)

    async def resume(self, target: str, act: AuditEntry) -> bool:
        """See `contract.OperationsStore.resume`."""
        return await self._once("delete from pauses where target = %s returning target", (clean(target),), act)

    async def _once(self, sql: str, values: Values, act: AuditEntry) -> bool:
        async def change(transaction: Transaction) -> bool:
            changed = bool(await transaction.rows(sql, values))
            if changed:
                await audit.add(transaction, act, 1)
            return changed

        return await self.commit(change)

    async def reparse(
        self, webhook: Webhook, routed: Sequence[RoutedEvent], act: AuditEntry, hooks: Sequence[Hook]
    ) -> bool:
        """See `contract.OperationsStore.reparse`."""

        async def read(transaction: Transaction) -> bool:
            given = KeepRequest(webhook, routed, act.at, hooks=hooks)
            request, erased = without_buried(given, await buried.tombstones(transaction))
            done = await ingest.reparse(transaction, request.webhook, request.routed, act.at, hooks)
            if done and request.webhook.body != webhook.body:
                await buried.mark_erased(transaction, request.webhook, erased, to_ms(act.at))
            if done:
                await audit.add(transaction, act, 1)
            return done

        return await self.commit(read)

    async def record_audit(self, act: AuditEntry, count: int) -> None:
        """See `contract.OperationsStore.record_audit`."""
        await self.commit(lambda transaction: audit.record(transaction, act, count))

    async def end_sessions(self, act: AuditEntry) -> None:
        """See `contract.OperationsStore.end_sessions`."""
        sql = "update session_keys set key = %s where name = 'console'"

        async def end(transaction: Transaction) -> None:
            await transaction.rows(sql, (new_key(),))
            await audit.record(transaction, act, 1)

        await self.commit(end)

    async def accept_losses(self, act: AuditEntry) -> int:
        """See `contract.OperationsStore.accept_losses`."""
        sql = "update losses set accepted_at = %s where accepted_at is null returning count"

        async def accept(transaction: Transaction) -> int:
            count: int = sum(number for (number,) in await transaction.rows(sql, (to_ms(act.at),)))
            if count:
                await audit.add(transaction, act, count)
            return count

        return await self.commit(accept)


def record_losses(relay: str, gaps: Sequence[AckGap]) -> Statement:
    """The statement of `contract.SharedStore.record_losses`."""
    sql = (
        "insert into losses (relay, noticed_at, count, after)"
        " select %s, noticed_at, count, after from unnest(%s::bigint[], %s::bigint[], %s::bigint[])"
        " gaps (noticed_at, count, after) on conflict (relay, noticed_at, count) do nothing"
    )
    rows = [(to_ms(each.noticed_at), each.count, each.after and to_ms(each.after)) for each in gaps]
    return sql, (relay, *columns(rows, 3))


async def lock_webhooks(transaction: Transaction, events: Sequence[int]) -> None:
    """Keep a purge from the webhooks of these events; call this before a delivery of theirs becomes pending.

    A purge locks them for itself, and looks only then at what is pending.
    """
    sql = (
        "select 1 from webhooks where seq = any(array(select webhook from events where seq = any(%s::bigint[])))"
        " order by seq for key share"
    )
    await transaction.rows(sql, (list(events),))


def columns(rows: Sequence[Row], number: int) -> list[list[object]]:
    """Turn rows into the arrays that `unnest` takes."""
    return [[row[column] for row in rows] for column in range(number)]
