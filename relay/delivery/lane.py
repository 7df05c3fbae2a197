"""One target's lane: claimed deliveries -> attempts -> settled deliveries.

            prefetch ──▶ worker_pool ──▶ rate_limiter ──▶ attempt ──▶ retry ──▶ settlements ──▶ store
             ▲    ▲       (concurrency)     (rate)           │
store, insert┘    └─── lane_states ◀──── circuit ◀───────────┘

While the circuit is open the queue is empty; while it is half-open, the queue holds the probe at most. Attempts do not
wait for the disk: as many as may be in flight are settled beside them. So when the relay is killed the target sees at
most twice its `concurrency` again: what was in flight, and what was not settled yet.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta

from relay.delivery.attempt import attempt
from relay.delivery.circuit import Circuit
from relay.delivery.lane_states import LaneEvent, Mode, States
from relay.delivery.prefetch import Prefetch
from relay.delivery.rate_limiter import RateLimiter
from relay.delivery.relay_share import share_of
from relay.delivery.request import Renderer
from relay.delivery.retry import DELIVERED, decide
from relay.delivery.send import Sender, origin
from relay.delivery.settlements import Settlements
from relay.delivery.tasks import Tasks
from relay.delivery.worker_pool import WorkerPool
from relay.http.client import Client, fast_client
from relay.model import Delivery, Health, Order, Outcome, Reason, RetryAt, Target, Verdict
from relay.signals import Attempted, ClaimLost, Emit
from relay.store.contract import DeliveryStore
from relay.store.requests import Settlement

LONGEST_SLEEP = 1.0  # seconds between looks at `rate`, which a reload may have changed
_NO_TIME = timedelta()


class Lane:
    """Everything for one target; nothing here waits for another target. Lives in one event loop.

    `lease`, `unreserve`, `admit`, `refill`, `disowned`: see `Prefetch`.
    """

    def __init__(
        self,
        target: Target,
        *,
        store: DeliveryStore,
        emit: Emit,
        clock: Callable[[], datetime],
        new_client: Callable[[], Client] = fast_client,
    ) -> None:
        self.target = target
        self._store = store
        self._emit = emit
        self._clock = clock
        self._time = asyncio.get_running_loop().time
        self._states = States()
        self._stopping = asyncio.Event()  # wakes those that sleep until `rate` allows an attempt
        self._tasks = Tasks(f"lane {target.name}")
        self._workers = WorkerPool(self._next_attempt, limit=0, start=self._tasks.start)
        self._rate_limiter = RateLimiter()
        self._sender = Sender(clock=clock, new_client=new_client)
        self._settlements = Settlements(store, settled=self._on_settled, start=self._tasks.start, clock=clock)
        self.circuit = Circuit(emit=emit, clock=clock, changed=lambda event: self._prefetch.on(event))
        self._prefetch = Prefetch(
            store=store,
            states=self._states,
            circuit=self.circuit,
            start=self._tasks.start,
            queued=self._workers.call,
            clock=clock,
        )
        self._queue = self._prefetch.queue
        # no methods that call these: each webhook calls three of them
        self.lease, self.unreserve, self.admit = self._prefetch.lease, self._prefetch.unreserve, self._prefetch.admit
        self.refill, self.disowned = self._prefetch.refill, self._prefetch.disowned
        self._in_flight: dict[str, float] = {}
        self._set_limits(target)
        self._workers.limit(self._share.concurrency)

    @property
    def in_flight(self) -> Mapping[str, float]:
        """By event: when its attempt began, in loop time."""
        return self._in_flight

    # ---- what operators and the daemon want

    def use(self, target: Target) -> None:
        """Go on with these settings. If they are new the circuit closes: it may be another endpoint now.

        Attempts in flight go on. If scheme, host or port changed they do not count against `concurrency`; else they
        do, and the new `timeout` binds them.
        """
        if target != self.target:
            self.circuit.reset(target)
            self._rate_limiter = RateLimiter()
        self.target = target
        self._set_limits(target)
        self._sender.limit(self._origin, target.timeout)
        self._workers.move(self._origin)
        self._apply_limits()

    def update_share(self) -> None:
        """Take up which share of the target's limits is this relay's now: others may have come or gone."""
        if self._store.share(self.target.name) != self._part:
            self._set_limits(self.target)
            self._apply_limits()

    def pause(self, *, on: bool) -> None:
        """Pause: begin no attempt, let those in flight end; or resume, and claim at once what is due."""
        if on and self._states.mode is Mode.RUNNING:
            self._prefetch.on(LaneEvent.PAUSED)
        elif not on and self._states.mode is Mode.PAUSED:
            self._prefetch.on(LaneEvent.RESUMED)

    def probe(self) -> None:
        """If the circuit is open, probe the target now: an operator says that it answers."""
        if self.circuit.health is Health.OPEN:
            self.circuit.probe_unsent()
            self.refill()

    async def stop(self, grace: timedelta) -> None:
        """Begin no attempt, give back what is queued, and wait `grace` for attempts in flight.

        What has not ended by then stays claimed, because nobody knows what the target made of it.
        """
        self._prefetch.stop()
        self._stopping.set()
        self._workers.limit(0)
        await self._tasks.stop(grace, self._settlements.pending)
        await self._sender.close()

    def _set_limits(self, target: Target) -> None:
        self._part = self._store.share(target.name)
        self._share = share_of(target, *self._part)
        self._renderer = Renderer(target)
        self._origin = origin(target.url)
        self._timeout = target.timeout.total_seconds()
        self._prefetch.use(target, self._share)

    def _apply_limits(self) -> None:
        self._workers.limit(0 if self._states.stopping else self._share.concurrency)
        self._workers.call(len(self._queue))
        self.refill()

    # ---- what comes in

    def work(self) -> None:
        """Go on with what is queued, if workers idle: they could not be sure that it is still this relay's."""
        self._workers.call(len(self._queue))

    def wake_at(self, due_at: datetime) -> None:
        """See `Prefetch.wake_at`."""
        self._prefetch.wake_at(due_at)

    # ---- attempts

    def _next_attempt(self) -> Coroutine[None, None, None] | None:
        """Begin the next attempt; None if there is none to make."""
        if not self._store.owns():
            return None  # `work` goes on once it does
        if self._share.rate:
            return self._attempt_in_slot() if self._queue else None
        delivery = self._take()
        return None if delivery is None else self._attempt(delivery)

    async def _attempt_in_slot(self) -> None:
        if await self._slot() and self._store.owns() and (delivery := self._take()):
            self._rate_limiter.take(self._share.rate, now=self._time())
            await self._attempt(delivery)

    async def _slot(self) -> bool:
        """Wait until `rate` allows an attempt; False if what is queued is for the workers of another origin now."""
        clock, origin_, states = self._time, self._origin, self._states
        while self._queue and not states.stopping and (pause := self._rate_limiter.wait(self._share.rate, now=clock())):
            await _sleep_unless(self._stopping, min(pause, LONGEST_SLEEP))
            if origin_ != self._origin:
                return False
        return True

    def _take(self) -> Delivery | None:
        """Take a delivery off the queue, from now on in flight; None if there is none."""
        queue, now = self._queue, self._time()
        until = now + self._timeout
        if (delivery := queue.take(until)) is None:
            if not queue:
                return None
            self._prefetch.release_expired(until)  # the claim would expire during its attempt
            if (delivery := queue.take(until)) is None:
                return None
        self._in_flight[delivery.event_id] = now
        if self._states.behind:
            self._prefetch.refill_if_low()
        return delivery

    async def _attempt(self, delivery: Delivery) -> None:
        renderer, origin_, probe = self._renderer, self._origin, self._states.circuit is Health.PROBING
        target = renderer.target
        try:
            outcome = await attempt(delivery, renderer, store=self._store, sender=self._sender, clock=self._clock)
        finally:
            self._in_flight.pop(delivery.event_id, None)
        verdict: Verdict = DELIVERED
        if outcome.reason is not Reason.OK or not self.circuit.clean:  # else, as almost always, nothing is to be judged
            verdict = self._judge(delivery, outcome, target, probe=probe, here=origin_ == self._origin)
        # no await before this: the attempt was made, and if the lane ended here unsettled it would be repeated
        may_wait = target.order is not Order.ENTITY  # else the next delivery of this entity waits for it
        most = self._share.concurrency
        if reply := self._settlements.settle(delivery, outcome, verdict, most=most, may_wait=may_wait):
            await reply

    def _judge(self, delivery: Delivery, outcome: Outcome, target: Target, *, probe: bool, here: bool) -> Verdict:
        """Decide what follows; have the circuit record an attempt that was made `here`, where the target is now."""
        try:
            now, roll = self._clock(), random.random()  # noqa: S311  jitter
            verdict = decide(delivery, outcome, target, now=now, roll=roll, probe=probe)
            if here:
                self.circuit.record(outcome, target, probe=probe)
                if probe_at := self.circuit.probe_at:
                    self.wake_at(probe_at)
        except Exception:
            if probe and here and self._states.circuit is Health.PROBING:  # in which it would stay for ever
                self.circuit.probe_unsent()
            raise
        return verdict

    def _on_settled(self, made: Settlement, settled: bool) -> None:
        delivery, outcome, verdict, ended_at = made
        if not settled:
            self._on_claim_lost(made)
            return
        lag = ended_at - delivery.received_at  # whenever that is committed
        if lag < _NO_TIME:  # the clock was set back
            lag = _NO_TIME
        self._emit(Attempted(delivery=delivery, outcome=outcome, verdict=verdict, lag=lag))
        if isinstance(verdict, RetryAt):
            self.wake_at(verdict.due_at)
        elif self.target.order is Order.ENTITY:
            self.refill()  # the next delivery of this entity is due now

    def _on_claim_lost(self, made: Settlement) -> None:
        """Report the attempt, which was made; what follows it is not this lane's to do."""
        delivery, outcome, verdict, _ = made
        self._emit(Attempted(delivery=delivery, outcome=outcome, verdict=verdict, lag=None))
        self._emit(ClaimLost(target=delivery.target, event=delivery.event_id, attempt=delivery.attempt))


async def _sleep_unless(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
