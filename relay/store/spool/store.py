"""A shared store with a spool before it, as one store: intake may go through the spool, every other verb does not."""

import asyncio
import time
from asyncio import Future
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from relay.errors import StoreBusy, StoreError
from relay.model import Delivery, Json, Outcome, Retention, RoutedEvent, Verdict, Webhook
from relay.model.heal import Hook
from relay.signals import Emit, SpoolLeft, SpoolOpened
from relay.store.archive import ArchiveFolder
from relay.store.contract import EnrichStore, ErasureStore, GuardStore, HealStore, QuestionStore, SharedStore
from relay.store.records import (
    AckGap,
    AuditEntry,
    DeliveryRecord,
    Due,
    EventRecord,
    Filter,
    HealthReport,
    KeepResult,
    OldSnapshot,
    Page,
    Sizes,
    SpoolState,
    Status,
    WebhookRecord,
)
from relay.store.requests import KeepRequest, Settlement, Windows
from relay.store.spool.erasing import keep_erasing
from relay.store.spool.forward import Forwarder
from relay.store.spool.intake import HEDGE, HOLD, Intake, OnReplies
from relay.store.spool.tail import Tail
from relay.store.sqlite.spool import SqliteSpool

PROBE = 1.0  # seconds for the shared store; then the spool shows whether anything can be committed
COUNTED_WITHIN = 1.0  # seconds of a stop, for what is on its way to the spool


