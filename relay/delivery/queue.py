"""Deliveries claimed ahead of their attempt: first in, first out, and bounded in number and bytes."""

from collections import deque
from collections.abc import Iterable

from relay.model import Delivery

MAX_LENGTH = 256
MAX_BYTES = 8 * 1024 * 1024


class Queue:
    """The bounds are asked, not enforced: what is claimed already has to go somewhere."""

    def __init__(self) -> None:
        self._deliveries: deque[Delivery] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._deliveries)

    @property
    def room(self) -> int:
        """How many more deliveries; none if the bytes are used up."""
        return max(MAX_LENGTH - len(self), 0) if self.room_bytes > 0 else 0

    @property
    def room_bytes(self) -> int:
        """How many more bytes of payload."""
        return MAX_BYTES - self._bytes

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Put them at the end."""
        for delivery in deliveries:
            self._deliveries.append(delivery)
            self._bytes += len(delivery.payload)

    def take(self) -> Delivery:
        """The first one; IndexError if there is none."""
        delivery = self._deliveries.popleft()
        self._bytes -= len(delivery.payload)
        return delivery

    def drain(self) -> list[Delivery]:
        """All of them; none stays."""
        deliveries = list(self._deliveries)
        self._deliveries.clear()
        self._bytes = 0
        return deliveries
