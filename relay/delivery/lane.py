"""One target's lane: claimed deliveries -> attempts -> settled deliveries.

            prefetch ──▶ worker_pool ──▶ slots ──▶ attempt ──▶ verdicts ──▶ settlements ──▶ store
             ▲    ▲     (concurrency)   (rate)                     │
store, insert┘    └─── lane_states ◀──── circuit ◀─────────────────┘

With `batch` deliveries gather in the queue of `prefetch` until `batching` finds a batch complete; `batch_attempt` makes
its attempt, and halves it if the target rejects it.

While the circuit is open the queue is empty; while it is half-open, the queue holds the probe at most. Attempts do not
wait for the disk: as many as may be in flight are settled beside them. So when the relay is killed the target sees at
most twice its `concurrency` again: what was in flight, and what was not settled yet.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta

from relay.delivery.attempt import attempt
from relay.delivery.batch import fits
from relay.delivery.batch_attempt import BatchAttempts
from relay.delivery.batching import Batching
from relay.delivery.circuit import Circuit
from relay.delivery.lane_states import LaneEvent, Mode, States
from relay.delivery.prefetch import Prefetch
from relay.delivery.relay_share import share_of
from relay.delivery.retry import DELIVERED
from relay.delivery.send import Sender, origin
from relay.delivery.sender_chain import SenderChain
from relay.delivery.settlements import Settlements
from relay.delivery.slots import Slots
from relay.delivery.tasks import Tasks
from relay.delivery.template_renderer import new_renderer
from relay.delivery.verdicts import Verdicts
from relay.delivery.worker_pool import WorkerPool
from relay.http.client import Client, fast_client
from relay.model import Batch, Delivered, Delivery, Health, Order, Reason, RetryAt, Target, Verdict
from relay.signals import Attempted, ClaimLost, Emit
from relay.store.contract import DeliveryStore
from relay.store.requests import Settlement

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
        self._tasks = Tasks(f"lane {target.name}")
        self._workers = WorkerPool(self._next_attempt, limit=0, start=self._tasks.start)
        self._slots = Slots()
        self._sender = Sender(clock=clock, new_client=new_client)
        self._senders = SenderChain(self._sender, emit=emit, tasks=self._tasks, clock=clock, new_client=new_client)
        self._settlements = Settlements(store, settled=self._on_settled, start=self._tasks.start, clock=clock)
        self.circuit = Circuit(emit=emit, clock=clock, changed=lambda event: self._prefetch.on(event))
        self._prefetch = Prefetch(
            store=store,
            states=self._states,
            circuit=self.circuit,
            start=self._tasks.start,
            emit=emit,
            clock=clock,
        )
        self._verdicts = Verdicts(self.circuit, clock=clock, wake_at=self._prefetch.wake_at)
        self._in_flight: dict[str, float] = {}
        self.delivered = 0  # attempts, since the start
        self.delivered_at: datetime | None = None
        self._batching: Batching | None = None
        self._batch_attempts = BatchAttempts(
            store=store,
            states=self._states,
            slots=self._slots,
            verdicts=self._verdicts,
            settlements=self._settlements,
            prefetch=self._prefetch,
            in_flight=self._in_flight,
            clock=clock,
            emit=emit,
        )
        self._queue = self._prefetch.queue
        # no methods that call these: each webhook calls three of them
        self.lease, self.unreserve, self.admit = self._prefetch.lease, self._prefetch.unreserve, self._prefetch.admit
        self.refill, self.disowned = self._prefetch.refill, self._prefetch.disowned
        self.release_queue = self._prefetch.release_queue
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
            self._slots.reset()
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
        self._slots.stop()
        if self._batching:
            self._batching.close()
        self._workers.limit(0)
        await self._tasks.stop(grace, self._settlements.pending)
        await self._sender.close()

    def _set_limits(self, target: Target) -> None:
        self._part = self._store.share(target.name)
        self._share = share_of(target, *self._part)
        self._renderer = new_renderer(target)
        self._sends = self._senders.of(target)
        self._origin = origin(target.url)
        self._timeout = target.timeout.total_seconds()
        self._slots.rate = self._share.rate
        self._gather(target.batch)
        self._batch_attempts.use(self._renderer, self._sends, concurrency=self._share.concurrency)
        queued = self._batching.queued if self._batching else self._workers.call
        self._prefetch.use(target, self._share, queued=queued)

    def _gather(self, batch: Batch | None) -> None:
        """Gather deliveries as `batch` says from now on; those that wait go on waiting if it says what it did."""
        if self._batching and self._batching.batch != batch:
            self._batching.close()
            self._batching = None
        if batch and not self._batching:
            self._batching = Batching(batch, self._queue, self._states, call=self._workers.call)

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
        if self._batching:
            return self._attempt_batch(self._batching) if self._batching.complete else None
        if self._share.rate:
            return self._attempt_in_slot() if self._queue else None
        delivery = self._take()
        return None if delivery is None else self._attempt(delivery)

    async def _attempt_in_slot(self) -> None:
        if await self._slot(lambda: bool(self._queue) and not self._batching) and (delivery := self._take()):
            self._slots.take()
            await self._attempt(delivery)

    async def _slot(self, wanted: Callable[[], bool]) -> bool:
        """Wait until `rate` allows a request; False if none is `wanted` by then, or it is not this worker's to make."""
        origin_ = self._origin
        await self._slots.wait(lambda: origin_ == self._origin and wanted())
        return origin_ == self._origin and wanted() and self._store.owns()

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
            outcome = await attempt(delivery, renderer, store=self._store, sender=self._sends, clock=self._clock)
        finally:
            self._in_flight.pop(delivery.event_id, None)
        verdict: Verdict = DELIVERED
        if outcome.reason is not Reason.OK or not self.circuit.clean:  # else, as almost always, nothing is to be judged
            [verdict] = self._verdicts.of([delivery], outcome, target, probe=probe, here=origin_ == self._origin)
        # no await before this: the attempt was made, and if the lane ended here unsettled it would be repeated
        may_wait = target.order is not Order.ENTITY  # else the next delivery of this entity waits for it
        most = self._share.concurrency
        if reply := self._settlements.settle(delivery, outcome, verdict, most=most, may_wait=may_wait):
            await reply

    async def _attempt_batch(self, batching: Batching) -> None:
        """Attempt the next batch, or alone what does not fit in one."""
        if not await self._slot(lambda: batching is self._batching and batching.complete):
            return
        now = self._time()
        until = now + self._timeout
        self._prefetch.release_expired(until)  # the claims would expire during the attempt
        batch, expires_at = batching.take(until)
        self._in_flight.update((each.event_id, now) for each in batch)
        if self._states.behind:
            self._prefetch.refill_if_low()
        if batch and fits(batch[0]):
            await self._batch_attempts.attempt(batch, expires_at=expires_at)
        elif batch:
            self._slots.take()
            await self._attempt(batch[0])

    def _on_settled(self, made: Settlement, settled: bool) -> None:
        delivery, outcome, verdict, ended_at = made
        if not settled:
            self._on_claim_lost(made)
            return
        lag = ended_at - delivery.received_at  # whenever that is committed
        if lag < _NO_TIME:  # the clock was set back
            lag = _NO_TIME
        self._emit(Attempted(delivery=delivery, outcome=outcome, verdict=verdict, lag=lag))
        if isinstance(verdict, Delivered):
            self.delivered += 1
            self.delivered_at = ended_at
        if isinstance(verdict, RetryAt):
            self.wake_at(verdict.due_at)
        elif self.target.order is Order.ENTITY:
            self.refill()  # the next delivery of this entity is due now

    def _on_claim_lost(self, made: Settlement) -> None:
        """Report the attempt, which was made; what follows it is not this lane's to do."""
        delivery, outcome, verdict, _ = made
        self._emit(Attempted(delivery=delivery, outcome=outcome, verdict=verdict, lag=None))
        self._emit(ClaimLost(target=delivery.target, event=delivery.event_id, attempt=delivery.attempt))
