"""Webhooks that come in -> whether there is memory for them: what many large ones take together is bounded."""

from asyncio import Future
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BESIDES = 4096  # bytes that a webhook takes beside its body
PER_EVENT = 5000  # bytes that an event takes until it is committed
LARGE = 64 * 1024  # bytes, more than any webhook that amoCRM is known to send


class Full(Exception):
    """There is no memory for more; the webhook must be sent again later."""


class Memory:
    """So many bytes, for all webhooks that are read or wait for their commit; `taken` are in use.

    Half of it is for small webhooks alone. Whoever finds some may take more than is left, for what a body comes to is
    known when it is there.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.taken = 0

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """Memory for one webhook, which grows with it; until the block ends or, if it is later, its commit."""
        place = Place(self)
        try:
            yield place
        finally:
            if place.commit and not place.commit.done():
                place.commit.add_done_callback(lambda _commit: self.give_back(place.taken))
            else:
                self.give_back(place.taken)

    def take(self, size: int, *, large: bool) -> None:
        """Raises Full."""
        if self.taken >= (self._size // 2 if large else self._size):
            raise Full
        self.taken += size

    def give_back(self, size: int) -> None:
        """What was taken."""
        self.taken -= size


class Place:
    """What one webhook takes. `commit` is what it waits for, whoever else gives up waiting."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.taken = 0
        self.commit: Future[Any] | None = None

    def take(self, size: int) -> None:
        """So many bytes more; raises Full."""
        self._memory.take(size, large=self.taken + size > LARGE)
        self.taken += size
