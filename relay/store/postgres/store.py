"""The PostgreSQL store: several relays, each with three connections, share one database."""

import asyncio
import time
from asyncio import Future
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self

from relay.errors import StoreFailed
from relay.model import Delivery, Json, Outcome, Retention, RoutedEvent, Verdict, Webhook
from relay.signals import Emit
from relay.store.claim_tokens import Tokens
from relay.store.contract import CLOSED
from relay.store.postgres import conditions, durability, ingest
from relay.store.postgres.batch import Batch
from relay.store.postgres.clock import DatabaseClock
from relay.store.postgres.connection import Connection, Transaction
from relay.store.postgres.delivery_queue import DeliveryQueue
from relay.store.postgres.membership import Membership
from relay.store.postgres.migrate import migrate
from relay.store.records import Due, HealthReport, KeepResult
from relay.store.requests import KeepRequest, Settlement, Windows
from relay.store.times import utc_now


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
        self._name = name or ""
        self.clock = DatabaseClock(machine=machine, steady=steady)
        check = durability.check if durable else durability.check_version
        by_itself = {"by_itself": False} if name else {"gate": self._at_first}
        # a relay works on beside an unfit server; `ready` says what is wrong
        gated = partial(Connection, conninfo, prepare=prepare, on_connect=check, gate=self._at_first)
        self._intake = Connection(conninfo, name=f"{name} intake", prepare=prepare, on_connect=check, **by_itself)
        self._work = gated(name=f"{name} work", unfit_is_away=bool(name))
        self._look = gated(name=f"{name} look", unfit_is_away=bool(name))
        self._preparing = asyncio.Lock()
        self._prepared = False
        self._closed = False
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
        """Read and write beside the owners, for a command."""
        return cls(conninfo, name=None, emit=lambda _signal: None, prepare=prepare)

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

    async def _at_first(self) -> None:
        if not self._prepared:
            await self._prepare(again=False)

    async def _prepare(self, *, again: bool) -> None:
        """Migrate and register, unless that is done; `again`: register anew if others have declared this relay dead."""
        async with self._preparing:
            if self._prepared and (self.registered or not (again and self._membership)):
                return
            tokens = await self._work.transact(self._migrate_and_register, gated=False)
            self._prepared = True
            if self._membership and tokens:
                await self._membership.registered(tokens)

    async def _migrate_and_register(self, transaction: Transaction) -> Tokens | None:
        await migrate(transaction)
        return await self._membership.register(transaction) if self._membership else None

    def background(self, retention: Callable[[], Retention]) -> Sequence[Coroutine[Any, Any, None]]:
        """See `contract.OwnedStore.background`."""
        return [self._membership.keep_alive(self.ready)] if self._membership else []

    def publish_config(self, digest: str) -> None:
        """See `contract.OwnedStore.publish_config`."""
        if self._membership:
            self._membership.registry.config = digest

    def publish_spool(self, webhooks: int, oldest_at: datetime | None) -> None:
        """See `contract.SharedStore.publish_spool`."""
        if self._membership:
            self._membership.registry.publish_spool(webhooks, oldest_at)

    async def close(self) -> None:
        """See `contract.Store.close`."""
        self._closed = True
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
    ) -> Future[KeepResult]:
        return self._keeping.submit(KeepRequest(webhook, routed, now, Windows(window, dated)))

    def keep_many(
        self, requests: Sequence[KeepRequest], on_replies: Callable[[Sequence[KeepResult | Exception]], object]
    ) -> None:
        self._keeping.submit_many(requests, on_replies)

    async def _keep_all(self, requests: Sequence[KeepRequest]) -> list[KeepResult]:
        return await self._ingest.keep_all(requests)

    async def missing(self, ids: Sequence[str]) -> set[str]:
        """See `contract.SharedStore.missing`."""
        await self._intake_ready()
        return await self._ingest.missing(ids)

    async def forward(self, requests: Sequence[KeepRequest]) -> list[KeepResult | Exception]:
        """See `contract.SharedStore.forward`."""
        await self._intake_ready()
        return await self._ingest.forward(requests)

    async def probe(self) -> None:
        await self._intake_ready()
        await self._ingest.probe()

    async def _intake_ready(self) -> None:
        if self._closed:
            raise StoreFailed(CLOSED)
        await self.ready()

    # ---- delivery

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
        self._queue.settle_many(settlements, on_replies)

    async def release(self, deliveries: Sequence[Delivery], *, now: datetime) -> int:
        return await self._queue.release(deliveries, now)

    async def due(self, targets: Sequence[str]) -> Due:
        return await self._queue.due(targets)

    async def fulfil_probes(self, wishes: Mapping[str, datetime]) -> None:
        await self._work.run([conditions.fulfil_probes(wishes)])

    async def publish_health(self, reports: Mapping[str, HealthReport]) -> None:
        await self._work.run(conditions.publish_health(self._name, reports))

    async def publish(self, name: str, value: Json, *, now: datetime) -> None:
        await self._work.run([conditions.publish(self._name, name, value, now)])
