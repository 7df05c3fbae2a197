"""One target's lane: claimed deliveries -> attempts -> settled deliveries, as many at a time as the target takes.

admit ──▶ queue ──▶ work (at most `concurrency`) ──▶ send ──▶ decide ──▶ settle
            ▲
feed ◀── store: retries that are due, what a restart left, what did not fit into the queue
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta

from tenacity import AsyncRetrying, retry_if_exception_type, wait_fixed

from relay.delivery.breaker import Breaker, Health
from relay.delivery.render import render
from relay.delivery.retry import decide
from relay.delivery.send import Sender
from relay.errors import StoreBusy
from relay.model import Delivery, Order, Outcome, Reason, RetryAt, Target, Verdict
from relay.signals import Attempted, Emit
from relay.store.contract import Store

MAX_QUEUE = 256  # deliveries claimed ahead of their attempt
MAX_QUEUE_BYTES = 8 * 1024 * 1024


class Lane:
    """Everything for one target; nothing here waits for another target. Lives in one event loop."""

    def __init__(self, target: Target, *, store: Store, emit: Emit, clock: Callable[[], datetime]) -> None:
        self.target = target
        self.breaker = Breaker()
        self._store = store
        self._emit = emit
        self._clock = clock
        self._sender = Sender(clock=clock)
        self._queue: deque[Delivery] = deque()
        self._queue_bytes = 0
        self._behind = True  # the store may have due deliveries that are not in the queue
        self._feeding = False
        self._working = 0
        self._next_slot = 0.0  # loop time, for `rate`
        self._alarm: asyncio.TimerHandle | None = None
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- what comes in

    def lease(self) -> timedelta | None:
        """For how long a new delivery may be born claimed; None if it has to wait its turn in the store."""
        if self._behind or self._held() or self._full():
            self._behind = True
            return None
        return self._lease()

    def admit(self, deliveries: Iterable[Delivery]) -> None:
        """Take deliveries that are claimed by us."""
        for delivery in deliveries:
            self._queue.append(delivery)
            self._queue_bytes += len(delivery.payload)
        for _ in range(min(len(self._queue), self.target.concurrency - self._working)):
            self._working += 1
            self._spawn(self._work())

    def feed(self) -> None:
        """Look what the store has for us, unless we are looking, have enough, or the target is held."""
        if not (self._feeding or self._full() or self._shut() or self._stopping.is_set()):
            self._feeding = True
            self._spawn(self._feed())

    def expect(self, due_at: datetime) -> None:
        """Feed at that time, unless an earlier time is set already."""
        loop = asyncio.get_running_loop()
        when = loop.time() + max((due_at - self._clock()).total_seconds(), 0.0)
        if self._alarm and self._alarm.when() <= when:
            return
        if self._alarm:
            self._alarm.cancel()
        self._alarm = loop.call_at(when, self._ring)

    async def stop(self, grace: timedelta) -> None:
        """Begin nothing more; attempts in flight have `grace` to end; what was not begun goes back to the store."""
        self._stopping.set()
        if self._alarm:
            self._alarm.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace.total_seconds())
        for task in self._tasks:
            task.cancel()  # its delivery stays claimed: nobody knows what the target made of it
        await self._give_back()
        await self._sender.close()

    # ---- the store

    async def _feed(self) -> None:
        probing = self._held()
        try:
            deliveries = await self._claim(1 if probing else MAX_QUEUE - len(self._queue))
            due = {} if deliveries else await self._store.due([self.target.name])
        except StoreBusy:
            self._behind = True
            return  # the dispatcher looks again within a second
        finally:
            self._feeding = False
        if self._held() and not probing:
            await self._store.release(deliveries, now=self._clock())  # held while we were asking
        else:
            self.breaker = self.breaker.probe() if probing and deliveries else self.breaker
            self.admit(deliveries)
        if self.target.name in due:
            self.expect(due[self.target.name])

    async def _claim(self, limit: int) -> list[Delivery]:
        self._behind = False  # what arrives from now on may be born claimed, unless there is more than we can take
        deliveries = await self._store.claim(
            self.target.name,
            limit=limit,
            max_bytes=MAX_QUEUE_BYTES - self._queue_bytes,
            now=self._clock(),
            lease=self._lease(),
        )
        self._behind = self._behind or bool(deliveries)
        return deliveries

    async def _give_back(self) -> None:
        deliveries = list(self._queue)
        self._queue.clear()
        self._queue_bytes = 0
        if deliveries:
            await self._store.release(deliveries, now=self._clock())

    # ---- attempts

    async def _work(self) -> None:
        """Attempt after attempt, until the queue is empty or may not be touched."""
        try:
            while await self._may_go():
                delivery = self._queue.popleft()
                self._queue_bytes -= len(delivery.payload)
                if self._behind and len(self._queue) < MAX_QUEUE // 2:
                    self.feed()
                await self._attempt(delivery)
        finally:
            self._working -= 1  # no await since the queue was seen empty, or `admit` could miss that we left

    async def _may_go(self) -> bool:
        """True if there is a delivery to attempt now; waits for the next slot of `rate`."""
        if self.target.rate and self._queue:
            now = asyncio.get_running_loop().time()
            slot = max(now, self._next_slot)
            self._next_slot = slot + 1 / self.target.rate
            await _sleep_unless(self._stopping, slot - now)
        return bool(self._queue) and not self._stopping.is_set() and self.breaker.health is not Health.OPEN

    async def _attempt(self, delivery: Delivery) -> None:
        target = self.target
        outcome = await self._send(delivery, target)
        verdict = decide(delivery, outcome, target, now=self._clock(), roll=random.random())  # noqa: S311  jitter
        await self._settle(delivery, outcome, verdict)
        lag = self._clock() - delivery.received_at
        self._emit(Attempted(delivery=delivery, outcome=outcome, verdict=verdict, lag=lag))
        self._look_at(outcome)
        if isinstance(verdict, RetryAt):
            self.expect(verdict.due_at)
        elif target.order is Order.ENTITY:
            self.feed()  # the next one of this entity is due now

    async def _send(self, delivery: Delivery, target: Target) -> Outcome:
        try:
            request = render(delivery, target, now=self._clock())
            return await self._sender.send(request, timeout=target.timeout)
        except Exception as error:  # noqa: BLE001  one delivery that trips us must not stop the lane
            detail = f"the relay failed: {error!r}"
            return Outcome(reason=Reason.PROTOCOL, started_at=self._clock(), took=timedelta(), detail=detail)

    async def _settle(self, delivery: Delivery, outcome: Outcome, verdict: Verdict) -> None:
        # the attempt is made, and to forget it would repeat it: wait until the store can take it
        async for attempt in AsyncRetrying(retry=retry_if_exception_type(StoreBusy), wait=wait_fixed(1)):
            with attempt:
                await self._store.settle(delivery, outcome, verdict, now=self._clock())

    def _look_at(self, outcome: Outcome) -> None:
        """What this outcome says of the target's health."""
        before = self.breaker.health
        self.breaker = self.breaker.after(outcome, self.target, now=self._clock(), roll=random.random())  # noqa: S311
        if self.breaker.health is Health.OPEN and before is not Health.OPEN:
            self._behind = True
            self._spawn(self._give_back())
            self.expect(self.breaker.probe_at or self._clock())
        elif self.breaker.health is Health.OK and before is not Health.OK:
            self.feed()

    # ---- small questions

    def _held(self) -> bool:
        return self.breaker.health is not Health.OK

    def _shut(self) -> bool:
        """Held, and it is not yet time for a probe."""
        probe_at = self.breaker.probe_at
        return self._held() and (probe_at is None or probe_at > self._clock())

    def _full(self) -> bool:
        return len(self._queue) >= MAX_QUEUE or self._queue_bytes >= MAX_QUEUE_BYTES

    def _lease(self) -> timedelta:
        """Long enough for the last delivery of a full queue, each before it at its worst."""
        worst = self.target.timeout * (MAX_QUEUE // self.target.concurrency + 2)
        paced = timedelta(seconds=MAX_QUEUE / self.target.rate) if self.target.rate else timedelta()
        return worst + paced + timedelta(minutes=1)

    def _ring(self) -> None:
        self._alarm = None
        if self._shut() and self.breaker.probe_at:
            self.expect(self.breaker.probe_at)  # a timer may ring a little early
        self.feed()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not self._stopping.is_set():
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"lane {self.target.name}", "exception": error}
            )


async def _sleep_unless(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
