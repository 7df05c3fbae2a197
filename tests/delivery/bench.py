"""A store and a dispatcher without intake: keep deliveries, and wait for what the lanes make of them."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from uuid_utils import uuid7

from relay.delivery.claim_at_insert import ClaimAtInsert
from relay.delivery.dispatcher import Dispatcher
from relay.model import Event, Health, Order, PlannedDelivery, RoutedEvent, State, Target, Webhook
from relay.signals import Attempted, BatchDivided, CircuitClosed, CircuitOpened, ClaimLost, Committed, Signal
from relay.store.records import AuditEntry, DeliveryRecord, Filter, KeepResult
from relay.store.requests import KeepRequest, Windows
from relay.store.sqlite.store import SqliteStore
from tests.delivery.conftest import HANG

SHORT = timedelta(milliseconds=200)


def now() -> datetime:
    return datetime.now(UTC)


def event_id(number: int) -> str:
    return f"event-{number:05}"


def act(**details: object) -> AuditEntry:
    return AuditEntry(id=str(uuid7()), at=now(), who="olga@host", command="test", details=details)


def keep(
    claiming: ClaimAtInsert, webhook: Webhook, routed: Sequence[RoutedEvent], window: timedelta | None = None
) -> asyncio.Future[KeepResult]:
    """Keep one webhook as intake would, and have its reply as a future."""
    reply = asyncio.get_running_loop().create_future()

    def on_replies(replies: Sequence[KeepResult | Exception]) -> None:
        if isinstance(replies[0], Exception):
            reply.set_exception(replies[0])
        else:
            reply.set_result(replies[0])

    claiming.keep_many([KeepRequest(webhook, routed, None, Windows(window))], on_replies)
    return reply


class Bench:
    """Use as `async with Bench(folder, target, …) as bench`. What is kept is delivered at once, as intake would."""

    def __init__(self, folder: Path, *targets: Target, clock: Callable[[], datetime] = now) -> None:
        self.path = folder / "relay.db"
        self._clock = clock
        self.attempted: list[Attempted] = []
        self.circuits: list[CircuitOpened | CircuitClosed] = []
        self.lost: list[ClaimLost] = []
        self.divided: list[BatchDivided] = []
        self._targets = {target.name: target for target in targets}
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.store = self._open()
        self._loop = asyncio.get_running_loop()
        self.dispatcher = Dispatcher(store=self.store, emit=self.on_signal, clock=self._clock)
        self.dispatcher.recall(await self.store.published_health())
        self.dispatcher.use(self._targets)
        self._running = asyncio.create_task(self.dispatcher.run())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._running.cancel()
        await self.dispatcher.stop(SHORT)
        await self.store.close()

    def _open(self) -> SqliteStore:
        return SqliteStore.open(self.path, now=self._clock(), emit=self.on_signal, failed=lambda: None)

    def stop_polling(self) -> None:
        """The dispatcher asks the store no more; its lanes go on."""
        self._running.cancel()

    def count_looks(self) -> Callable[[], int]:
        """How often a lane asks the store for what is due, from now on."""
        claim, times = self.store.claim, 0

        async def counting(*asked: Any, **more: Any) -> Any:
            nonlocal times
            times += 1
            return await claim(*asked, **more)

        self.store.claim = counting  # type: ignore[method-assign]
        return lambda: times

    def use(self, *targets: Target) -> None:
        self._targets = {target.name: target for target in targets}
        self.dispatcher.use(self._targets)

    async def keep(
        self,
        numbers: Sequence[int],
        *,
        lead: Callable[[int], int] = int,
        payload: bytes = b"{}",
        body: bytes = b"",
    ) -> None:
        """Store one event per number, about the lead `lead(number)`, with a delivery to every target, in one commit."""
        received_at = self._clock()
        webhook = Webhook(id=f"webhook-{numbers[0]:05}", source="crm", received_at=received_at, body=body)
        routed = [self._routed(number, lead(number), received_at, payload) for number in numbers]
        await keep(ClaimAtInsert(self.store, self.dispatcher), webhook, routed)

    def _routed(self, number: int, lead: int, received_at: datetime, payload: bytes) -> RoutedEvent:
        event = Event(
            id=event_id(number),
            source="crm",
            received_at=received_at,
            account={},
            entity="leads",
            action="update",
            data={"id": lead},
        )
        planned = tuple(
            PlannedDelivery(
                target=target.name,
                routes=("all",),
                key=f"leads/{lead}" if target.order is Order.ENTITY else None,
            )
            for target in self._targets.values()
        )
        return RoutedEvent(event=event, payload=payload, planned=planned)

    async def deliveries(self, **wanted: object) -> list[DeliveryRecord]:
        """In order of arrival."""
        return (await self.store.find(Filter(**wanted), limit=10_000))[::-1]

    async def delivery(self, number: int) -> DeliveryRecord:
        """With its attempts; of the first target."""
        shown = await self.store.show(event_id(number))
        [event] = [event for event in shown.events if event.id == event_id(number)]
        return event.deliveries[0]

    async def pending(self, target: str = "bot") -> int:
        return (await self.store.count(Filter(states=(State.PENDING,), target=target))).get(target, 0)

    async def until(self, check: Callable[[], bool], *, within: float = HANG) -> None:
        """Looks after every attempt and every commit."""
        async with asyncio.timeout(within):
            while not check():
                self._news.clear()
                await self._news.wait()

    async def until_attempted(self, times: int, *, within: float = HANG) -> None:
        await self.until(lambda: len(self.attempted) >= times, within=within)

    async def until_none_pending(self, target: str = "bot", *, within: float = HANG) -> None:
        async with asyncio.timeout(within):
            while await self._any_pending(target):
                await self._news.wait()

    async def _any_pending(self, target: str) -> bool:
        self._news.clear()  # before the look: what is committed after it wakes us
        return await self.pending(target) > 0

    async def until_reported(self, target: str, health: Health, *, within: float = HANG) -> None:
        """Looks into the store after every commit."""
        async with asyncio.timeout(within):
            while not await self._reported(target, health):
                await self._news.wait()

    async def _reported(self, target: str, health: Health) -> bool:
        self._news.clear()  # before the look: what is committed after it wakes us
        found = (await self.store.status()).targets.get(target)
        return found is not None and found.condition is not None and found.condition.health == health

    def on_signal(self, signal: Signal) -> None:
        if isinstance(signal, Attempted):
            self.attempted.append(signal)
            self._news.set()
        if isinstance(signal, Committed):  # told by the store's thread
            self._loop.call_soon_threadsafe(self._news.set)
        if isinstance(signal, CircuitOpened | CircuitClosed):
            self.circuits.append(signal)
        if isinstance(signal, ClaimLost):
            self.lost.append(signal)
        if isinstance(signal, BatchDivided):
            self.divided.append(signal)
