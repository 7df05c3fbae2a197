"""Deliveries claimed ahead of their attempt: first in, first out, bounded in number and bytes."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from math import inf

from relay.model import Delivery

MAX_LENGTH = 256
MAX_OF_WEBHOOK = 1024  # if one webhook brings them: most of a thousand events need not be read back from the store
MAX_BYTES = 8 * 1024 * 1024
LONGEST = MAX_OF_WEBHOOK + MAX_LENGTH


class Queue:
    """Room can be reserved for deliveries that are being committed.

    The bounds are for callers to heed, and not enforced: a delivery that is claimed has to go somewhere. Room may be
    reserved while a claim is under way, so that both come: the queue never gets longer than `LONGEST`, and twice what
    goes in one request.
    """

    def __init__(self) -> None:
        self._deliveries: deque[tuple[float, Delivery]] = deque()
        self._bytes = 0
        self._reserved = 0
        self._reserved_bytes = 0
        self._most: int | None = None
        self._length = MAX_LENGTH

    def __len__(self) -> int:
        return len(self._deliveries)

    @property
    def room(self) -> int:
        """How many more deliveries to claim; none if the bytes are used up."""
        return max(self._length - len(self._deliveries) - self._reserved, 0) if self.room_bytes > 0 else 0

    @property
    def room_bytes(self) -> int:
        """How many more bytes of payload to claim."""
        return MAX_BYTES - self._bytes - self._reserved_bytes

    @property
    def low(self) -> bool:
        """Less than half full: a claim is worth its commit."""
        return self.room > self._length // 2

    @property
    def first(self) -> Delivery | None:
        """The first one."""
        return self._deliveries[0][1] if self._deliveries else None

    @property
    def size(self) -> int:
        """Bytes of payload that are queued."""
        return self._bytes

    def bound(self, most: int | None, *, together: int = 1) -> list[Delivery]:
        """Have room for so many from now on, None: as many as usual. Remove and return the last ones beyond that.

        `together`: how many go in one request; as long as fewer are queued, the queue is `low`.
        """
        longest = max(MAX_LENGTH, 2 * together)
        self._most = most
        self._length = longest if most is None else min(most, longest)
        excess = len(self._deliveries) - self._length
        return [self._pop(last=True) for _ in range(excess)][::-1] if most is not None else []

    def reserve(self, size: int, *, more: bool = False) -> bool:
        """Keep room for one delivery of `size` bytes until `unreserve` is called for it; False if there is none.

        `more`: another delivery of its webhook has room already.
        """
        longest = MAX_OF_WEBHOOK if more and self._most is None else self._length
        if len(self._deliveries) + self._reserved >= longest or self._bytes + self._reserved_bytes >= MAX_BYTES:
            return False
        self._reserved += 1
        self._reserved_bytes += size
        return True

    def unreserve(self, sizes: Sequence[int]) -> None:
        """Free the room: the deliveries are added now, or never.

        Another queue of the target may have reserved it; once nothing is reserved, no byte is.
        """
        self._reserved = max(self._reserved - len(sizes), 0)
        self._reserved_bytes = self._reserved_bytes - sum(sizes) if self._reserved else 0

    def add(self, deliveries: Iterable[Delivery], *, expires_at: float) -> None:
        """Append them; their claims expire at this loop time."""
        for delivery in deliveries:
            self._deliveries.append((expires_at, delivery))
            self._bytes += len(delivery.payload)

    def take(self, until: float) -> Delivery | None:
        """Remove and return the first one; None if there is none, or its claim expires by this time."""
        deliveries = self._deliveries
        if not deliveries or deliveries[0][0] <= until:
            return None
        return self._pop()

    def unexpired(self, at: float) -> Iterator[Delivery]:
        """Yield those at the head whose claims do not expire by this time, and leave them in the queue."""
        for expires_at, delivery in self._deliveries:
            if expires_at <= at:
                return
            yield delivery

    def take_many(self, count: int) -> tuple[Sequence[Delivery], float]:
        """Remove and return the first ones, and when the first of their claims expires."""
        expires_at = min((at for at, _ in islice(self._deliveries, count)), default=inf)
        return [self._pop() for _ in range(count)], expires_at

    def expired(self, at: float) -> Sequence[Delivery]:
        """Remove and return those at the head whose claims expire by this time."""
        return list(self._expired(at))

    def drain(self) -> list[Delivery]:
        """Remove and return all of them; what is reserved stays reserved."""
        return [self._pop() for _ in range(len(self._deliveries))]

    def _expired(self, at: float) -> Iterator[Delivery]:
        while self._deliveries and self._deliveries[0][0] <= at:
            yield self._pop()

    def _pop(self, *, last: bool = False) -> Delivery:
        _, delivery = self._deliveries.pop() if last else self._deliveries.popleft()
        self._bytes -= len(delivery.payload)
        return delivery
