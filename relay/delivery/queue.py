"""Deliveries claimed ahead of their attempt: first in, first out, and bounded in number and bytes."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from relay.model import Delivery, Target

MAX_LENGTH = 256
MAX_WHOLE = 1024  # if they came in one body: most of a thousand events need not be read back from the store
MAX_BYTES = 8 * 1024 * 1024
LONGEST = MAX_WHOLE + MAX_LENGTH
MARGIN = timedelta(minutes=1)
"""What a lease is longer than the worst that is expected: for a disk, or a processor, that is slow."""


class Queue:
    """Room can be reserved for deliveries that are on their way to the disk.

    The bounds are asked, not enforced: what is claimed already has to go somewhere. While the store is asked for more,
    room may be reserved, so that both come: `LONGEST` is the most there can be.
    """

    def __init__(self) -> None:
        self._deliveries: deque[tuple[float, Delivery]] = deque()
        self._bytes = 0
        self._reserved = 0

    def __len__(self) -> int:
        return len(self._deliveries)

    @property
    def room(self) -> int:
        """How many more deliveries to claim; none if the bytes are used up."""
        return max(MAX_LENGTH - len(self._deliveries) - self._reserved, 0) if self._bytes < MAX_BYTES else 0

    def takes(self, *, more: bool) -> bool:
        """Whether one more may be claimed at insert; `more`: another of its webhook is already."""
        longest = MAX_WHOLE if more else MAX_LENGTH
        return len(self._deliveries) + self._reserved < longest and self._bytes < MAX_BYTES

    @property
    def room_bytes(self) -> int:
        """How many more bytes of payload."""
        return MAX_BYTES - self._bytes

    def reserve(self, size: int) -> None:
        """Room for one delivery with so many bytes, until as much is given back by `unreserve`."""
        self._reserved += 1
        self._bytes += size

    def unreserve(self, size: int) -> None:
        """It is added now, or will never be. Nothing is free of what another queue of the target had reserved."""
        if self._reserved:
            self._reserved -= 1
            self._bytes -= size

    def add(self, deliveries: Iterable[Delivery], *, until: float) -> None:
        """Put them at the end; `until`, in loop time, is when they are ours no more."""
        for delivery in deliveries:
            self._deliveries.append((until, delivery))
            self._bytes += len(delivery.payload)

    def take(self) -> Delivery:
        """The first one; IndexError if there is none."""
        _, delivery = self._deliveries.popleft()
        self._bytes -= len(delivery.payload)
        return delivery

    def ends_by(self, at: float) -> bool:
        """Whether the first one is ours no more at this time; IndexError if there is none."""
        return self._deliveries[0][0] <= at

    def overdue(self, at: float) -> Sequence[Delivery]:
        """Those at the head of the queue that are ours no more at this time; they are taken out."""
        return list(self._overdue(at))

    def drain(self) -> list[Delivery]:
        """All of them; none stays, but what is reserved stays so."""
        return [self.take() for _ in range(len(self._deliveries))]

    def _overdue(self, at: float) -> Iterator[Delivery]:
        while self._deliveries and self._deliveries[0][0] <= at:
            yield self.take()


def lease_for(target: Target) -> timedelta:
    """Long enough for the last delivery of a queue as long as it may get, each before it at its worst."""
    worst = target.timeout * (LONGEST // target.concurrency + 2)
    paced = timedelta(seconds=LONGEST / target.rate) if target.rate else timedelta()
    return worst + paced + MARGIN
