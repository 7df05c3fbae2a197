"""One target's lane: claimed deliveries -> attempts -> settled deliveries, as many at a time as the target takes.

admit ──▶ queue ──▶ work (at most `concurrency`, at its pace) ──▶ attempt ──▶ decide ──▶ settle
            ▲
feed ◀── store: retries that are due, what a restart left, what did not fit into the queue

While the target is held the queue is empty, but for the probe. A target that waits for its next request does not wait
for the disk: as many as may be attempted at a time are settled beside that. What is in flight or unsettled when the
relay is killed, at most twice its `concurrency`, the target sees again.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from relay.delivery.attempt import attempt
from relay.delivery.circuit import Circuit
from relay.delivery.queue import MARGIN, MAX_LENGTH, Queue, lease_for
from relay.delivery.rate_limiter import RateLimiter
from relay.delivery.retry import decide
from relay.delivery.retry_busy import retry_busy
from relay.delivery.send import Sender, origin
from relay.delivery.settlements import AttemptResult, Settlements
from relay.delivery.tasks import Tasks
from relay.delivery.timer import Timer
from relay.delivery.worker_pool import WorkerPool
from relay.errors import StoreBusy
from relay.http.client import Client, fast_client
from relay.model import Delivery, Health, Order, Outcome, Reason, RetryAt, Target
from relay.signals import Attempted, Emit
from relay.store.contract import Store

LOOK_AGAIN = timedelta(minutes=1)  # in the store, though nothing announced itself: a lease may have run out
LONGEST_NAP = 1.0  # seconds between looks at `rate`, which a reload may have changed


class Lane:
    """Everything for one target; nothing here waits for another target. Lives in one event loop."""

    def __init__(
        self,
        target: Target,
        *,
        store: Store,
        emit: Emit,
        clock: Callable[[], datetime],
        new_client: Callable[[], Client] = fast_client,
    ) -> None:
        self.target = target
        self.circuit = Circuit(emit=emit, clock=clock)
        self._store = store
        self._emit = emit
        self._clock = clock
        self._origin = origin(target.url)
        self._sender = Sender(clock=clock, new_client=new_client)
        self._queue = Queue()
        self._tasks = Tasks(f"lane {target.name}")
        self._behind = True  # the store may have due deliveries that are not in the queue
        self._paused = False
        self._hungry = False
        self._feeding = False
        self._workers = WorkerPool(self._work, most=self._most, begin=self._tasks.begin)
        self._pace = RateLimiter()
        self._alarm = Timer(self._ring)
        self._stopping = asyncio.Event()
        self._settling = Settlements(store, settled=self._settled, begin=self._tasks.begin, clock=clock)
        self._under_way: dict[str, float] = {}  # by event: when its attempt began, in loop time
        self._time = asyncio.get_running_loop().time
        self._set_lease(target)

    @property
    def health(self) -> Health:
        """Its state, as `relay_target_state` has it."""
        return Health.PAUSED if self._paused else self.circuit.health

    @property
    def under_way(self) -> Mapping[str, float]:
        """The events of the attempts that are under way, and since when, in loop time."""
        return self._under_way

    def use(self, target: Target) -> None:
        """Go on with these settings. If they are new the target is not held: it may be another one now.

        Attempts under way go on. At another host, or port, they take no place of those that may be made now; else they
        do, and end as the new `timeout` has it.
        """
        if target != self.target:
            self.circuit.reset()
            self._pace = RateLimiter()
        self.target = target
        self._set_lease(target)
        self._origin = origin(target.url)
        self._sender.bound(self._origin, target.timeout)
        self._workers.move(self._origin)
        self._workers.recount()
        self._workers.call(len(self._queue))
        self.feed()

    def pause(self, *, on: bool) -> None:
        """Paused, nothing is begun, and what is in flight ends; going on, the store is looked through at once."""
        if on == self._paused:
            return
        self._paused = on
        if on:
            self._hold_back()
        else:
            self.feed()

    def probe(self) -> None:
        """If it is held, see now whether it answers: somebody says that it does."""
        if self.circuit.health is Health.OPEN:
            self.circuit.unprobed()
            self.feed()

    # ---- what comes in

    def lease(self, size: int, *, more: bool) -> timedelta | None:
        """For how long a new delivery may be born claimed; None if it has to wait its turn in the store.

        Room for it, and its bytes, is reserved until `unlease`. `more`: another of its webhook was leased before.
        """
        if self._behind or self._closed() or not self._queue.takes(more=more):
            self._behind = True
            return None
        self._queue.reserve(size)
        return self._lease

    def unlease(self, size: int, *, leased: bool) -> None:
        """It is in the store or will not be: what `lease` has reserved is free. Goes before `admit`."""
        if leased:
            self._queue.unreserve(size)
        if self._behind and not (self._queue or self._idle() or self._shut()):
            self.feed()  # no attempt is going to

    def admit(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries that were born claimed, all at one time."""
        if self._closed():
            self._give_back(deliveries)
        else:
            age = (self._clock() - deliveries[0].pending_since).total_seconds()  # below 0 if the clock was set back
            self._enqueue(deliveries, until=self._until() - max(age, 0.0))

    def feed(self) -> None:
        """See what the store has for us; asked while looking, look once more."""
        self._hungry = True
        if not self._feeding:
            self._feeding = True
            self._tasks.begin(self._feed())

    def expect(self, due_at: datetime) -> None:
        """Feed at that time, unless an earlier time is set already."""
        if not self._stopping.is_set():
            self._alarm.set(max((due_at - self._clock()).total_seconds(), 0.0))

    async def stop(self, grace: timedelta) -> None:
        """Begin nothing more, give back what was not begun; what is in flight has `grace` to end.

        What has not ended by then stays claimed, because nobody knows what the target made of it.
        """
        self._stopping.set()
        self._workers.recount()
        self._alarm.cancel()
        self._give_back(self._queue.drain())
        await self._tasks.end(grace, self._settling.under_way)
        await self._sender.close()

    # ---- the store

    async def _feed(self) -> None:
        try:
            while self._hungry and self._queue.room and not self._shut() and not self._idle():
                self._hungry = False
                await self._look()
        except StoreBusy:
            self._behind = True
        finally:
            self._feeding = False
            self._behind = self._behind or self._hungry
            # whatever kept it from looking on; the dispatcher sees what is due much sooner, but no lease
            self.expect(self._clock() + LOOK_AGAIN)

    async def _look(self) -> None:
        """Claim what is due: as much as fits or, if the target is held, a probe."""
        probing, until = self.circuit.held, self._until()
        deliveries = await self._claim(limit=1 if probing else self._queue.room)
        if probing and deliveries and self.circuit.held and not self._shut() and not self._idle():
            self.circuit.probe()
            self._enqueue(deliveries, until=until)
        elif self._closed():
            self._give_back(deliveries)
        else:
            self._enqueue(deliveries, until=until)
        if not self._behind:
            due = await self._store.due([self.target.name])
            if due_at := due.at.get(self.target.name):
                self.expect(due_at)

    async def _claim(self, *, limit: int) -> list[Delivery]:
        self._behind = False  # what is kept from now on may be born claimed, unless there is more than we take
        max_bytes = self._queue.room_bytes
        deliveries = await self._store.claim(
            self.target.name, limit=limit, max_bytes=max_bytes, now=self._clock(), lease=self._lease
        )
        taken_all = len(deliveries) < limit and sum(len(d.payload) for d in deliveries) < max_bytes
        self._behind = self._behind or not taken_all
        return deliveries

    def _hold_back(self) -> None:
        """Give back what is queued; if it was the probe, another will be."""
        self._send_back(self._queue.drain())

    def _send_back(self, queued: Sequence[Delivery]) -> None:
        """As `_give_back`, of what was queued."""
        if queued and self.circuit.held:
            self.circuit.unprobed()
        self._give_back(queued)

    def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            self._behind = True
            self._tasks.begin(self._release(deliveries))

    async def _release(self, deliveries: Sequence[Delivery]) -> None:
        await retry_busy(lambda: self._store.release(deliveries, now=self._clock()))

    # ---- attempts

    def _enqueue(self, deliveries: Sequence[Delivery], *, until: float) -> None:
        self._queue.add(deliveries, until=until)
        self._workers.call(len(deliveries))

    async def _work(self) -> bool:
        """The next attempt; False if there is none to make."""
        delivery = await self._next()
        if delivery is None:
            return False
        if self._behind and self._queue.room > MAX_LENGTH // 2:
            self.feed()
        await self._attempt(delivery)
        return True

    async def _next(self) -> Delivery | None:
        """A delivery, as soon as `rate` allows its attempt; None if there is none to begin, or others are to do it."""
        clock, place = self._time, self._origin
        while self._queue and not self._stopping.is_set() and (pause := self._pace.wait(self.target.rate, now=clock())):
            await _sleep_unless(self._stopping, min(pause, LONGEST_NAP))
            if place != self._origin:
                return None
        if not self._queue:
            return None
        now = clock()
        if self._queue.ends_by(now + self._timeout):
            self._drop_overdue(now)
            if not self._queue:
                return None
        self._pace.take(self.target.rate, now=now)
        return self._queue.take()

    def _drop_overdue(self, now: float) -> None:
        """A claim that would run out during its attempt is not sent: it is given back, and claimed anew."""
        self._send_back(self._queue.overdue(now + self._timeout))
        self.feed()

    async def _attempt(self, delivery: Delivery) -> None:
        target, place, probe = self.target, self._origin, self.circuit.health is Health.PROBING
        self._under_way[delivery.event_id] = self._time()
        try:
            outcome = await attempt(delivery, target, store=self._store, sender=self._sender, clock=self._clock)
        finally:
            self._under_way.pop(delivery.event_id, None)
        now, roll = self._clock(), random.random()  # noqa: S311  jitter
        verdict = decide(delivery, outcome, target, now=now, roll=roll, probe=probe)
        if place == self._origin:  # else it tells nothing of where the target is now
            self._look_at(outcome, target, probe=probe)
        # in this step, for whatever ends the lane next: the attempt is made, and to forget it would repeat it
        await self._settling.settle(AttemptResult(delivery, outcome, verdict), now=now, most=target.concurrency)

    def _settled(self, made: AttemptResult) -> None:
        delivery, outcome, verdict = made
        lag = max(self._clock() - delivery.received_at, timedelta())  # the clock may have been set back
        self._emit(Attempted(delivery=delivery, outcome=outcome, verdict=verdict, lag=lag))
        if isinstance(verdict, RetryAt):
            self.expect(verdict.due_at)
        elif self.target.order is Order.ENTITY:
            self.feed()  # the next one of this entity is due now

    def _look_at(self, outcome: Outcome, target: Target, *, probe: bool) -> None:
        """What this outcome says of the target's health."""
        if self.circuit.well and outcome.reason is Reason.OK:
            return  # as ever
        was_held = self.circuit.held
        self.circuit.hear(outcome, target, probe=probe)
        if self.circuit.probe_at:
            self._give_back(self._queue.drain())
            self.expect(self.circuit.probe_at)
        elif was_held and not self.circuit.held:
            self.feed()

    # ---- small questions

    def _most(self) -> int:
        """Attempts at a time."""
        return 0 if self._stopping.is_set() else self.target.concurrency

    def _closed(self) -> bool:
        """Nothing new may be queued."""
        return self.circuit.held or self._idle()

    def _idle(self) -> bool:
        """Nothing is to be begun, be it a probe."""
        return self._paused or self._stopping.is_set()

    def _shut(self) -> bool:
        return self.circuit.shut(self.target)

    def _until(self) -> float:
        """When a lease that begins now is to be thought over, in loop time, which nobody sets."""
        return self._time() + self._holds

    def _set_lease(self, target: Target) -> None:
        self._lease = lease_for(target)
        self._holds = (self._lease - MARGIN / 2).total_seconds()  # asked for every webhook
        self._timeout = target.timeout.total_seconds()

    def _ring(self) -> None:
        if self._shut() and self.circuit.probe_at:
            self.expect(self.circuit.probe_at)  # rung by a delivery, or a little early
        else:
            self.feed()


async def _sleep_unless(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
