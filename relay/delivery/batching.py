"""One target's queue -> batches: when the next one may go, and which deliveries it has.

Deliveries gather in the queue, so whatever empties it (a pause, an open circuit, a claim that ends, another owner)
needs to know nothing of batches.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from math import inf

from relay.delivery.batch import MAX_BYTES, compose, fits
from relay.delivery.lane_states import States
from relay.delivery.queue import Queue
from relay.delivery.timer import Timer
from relay.model import Batch, Delivery, Health


class Batching:
    """Wakes workers, by `call` with their number, once a batch may go. Lives in one event loop.

    A batch is complete with `most` deliveries, with `MAX_BYTES`, or `within` after the first of them was queued or the
    batch before it was taken. What goes alone waits for nothing: the circuit's probe, and what does not fit.
    """

    def __init__(self, batch: Batch, queue: Queue, states: States, *, call: Callable[[int], None]) -> None:
        self.batch = batch
        self._most = batch.most
        self._within = batch.within.total_seconds()
        self._queue = queue
        self._states = states
        self._call = call
        self._time = asyncio.get_running_loop().time
        self._timer = Timer(self._on_timer)
        self._complete_at = inf  # in loop time, whatever is queued by then
        if queue:
            self._begin()

    def queued(self, deliveries: int) -> None:
        """Report that so many were queued."""
        if len(self._queue) == deliveries:  # the queue was empty
            self._begin()
        self._call_if_complete()

    @property
    def complete(self) -> bool:
        """Whether a batch may go now."""
        queue = self._queue
        first = queue.first
        if first is None:
            return False
        full = len(queue) >= self._most or queue.size >= MAX_BYTES
        probe = self._states.circuit is Health.PROBING  # nothing else is queued then
        return full or self._time() >= self._complete_at or probe or not fits(first)

    def take(self, until: float) -> tuple[Sequence[Delivery], float]:
        """Take the next batch off the queue, in order of arrival, and when the first of its claims expires.

        Empty if nothing is queued, or the first claim expires by `until`.
        """
        queue = self._queue
        taken, expires_at = queue.take_many(compose(queue.unexpired(until), self._most))
        self._begin()
        self._call_if_complete()
        return sorted(taken, key=_arrival), expires_at

    def close(self) -> None:
        """Wake nobody any more."""
        self._timer.cancel()

    def _begin(self) -> None:
        self._timer.cancel()
        self._complete_at = self._time() + self._within
        if self._queue:
            self._timer.set(self._within)

    def _call_if_complete(self) -> None:
        if self.complete:
            self._call(max(len(self._queue) // self._most, 1))

    def _on_timer(self) -> None:
        self._complete_at = -inf  # a timer may ring a little early, and this one does not ring again
        self._call_if_complete()


def _arrival(delivery: Delivery) -> datetime:
    return delivery.received_at
