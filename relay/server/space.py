"""Bodies that come in -> whether there is memory for them: what many large ones take together is bounded."""

from asyncio import Future
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BESIDES = 4096  # bytes that a webhook takes beside its body


class Full(Exception):
    """There is no space for more; the body must be sent again later."""


class Space:
    """So many bytes, for all bodies that are read or wait for their commit; `taken` are in use."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.taken = 0

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """Space for one body, which grows with it; until the block ends or, if it is later, its commit."""
        place = Place(self)
        try:
            yield place
        finally:
            if place.commit:
                place.commit.add_done_callback(lambda _commit: self.give_back(place.taken))
            else:
                self.give_back(place.taken)

    def take(self, size: int) -> None:
        """Raises Full."""
        if self.taken + size > self._size:
            raise Full
        self.taken += size

    def give_back(self, size: int) -> None:
        """What was taken."""
        self.taken -= size


class Place:
    """What one body takes. `commit` is what it waits for, whoever else gives up waiting."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.taken = 0
        self.commit: Future[Any] | None = None

    def take(self, size: int) -> None:
        """So many bytes have come; raises Full."""
        self._space.take(size)
        self.taken += size
