"""Attempts to be made -> tasks that make them side by side, at most a number of them that may change."""

import asyncio
from asyncio import Future
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Hashable


class WorkerPool:
    """At most `most()` workers: each makes one `attempt()` after another, and idles once it returns False.

    To wake an idle worker takes a third of the time of a new task. `start` is given each new one. Workers are bound to
    an origin: those of another one do not count against `most()`, and end after their attempt.
    """

    def __init__(
        self,
        attempt: Callable[[], Awaitable[bool]],
        *,
        most: Callable[[], int],
        start: Callable[[Coroutine[None, None, None]], object],
    ) -> None:
        self._attempt = attempt
        self._most = most
        self._start = start
        self._origin: Hashable = None
        self._numbers: Counter[Hashable] = Counter()  # by origin
        self._idle: list[Future[None]] = []  # all of the present origin

    def call(self, wanted: int) -> None:
        """Wake or start so many workers, as far as `most()` allows."""
        for _ in range(wanted):
            if self._idle:
                self._idle.pop().set_result(None)
            elif self._numbers[self._origin] < self._most():
                self._numbers[self._origin] += 1
                self._start(self._work(self._origin))
            else:
                break

    def recount(self) -> None:
        """Apply a changed `most()`: wake idle workers, so that those beyond it end."""
        self.call(len(self._idle))

    def move(self, origin: Hashable) -> None:
        """Work for this origin from now on; workers that it had before, and are still at work, count again."""
        if origin != self._origin:
            self.recount()
            self._origin = origin

    async def _work(self, origin: Hashable) -> None:
        try:
            while self._needed(origin):
                if await self._attempt():
                    continue
                if not self._needed(origin):
                    break
                woken: Future[None] = asyncio.get_running_loop().create_future()
                self._idle.append(woken)  # no await since the attempt found nothing: `call` must see this worker idle
                await woken
        finally:
            self._numbers[origin] -= 1
            if not self._numbers[origin]:
                del self._numbers[origin]

    def _needed(self, origin: Hashable) -> bool:
        return origin == self._origin and self._numbers[origin] <= self._most()
