"""The PostgreSQL store: several relays, each with three connections, share one database."""

import asyncio
import time
from asyncio import Future
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self

from relay.errors import StoreBusy, StoreFailed
from relay.model import Delivery, Json, Outcome, Retention, RoutedEvent, Verdict, Webhook
from relay.model.heal import Hook
from relay.signals import Emit
from relay.store.archive import ArchiveFolder
from relay.store.audit_filter import AuditFilter
from relay.store.buried import without_buried
from relay.store.contract import CLOSED
from relay.store.postgres import (
    acts,
    audit,
    conditions,
    dismiss,
    durability,
    gone,
    ingest,
    listings,
    purge,
    reading,
    replay,
    status,
)
from relay.store.postgres.acts import Acts
from relay.store.postgres.batch import Batch
from relay.store.postgres.buried import mark_erased
from relay.store.postgres.clock import NOW, DatabaseClock
from relay.store.postgres.connection import Connection, Transaction
from relay.store.postgres.delivery_queue import DeliveryQueue
from relay.store.postgres.enrichments import PostgresEnrichments
from relay.store.postgres.erasure import PostgresErasure
from relay.store.postgres.guards import Guards
from relay.store.postgres.healing import PostgresHealing
from relay.store.postgres.membership import Membership
from relay.store.postgres.migrate import check_schema, is_migrated, keep_indexed, migrate
from relay.store.postgres.questions import PostgresQuestions
from relay.store.postgres.snapshots import Snapshots
from relay.store.purge_loop import keep_purging
from relay.store.records import (
    AckGap,
    AuditEntry,
    DeliveryRecord,
    Due,
    EventRecord,
    Filter,
    ForgottenSpool,
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
from relay.store.times import span, to_ms, utc_now

MEASURED_EVERY = 60.0  # seconds
CLOSE_WITHIN = 1.0  # seconds for what is under way: a stop must not wait for a server that is away


class PostgresStore:
    """A store that several relays share; see `contract` for what each verb promises.

    `open` makes one of its owners, and connects at the first call; `visit` is for commands. Connections: `intake` for
    `keep` alone, `work` for claims, settles and acts, `look` for questions and the heartbeat. `disowned` is called when
    others have declared this relay dead: what it holds is others' by now. `clock_set` is called with the difference
    when the database's clock was set.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        name: str | None,
        emit: Emit,
        disowned: Callable[[], object] = lambda: None,
        clock_set: Callable[[timedelta], object] = lambda _by: None,
        machine: Callable[[], datetime] = utc_now,
        steady: Callable[[], float] = time.monotonic,
        prepare: bool = True,
        durable: bool = True,
    ) -> None:
        self._emit = emit
        self._steady = steady
        self._durable = durable
        self._name = name or ""
        self.clock = DatabaseClock(machine=machine, steady=steady)
        check = durability.check if durable else durability.check_version
        by_itself = {"by_itself": False} if name else {"gate": self._at_first}
        # a relay works on beside an unfit server; `ready` says what is wrong
        self._connection = partial(Connection, conninfo, prepare=prepare, on_connect=check)
        gated = partial(self._connection, gate=self._at_first, unfit_is_away=bool(name))
        self._intake = self._connection(name=f"{name} intake", **by_itself)
        self._work = gated(name=f"{name} work")
        self._look = gated(name=f"{name} look", questions=not name, between=self.give_way)
        self._preparing = asyncio.Lock()
        self._prepared = False
        self._closed = False
        self._used = 0
        self._membership: Membership | None = None
        if name:
            self._membership = Membership(
                name,
                clock=self.clock,
                steady=steady,
                work=self._work,
                look=self._look,
                emit=emit,
                disowned=disowned,
                clock_set=clock_set,
            )
        self._ingest = ingest.Ingest(self._intake, self._membership, emit=emit)
        self._keeping: Batch[KeepRequest, KeepResult] = Batch(self._keep_all, size=ingest.size)
        self._acts = Acts(self._work, emit)
        self.guard = Guards(self._look, self._work, self._acts, relay=self._name)
        self.healing = PostgresHealing(self._look, self._acts, self._name)
        self.enrichments = PostgresEnrichments(self._look, self._acts)
        self.erasure = PostgresErasure(self._look, self._acts, connect=self._connection, relay=self._name)
        self.questions = PostgresQuestions(self._look, self._work, relay=self._name)
        self._probes = conditions.ProbeRequests()
        self._snapshots = Snapshots(clock=self.clock, emit=emit)
        self._queue = DeliveryQueue(self._work, self._look, self._membership, clock=self.clock, emit=emit)

    @classmethod
    def open(
        cls,
        conninfo: str,
        *,
        name: str,
        emit: Emit,
        disowned: Callable[[], object],
        clock_set: Callable[[timedelta], object],
        prepare: bool = True,
        durable: bool = True,
    ) -> Self:
        """Own part of the store, as the relay of this name; nothing is connected yet.

        `durable`: refuse a server that may lose what it has committed. `prepare`: not behind a PgBouncer that pools by
        transaction.
        """
        return cls(
            conninfo,
            name=name,
            emit=emit,
            disowned=disowned,
            clock_set=clock_set,
            prepare=prepare,
            durable=durable,
        )

    @classmethod
    def visit(cls, conninfo: str, *, prepare: bool = True) -> Self:
        """Read and write beside the owners, for a command; whether commits last is theirs to check."""
        return cls(conninfo, name=None, emit=lambda _signal: None, prepare=prepare, durable=False)

    # ---- connected, migrated, registered

    @property
    def connections(self) -> int:
        """See `contract.SharedStore.connections`."""
        return self._intake.made

    @property
    def registered(self) -> bool:
        """See `contract.SharedStore.registered`."""
        return self.clock.known and self._membership is not None and self._membership.registry.tokens is not None

    async def ready(self) -> None:
        """See `contract.SharedStore.ready`."""
        await self._prepare(again=True)
        await self._intake.connect()

    async def look_in(self) -> None:
        """For a visitor: check the schema and read the database's clock, which `clock` has from now on."""
        await self._at_first()

    async def _at_first(self) -> None:
        if not self._prepared:
            await self._prepare(again=False)

    async def _prepare(self, *, again: bool) -> None:
        """Migrate and register, unless that is done; `again`: register anew if others have declared this relay dead."""
        async with self._preparing:
            if self._prepared and (self.registered or not (again and self._membership)):
                return
            if not self._membership:
                await self._work.transact(self._look_about, gated=False)
                self._prepared = True
                return
            if not await self._work.transact(is_migrated, gated=False):
                await migrate(self._work)
            tokens = await self._membership.register()
            self._prepared = True
            await self._membership.registered(tokens)

    async def _look_about(self, transaction: Transaction) -> None:
        await check_schema(transaction)
        [(now,)] = await transaction.rows(f"select {NOW}")
        self.clock.update(now)

    def background(
        self, retention: Callable[[], Retention], archive: Callable[[], ArchiveFolder | None] = lambda: None
    ) -> Sequence[Coroutine[Any, Any, None]]:
        """See `contract.OwnedStore.background`."""
        if not self._membership:
            return []
        return [
            self._membership.keep_alive(self.ready),
            keep_purging(
                self,
                retention=retention,
                archive=archive,
                wall=lambda: self.clock().timestamp(),
                steady=self._steady,
                emit=self._emit,
                mine=self.leads,
            ),
            keep_indexed(self._connection),
            self._keep_measured(),
            self._snapshots.keep_looking(self._look),
        ]

    async def _keep_measured(self) -> None:
        while True:
            with suppress(StoreBusy):
                [[(self._used,)]] = await self._look.run([(status.SIZE, ())])
            await asyncio.sleep(MEASURED_EVERY)

    def sizes(self) -> Sizes:
        """See `contract.OwnedStore.sizes`; what is free on the server's disk it does not tell."""
        return Sizes(used=self._used, free=0)

    def oldest_snapshot(self) -> OldSnapshot | None:
        """See `contract.OwnedStore.oldest_snapshot`."""
        return self._snapshots.oldest

    def doubts(self) -> str | None:
        """See `contract.OwnedStore.doubts`; a server that may lose commits is refused, or allowed."""
        if self._durable:
            return None
        return "by --insecure-durability fsync and full_page_writes may be off: a crash loses what was committed then"

    def spool(self) -> SpoolState | None:
        """See `contract.OwnedStore.spool`: the spool stands before this store."""
        return None

    def publish_config(self, digest: str) -> None:
        """See `contract.OwnedStore.publish_config`."""
        if self._membership:
            self._membership.registry.config = digest

    def publish_spool(self, webhooks: int | None, oldest_at: datetime | None) -> None:
        """See `contract.SharedStore.publish_spool`."""
        if self._membership:
            self._membership.registry.publish_spool(webhooks, oldest_at)

    async def close(self) -> None:
        """See `contract.Store.close`."""
        self._closed = True
        for each in (self._intake, self._work, self._look):
            each.give_up(CLOSE_WITHIN)
        await self._keeping.close()
        await self._queue.close()
        if self._membership:
            await self._membership.leave()
        for each in (self._intake, self._work, self._look):
            await each.close()

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
        return self._keeping.submit(KeepRequest(webhook, routed, now, Windows(window, dated), hooks))

    def keep_many(
        self, requests: Sequence[KeepRequest], on_replies: Callable[[Sequence[KeepResult | Exception]], object]
    ) -> None:
        self._keeping.submit_many(requests, on_replies)

    async def _keep_all(self, requests: Sequence[KeepRequest]) -> list[KeepResult]:
        return await self._ingest.keep_all(requests)

    async def missing(self, ids: Sequence[str]) -> set[str]:
        """See `contract.SharedStore.missing`."""
        self._demand_registered()
        return await self._ingest.missing(ids)

    async def forward(self, requests: Sequence[KeepRequest]) -> list[KeepResult | Exception]:
        """See `contract.SharedStore.forward`."""
        self._demand_registered()
        tombstones = await self.erasure.tombstones()
        pairs = [without_buried(each, tombstones) for each in requests]
        replies = await self._ingest.forward([request for request, _erased in pairs])
        for request, erased in pairs:
            if erased:
                mark = partial(mark_erased, webhook=request.webhook, events=erased, now=to_ms(self.clock()))
                await self._acts.commit(mark)
        return replies

    async def unconfirmed_erasures(self) -> Sequence[str]:
        """See `contract.SharedStore.unconfirmed_erasures`."""
        return await self.erasure.unconfirmed()

    async def confirm_erasures(self, acts: Sequence[str]) -> None:
        """See `contract.SharedStore.confirm_erasures`."""
        await self.erasure.confirm(acts)

    async def probe(self) -> None:
        self._demand_registered()
        await self._ingest.probe()

    def _demand_registered(self) -> None:
        """A verb of intake never connects by itself: a new server may need other webhooks first."""
        if self._closed:
            raise StoreFailed(CLOSED)
        if self._membership and not self.registered:
            raise StoreBusy("this relay is not registered")

    # ---- what operators ask and do

    async def give_way(self) -> None:
        await self._keeping.readers.wait()

    async def status(self) -> Status:
        return status.status(await self._look.run(status.statements()))

    async def losses(self) -> Sequence[AckGap]:
        [found] = await self._look.run([(status.LOSSES, ())])
        return status.losses(found)

    async def record_losses(self, gaps: Sequence[AckGap]) -> None:
        """See `contract.SharedStore.record_losses`."""
        await self._work.run([acts.record_losses(self._name, gaps)])

    async def show(self, id_: str) -> WebhookRecord | None:
        return await reading.show(self._look, id_)

    async def starting(self, start: str, *, limit: int) -> list[str]:
        return await reading.starting(self._look, start, limit)

    async def find(
        self, wanted: Filter, *, limit: int, before: str | None = None, budget: timedelta | None = None
    ) -> Page[DeliveryRecord]:
        return await listings.deliveries(self._look, wanted, limit, before, budget)

    async def count(self, wanted: Filter, *, replayable: bool = False) -> Mapping[str, int]:
        return await reading.count(self._look, wanted, replayable)

    async def unparsed(
        self, *, limit: int, after: str | None = None, dismissed: bool = False, most: int | None = None
    ) -> Page[Webhook]:
        return await reading.unparsed(self._look, limit, after, dismissed, most)

    async def webhooks(
        self,
        *,
        limit: int,
        max_bytes: int,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
    ) -> Page[WebhookRecord]:
        return await reading.webhooks(self._look, span(since, until), limit, max_bytes, after)

    async def events(
        self,
        wanted: Filter,
        *,
        limit: int,
        after: str | None = None,
        unrouted: bool = False,
        budget: timedelta | None = None,
    ) -> Page[EventRecord]:
        return await listings.events(self._look, wanted, limit, after, unrouted, budget)

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
        wanted = AuditFilter(id=id_, who=who, command=command, since=since, until=until)
        return await audit.latest(self._look, limit, before, wanted)

    async def audit_changes(self, after: str | None) -> tuple[str, list[AuditEntry]]:
        return await audit.changed(self._look, after)

    async def replay(self, wanted: Filter, act: AuditEntry, *, rate: float | None = None) -> int:
        return await replay.replay(self._look, self._acts, wanted, act, rate)

    async def reroute(
        self, routed: Sequence[RoutedEvent], act: AuditEntry, *, rate: float | None = None, missing: bool = False
    ) -> int:
        return await replay.reroute(self._acts, routed, act, rate, missing=missing)

    async def reroutable(self, routed: Sequence[RoutedEvent], *, missing: bool = False) -> Mapping[str, int]:
        return await replay.reroutable(self._look, routed, missing=missing)

    async def drop(self, target: str, act: AuditEntry) -> int:
        return await dismiss.drop(self._look, self._acts, target, act)

    async def dismiss(self, wanted: Filter, act: AuditEntry) -> int:
        return await dismiss.dismiss(self._look, self._acts, wanted, act)

    async def dismiss_unparsed(self, ids: Sequence[str], act: AuditEntry) -> int:
        return await dismiss.dismiss_unparsed(self._acts, ids, act)

    async def pause(self, target: str, act: AuditEntry) -> bool:
        return await self._acts.pause(target, act)

    async def resume(self, target: str, act: AuditEntry) -> bool:
        return await self._acts.resume(target, act)

    async def reparse(
        self, webhook: Webhook, routed: Sequence[RoutedEvent], act: AuditEntry, hooks: Sequence[Hook] = ()
    ) -> bool:
        return await self._acts.reparse(webhook, routed, act, hooks)

    async def end_sessions(self, act: AuditEntry) -> None:
        await self._acts.end_sessions(act)

    async def record_audit(self, act: AuditEntry, count: int) -> None:
        await self._acts.record_audit(act, count)

    async def forget_spool(self, start: str, act: AuditEntry) -> ForgottenSpool:
        """See `gone.forget_spool`."""
        return await self._acts.commit(lambda transaction: gone.forget_spool(transaction, start, act))

    async def accept_losses(self, act: AuditEntry) -> int:
        return await self._acts.accept_losses(act)

    async def purge(
        self,
        retention: Retention,
        *,
        now: datetime,
        act: AuditEntry | None = None,
        dry_run: bool = False,
        archive: ArchiveFolder | None = None,
    ) -> Mapping[str, int]:
        counts = await purge.purge(self._look, self._acts, retention, now, act, dry_run, archive)
        if not dry_run:
            await self.healing.purge(now)
        return counts

    # ---- delivery

    def owns(self) -> bool:
        return self._membership is not None and self._membership.owns()

    def leads(self) -> bool:
        return self._membership is not None and self._membership.owns() and self._membership.shares.leads()

    def share(self, target: str) -> tuple[int, int]:
        return self._membership.shares.part(target) if self._membership else (1, 1)

    async def claim(
        self, target: str, *, limit: int, max_bytes: int, now: datetime, lease: timedelta
    ) -> list[Delivery]:
        if self._closed:
            raise StoreFailed(CLOSED)
        if not self._prepared:
            await self._look.run([])  # through its gate
        return await self._queue.claim(target, limit=limit, max_bytes=max_bytes, now=now, lease=lease)

    def settle(self, delivery: Delivery, outcome: Outcome, verdict: Verdict, *, now: datetime) -> Future[bool]:
        return self._queue.settle(Settlement(delivery, outcome, verdict, now))

    def settle_many(
        self,
        settlements: Sequence[Settlement],
        on_replies: Callable[[Sequence[bool | Exception]], object],
        *,
        may_wait: bool = False,
    ) -> None:
        self._queue.settle_many(settlements, on_replies, may_wait=may_wait)

    async def release(self, deliveries: Sequence[Delivery], *, now: datetime) -> int:
        return await self._queue.release(deliveries, now)

    async def due(self, targets: Sequence[str]) -> Due:
        due = await self._queue.due(targets)
        return replace(due, probes=self._probes.unmet(due.probes))

    async def fulfil_probes(self, requested: Mapping[str, datetime]) -> None:
        await self._work.run([self._probes.meet(requested, self.clock())])

    async def publish_health(self, reports: Mapping[str, HealthReport]) -> None:
        await self._work.run(conditions.publish_health(self._name, reports))

    async def published_health(self) -> Mapping[str, HealthReport]:
        [found] = await self._look.run([(status.CONDITIONS, ())])
        return status.health(found)

    async def publish(self, name: str, value: Json, *, now: datetime) -> None:
        await self._work.run([conditions.publish(self._name, name, value, now)])
