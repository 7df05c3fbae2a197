"""The store's due deliveries and those claimed at insert -> one target's queue, filled before a worker asks for one.

lease, admit ──▶ queue ──▶ workers
                  ▲   │
claim ── store ───┘   └──▶ release: paused, circuit open, stopping, or the claim would run out

Claims what the store has due: whatever was not claimed at insert, retries, replays, what a restart left.
`lane_states` decides when.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from time import perf_counter

from relay.delivery.circuit import Circuit
from relay.delivery.healed import unmarked
from relay.delivery.lane_states import Backlog, Claims, LaneEvent, States
from relay.delivery.lease import MARGIN, lease_for
from relay.delivery.queue import Queue
from relay.delivery.relay_share import Share
from relay.delivery.retry_busy import retry_busy
from relay.delivery.timer import Timer
from relay.errors import StoreBusy
from relay.model import Delivery, HealDelivery, Health, Target
from relay.signals import Claimed, Emit
from relay.store.contract import DeliveryStore

LOOK_AGAIN = timedelta(minutes=1)  # in the store, although no due time is known: a lease may have expired


class Prefetch:
    """One target's queue and its claims. `start` runs work in the background. Lives in one event loop."""

    def __init__(
        self,
        *,
        store: DeliveryStore,
        states: States,
        circuit: Circuit,
        start: Callable[[Coroutine[None, None, object]], object],
        emit: Emit,
        clock: Callable[[], datetime],
    ) -> None:
        self.queue = Queue()
        self._store = store
        self._states = states
        self._circuit = circuit
        self._start = start
        self._emit = emit
        self._clock = clock
        self._time = asyncio.get_running_loop().time
        self._timer = Timer(self._on_timer)

    def use(self, target: Target, share: Share, *, queued: Callable[[int], None]) -> None:
        """Claim for this target, with leases for these settings; give back what this relay's share has no room for.

        `queued` is called with the number of deliveries that were queued.
        """
        self._target, self._share, self._queued = target, share, queued
        self._lease = lease_for(target.timeout, share, target.batch)
        self._expires_after = (self._lease - MARGIN / 2).total_seconds()  # read for every webhook
        if share.concurrency:
            self.release(self.queue.bound(share.queue, together=target.batch.most if target.batch else 1))
        else:
            self.release_queue()

    def on(self, event: LaneEvent) -> None:
        """Report an event of the lane, and do what its new states ask for."""
        if self._states.on(event):
            self._start(self._claim_due())
        if self.queue and not self._states.keeps_queue:
            self.release_queue()

    # ---- deliveries that are claimed at insert

    def lease(self, size: int, *, more: bool) -> timedelta | None:
        """Reserve room for a new delivery of `size` bytes; for how long it may be claimed at insert, if at all.

        None: it goes to the store unclaimed. `more`: another delivery of the same webhook has been leased.
        """
        if self._states.admits and self._share.concurrency and self.queue.reserve(size, more=more):
            return self._lease
        if not self._states.behind:
            self._states.on(LaneEvent.LEFT)
        return None

    def unreserve(self, sizes: Sequence[int]) -> None:
        """Free what `lease` has reserved: the deliveries are stored, or will not be. Call it before `admit`."""
        self.queue.unreserve(sizes)
        if self._states.behind and not self.queue and self._most():  # else nobody would notice the free room
            self.on(LaneEvent.DUE)

    def admit(self, deliveries: Sequence[Delivery]) -> None:
        """Queue deliveries that were claimed at insert, in the order of their arrival."""
        if self._states.queues and self._share.concurrency:
            age = (self._clock() - deliveries[0].pending_since).total_seconds()  # below 0 if the clock was set back
            self._enqueue(deliveries, expires_at=self._expiry() - max(age, 0.0))
        else:
            self.release(deliveries)

    # ---- deliveries that the store has

    def refill(self) -> None:
        """Claim what is due, in the background; if a claim is under way another one follows."""
        self.on(LaneEvent.DUE)

    def refill_if_low(self) -> None:
        """Claim what the store is known to have once the queue is less than half full; call it for each attempt."""
        if self._states.behind and self.queue.low:
            self.on(LaneEvent.DUE)

    def wake_at(self, due_at: datetime) -> None:
        """Claim what is due at that time, unless an earlier time is set already."""
        if not self._states.stopping:
            self._timer.set(max((due_at - self._clock()).total_seconds(), 0.0))

    def _on_timer(self) -> None:
        if (probe_at := self._circuit.probe_at) and self._circuit.waits(self._target):
            self.wake_at(probe_at)  # set for a delivery, or a little early
        else:
            self.refill()

    async def _claim_due(self) -> None:
        try:
            while self._states.backlog is not Backlog.CLAIMING and (limit := self._limit()):
                self._states.on(LaneEvent.CLAIM_BEGAN)
                await self._claim(limit)
        except StoreBusy:
            self._states.on(LaneEvent.LEFT)
        finally:
            self._states.on(LaneEvent.CLAIMS_ENDED)
            # whatever ended the claims; the dispatcher's poll sees a due time much sooner, but not an expired lease
            self.wake_at(self._clock() + LOOK_AGAIN)

    def _limit(self) -> int:
        """How many deliveries to claim now. A queue that is half full is not filled up unless something fell due."""
        if self._states.backlog is Backlog.CLAIM_BEHIND and not self.queue.low:
            return 0
        return self._most()

    def _most(self) -> int:
        """How many deliveries may be claimed now: a probe, what there is room for, or none."""
        claims, room = self._states.claims, self.queue.room
        if claims is Claims.NOTHING or not self._share.concurrency:
            return 0
        if claims is Claims.PROBE:
            return 0 if self._circuit.waits(self._target) else min(room, 1)
        return room

    async def _claim(self, limit: int) -> None:
        probing, expires_at = self._states.claims is Claims.PROBE, self._expiry()
        max_bytes = self.queue.room_bytes
        began = perf_counter()
        deliveries = await self._store.claim(
            self._target.name, limit=limit, max_bytes=max_bytes, now=self._clock(), lease=self._lease
        )
        took = timedelta(seconds=perf_counter() - began)
        if self._target.heal is not HealDelivery.MARK:
            deliveries = [unmarked(each) if each.healed else each for each in deliveries]
        self._emit(Claimed(target=self._target.name, deliveries=len(deliveries), took=took))
        if len(deliveries) == limit or sum(len(each.payload) for each in deliveries) >= max_bytes:
            self._states.on(LaneEvent.LEFT)  # there may be more
        if probing and deliveries and self._states.claims is Claims.PROBE and not self._circuit.waits(self._target):
            self._circuit.probe()
            self._enqueue(deliveries, expires_at=expires_at)
        elif self._states.queues:
            self._enqueue(deliveries, expires_at=expires_at)
        else:
            self.release(deliveries)
        if not self._states.behind:
            due = await self._store.due([self._target.name])
            if due_at := due.at.get(self._target.name):
                self.wake_at(due_at)

    def _enqueue(self, deliveries: Sequence[Delivery], *, expires_at: float) -> None:
        self.queue.add(deliveries, expires_at=expires_at)
        self._queued(len(deliveries))

    def _expiry(self) -> float:
        """When a lease that begins now must not be relied on any more, in loop time, which nobody sets."""
        return self._time() + self._expires_after

    # ---- back to the store

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give claimed deliveries back to the store; they are claimed anew."""
        if deliveries:
            self._states.on(LaneEvent.LEFT)
            self._start(self._give_back(deliveries))

    def release_queue(self) -> None:
        """Give all that is queued back to the store."""
        self._return(self.queue.drain())

    def release_expired(self, at: float) -> None:
        """Give queued deliveries whose claims expire by then back to the store; they are claimed anew."""
        self._return(self.queue.expired(at))

    def disowned(self) -> None:
        """Drop all that is queued, as it is others' by now; what nobody has claimed is claimed anew."""
        if self.queue.drain():
            if self._states.circuit is Health.PROBING:
                self._circuit.probe_unsent()
            self.refill()

    def stop(self) -> None:
        """Claim nothing more; give the queue back."""
        self._timer.cancel()
        self.on(LaneEvent.STOPPED)

    def _return(self, queued: Sequence[Delivery]) -> None:
        if queued and self._states.circuit is Health.PROBING:
            self._circuit.probe_unsent()
        self.release(queued)

    async def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        await retry_busy(lambda: self._store.release(deliveries, now=self._clock()))
        self.refill()  # claim it anew; an earlier claim may have overtaken the release, if the store was busy