class SpoolingStore:
    """An `OwnedStore`; see `contract` for what each verb promises.

    Webhooks are spooled until `background` has found the shared store ready. `late`, in the event loop, gets deliveries
    claimed for webhooks that the shared store committed after the spool had replied; without it they are released.
    """

    def __init__(
        self,
        shared: SharedStore,
        spool: SqliteSpool,
        *,
        emit: Emit,
        late: Callable[[Sequence[Delivery]], object] | None = None,
        hedge: float = HEDGE,
        hold: float = HOLD,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._spool = spool
        self._emit = emit
        self._admit = late
        self._paused: frozenset[str] | None = None  # not known yet
        self._releasing: set[asyncio.Task[None]] = set()
        tail = Tail(steady)
        self._intake = Intake(
            shared, spool, tail=tail, late=self._on_late, emit=emit, clock=self.clock, hedge=hedge, hold=hold
        )
        self._forwarder = Forwarder(shared, spool, self._intake, tail=tail, emit=emit)
        self._forwarder.publish()
        emit(SpoolOpened(file=str(spool.path), relay=spool.name, webhooks=spool.waiting))

    # ---- intake

    def keep(
        self,
        webhook: Webhook,
        routed: Sequence[RoutedEvent],
        *,
        now: datetime | None = None,
        window: timedelta | None = None,
        dated: timedelta | None = None,
        hooks: Sequence[Hook] = (),
    ) -> Future[KeepResult]:
        done: Future[KeepResult] = asyncio.get_running_loop().create_future()

        def resolve(replies: Sequence[KeepResult | Exception]) -> None:
            [reply] = replies
            if done.done():
                return  # the caller was cancelled
            if isinstance(reply, Exception):
                done.set_exception(reply)
            else:
                done.set_result(reply)

        self.keep_many([KeepRequest(webhook, routed, now, Windows(window, dated), hooks)], resolve)
        return done

    def keep_many(self, requests: Sequence[KeepRequest], on_replies: OnReplies) -> None:
        self._intake.keep_many(requests, on_replies)

    def _on_late(self, claimed: Sequence[Delivery]) -> None:
        if self._admit is not None:
            self._admit(claimed)
            return
        task = asyncio.get_running_loop().create_task(self._release(claimed))
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    async def _release(self, claimed: Sequence[Delivery]) -> None:
        with suppress(StoreError):  # their leases end
            await self._shared.release(claimed, now=self.clock())

    def spool(self) -> SpoolState:
        intake, spool = self._intake, self._spool
        return SpoolState(
            direct=intake.direct,
            since=intake.since,
            why=intake.why,
            forwarding=self._forwarder.forwarding and not intake.direct,
            webhooks=spool.waiting,
            oldest_at=spool.oldest_at,
            size=spool.sizes().used,
            refused=spool.refused,
            relay=spool.name,
        )

    def publish_config(self, digest: str) -> None:
        self._shared.publish_config(digest)

    # ---- what both have a part in

    def clock(self) -> datetime:
        if self._shared.registered:
            return self._shared.clock()
        return self._spool.clock() + self._spool.clock_offset

    async def probe(self) -> None:
        if self._intake.direct:
            with suppress(StoreBusy, TimeoutError):
                async with asyncio.timeout(PROBE):
                    return await self._shared.probe()
        return await self._spool.probe()

    async def due(self, targets: Sequence[str]) -> Due:
        """Nothing is due while the shared store is away, and what was paused stays so; StoreBusy until it is known."""
        try:
            due = await self._shared.due(targets)
        except StoreBusy:
            if self._paused is None:
                raise
            return Due(at={}, paused=self._paused)
        self._paused = due.paused
        return due

    async def losses(self) -> Sequence[AckGap]:
        return (*await self._spool.losses(), *await self._shared_losses())

    async def _shared_losses(self) -> Sequence[AckGap]:
        try:
            return await self._shared.losses()
        except StoreBusy:
            return ()

    async def give_way(self) -> None:
        await self._shared.give_way()

    async def status(self) -> Status:
        status, losses = await self._shared.status(), await self._spool.losses()
        return replace(status, losses=(*losses, *status.losses))

    async def accept_losses(self, act: AuditEntry) -> int:
        return await self._shared.accept_losses(act) + await self._spool.accept_losses(act)

    def sizes(self) -> Sizes:
        """The size of the shared store, and the room that the spool has."""
        return Sizes(used=self._shared.sizes().used, free=self._spool.sizes().free)

    def oldest_snapshot(self) -> OldSnapshot | None:
        return self._shared.oldest_snapshot()

    def doubts(self) -> str | None:
        return "; ".join(filter(None, (self._spool.doubts(), self._shared.doubts()))) or None

    def background(
        self, retention: Callable[[], Retention], archive: Callable[[], ArchiveFolder | None] = lambda: None
    ) -> Sequence[Coroutine[Any, Any, None]]:
        return [
            *self._shared.background(retention, archive),
            *self._spool.background(retention),
            self._forwarder.run(),
            keep_erasing(self._shared, self._spool),
        ]

    async def close(self) -> None:
        self._intake.stop()
        try:
            await self._publish_last()
            await self._shared.close()
        finally:
            await self._spool.close()
            if left := self._spool.waiting + self._spool.refused:
                self._emit(SpoolLeft(webhooks=left, file=str(self._spool.path)))

    async def _publish_last(self) -> None:
        """Report what the spool holds once nothing is on its way there: a stopped relay may leave webhooks behind."""
        try:
            async with asyncio.timeout(COUNTED_WITHIN):
                await self._intake.written()
        except TimeoutError:
            self._shared.publish_spool(None, None)
        else:
            self._forwarder.publish()

    # ---- the shared store's

    @property
    def guard(self) -> GuardStore:
        return self._shared.guard

    def leads(self) -> bool:
        return self._shared.leads()

    @property
    def healing(self) -> HealStore:
        return self._shared.healing

    @property
    def erasure(self) -> ErasureStore:
        return self._shared.erasure

    @property
    def enrichments(self) -> EnrichStore:
        return self._shared.enrichments

    @property
    def questions(self) -> QuestionStore:
        return self._shared.questions

    def owns(self) -> bool:
        return self._shared.owns()

    def share(self, target: str) -> tuple[int, int]:
        return self._shared.share(target)

    async def claim(
        self, target: str, *, limit: int, max_bytes: int, now: datetime, lease: timedelta
    ) -> list[Delivery]:
        return await self._shared.claim(target, limit=limit, max_bytes=max_bytes, now=now, lease=lease)

    def settle(self, delivery: Delivery, outcome: Outcome, verdict: Verdict, *, now: datetime) -> Future[bool]:
        return self._shared.settle(delivery, outcome, verdict, now=now)

    def settle_many(
        self,
        settlements: Sequence[Settlement],
        on_replies: Callable[[Sequence[bool | Exception]], object],
        *,
        may_wait: bool = False,
    ) -> None:
        self._shared.settle_many(settlements, on_replies, may_wait=may_wait)

    async def release(self, deliveries: Sequence[Delivery], *, now: datetime) -> int:
        return await self._shared.release(deliveries, now=now)

    async def fulfil_probes(self, requested: Mapping[str, datetime]) -> None:
        await self._shared.fulfil_probes(requested)

    async def publish_health(self, conditions: Mapping[str, HealthReport]) -> None:
        await self._shared.publish_health(conditions)

    async def published_health(self) -> Mapping[str, HealthReport]:
        return await self._shared.published_health()

    async def publish(self, name: str, value: Json, *, now: datetime) -> None:
        await self._shared.publish(name, value, now=now)

    async def purge(
        self,
        retention: Retention,
        *,
        now: datetime,
        act: AuditEntry | None = None,
        dry_run: bool = False,
        archive: ArchiveFolder | None = None,
    ) -> Mapping[str, int]:
        return await self._shared.purge(retention, now=now, act=act, dry_run=dry_run, archive=archive)

    async def audit_changes(self, after: str | None) -> tuple[str, list[AuditEntry]]:
        return await self._shared.audit_changes(after)

    async def starting(self, start: str, *, limit: int) -> list[str]:
        return await self._shared.starting(start, limit=limit)

    async def find(
        self, wanted: Filter, *, limit: int, before: str | None = None, budget: timedelta | None = None
    ) -> Page[DeliveryRecord]:
        return await self._shared.find(wanted, limit=limit, before=before, budget=budget)

    async def count(self, wanted: Filter, *, replayable: bool = False) -> Mapping[str, int]:
        return await self._shared.count(wanted, replayable=replayable)

    async def show(self, id_: str) -> WebhookRecord | None:
        return await self._shared.show(id_)

    async def unparsed(
        self, *, limit: int, after: str | None = None, dismissed: bool = False, most: int | None = None
    ) -> Page[Webhook]:
        return await self._shared.unparsed(limit=limit, after=after, dismissed=dismissed, most=most)

    async def webhooks(
        self,
        *,
        limit: int,
        max_bytes: int,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
    ) -> Page[WebhookRecord]:
        return await self._shared.webhooks(limit=limit, max_bytes=max_bytes, since=since, until=until, after=after)

    async def events(
        self,
        wanted: Filter,
        *,
        limit: int,
        after: str | None = None,
        unrouted: bool = False,
        budget: timedelta | None = None,
    ) -> Page[EventRecord]:
        return await self._shared.events(wanted, limit=limit, after=after, unrouted=unrouted, budget=budget)

    async def replay(self, wanted: Filter, act: AuditEntry, *, rate: float | None = None) -> int:
        return await self._shared.replay(wanted, act, rate=rate)

    async def reroute(
        self, routed: Sequence[RoutedEvent], act: AuditEntry, *, rate: float | None = None, missing: bool = False
    ) -> int:
        return await self._shared.reroute(routed, act, rate=rate, missing=missing)

    async def reroutable(self, routed: Sequence[RoutedEvent], *, missing: bool = False) -> Mapping[str, int]:
        return await self._shared.reroutable(routed, missing=missing)

    async def drop(self, target: str, act: AuditEntry) -> int:
        return await self._shared.drop(target, act)

    async def dismiss(self, wanted: Filter, act: AuditEntry) -> int:
        return await self._shared.dismiss(wanted, act)

    async def dismiss_unparsed(self, ids: Sequence[str], act: AuditEntry) -> int:
        return await self._shared.dismiss_unparsed(ids, act)

    async def pause(self, target: str, act: AuditEntry) -> bool:
        return await self._shared.pause(target, act)

    async def resume(self, target: str, act: AuditEntry) -> bool:
        return await self._shared.resume(target, act)

    async def reparse(
        self, webhook: Webhook, routed: Sequence[RoutedEvent], act: AuditEntry, hooks: Sequence[Hook] = ()
    ) -> bool:
        return await self._shared.reparse(webhook, routed, act, hooks)

    async def end_sessions(self, act: AuditEntry) -> None:
        await self._shared.end_sessions(act)

    async def record_audit(self, act: AuditEntry, count: int) -> None:
        await self._shared.record_audit(act, count)

    async def audit(
        self,
        *,
        limit: int,
        before: str | None = None,
        id_: str | None = None,
        who: str | None = None,
        command: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page[AuditEntry]:
        return await self._shared.audit(
            limit=limit, before=before, id_=id_, who=who, command=command, since=since, until=until
        )
