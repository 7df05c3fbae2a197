"""Reads give way to commits: while one is under way, a read takes no turn of the event loop or the interpreter's lock.

The thread of a SQLite commit needs that lock anew after each of its statements, and the loop to be told of its end. A
read of an operator, in its thread or amid its steps in the loop, would keep both from it. So it waits until replies
were passed on, but no longer than `LONGEST` in all: under load a commit is under way nearly always.
"""

import threading
from asyncio import AbstractEventLoop, Future
from time import perf_counter

LONGEST = 0.02
"""Seconds that one read waits in its thread, and each of its steps in the loop."""


class GiveWay:
    """Whether a commit is under way: set in the event loop that it was made in, read there and in a reader's thread."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._free = threading.Event()
        self._free.set()
        self._waiting: set[Future[None]] = set()

    def begin(self) -> None:
        """A commit is under way; from the loop."""
        self._free.clear()

    def end(self) -> None:
        """None is any more; from the loop. Readers go on after the callbacks that are due by now."""
        self._free.set()
        for each in self._waiting:
            _wake(each)

    async def wait(self) -> None:
        """Wait in the loop until no commit is under way."""
        if self._free.is_set():
            return
        free: Future[None] = self._loop.create_future()
        self._waiting.add(free)
        timer = self._loop.call_later(LONGEST, _wake, free)
        try:
            await free
        finally:
            timer.cancel()
            self._waiting.discard(free)

    def of_one_read(self) -> "InThread":
        """Return the waits of one read in its thread."""
        return InThread(self._free)


class InThread:
    """Waits of one read in its thread."""

    def __init__(self, free: threading.Event) -> None:
        self._free = free
        self._left = LONGEST

    def wait(self) -> None:
        """Wait until no commit is under way, as long as this read still may."""
        if self._free.is_set() or self._left <= 0:
            return
        begun = perf_counter()
        self._free.wait(self._left)
        self._left -= perf_counter() - begun


def _wake(waiting: Future[None]) -> None:
    if not waiting.done():  # the reader was cancelled, or waited for too long
        waiting.set_result(None)
