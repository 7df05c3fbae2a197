"""Attempts to be made -> tasks that make them side by side, at most a number of them that may change."""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Coroutine, Hashable

from relay.errors import StoreFailed


class _Crew:
    """The workers of one origin, and how many they are."""

    __slots__ = ("origin", "size")

    def __init__(self, origin: Hashable) -> None:
        self.origin = origin
        self.size = 0


class WorkerPool:
    """At most `limit` workers: each awaits one `next_attempt()` after another, and idles while that is None.

    To wake an idle worker takes a third of the time of a new task. `start` is given each new one, and reports why it
    raised; then another takes its place, unless the store has failed. Workers are bound to an origin: those of another
    one do not count against `limit`, and end after their attempt. Lives in one event loop.
    """

    def __init__(
        self,
        next_attempt: Callable[[], Awaitable[None] | None],
        *,
        limit: int,
        start: Callable[[Coroutine[None, None, None]], object],
    ) -> None:
        self._next_attempt = next_attempt
        self._limit = limit
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._new_future = self._loop.create_future
        self._crew = _Crew(None)
        self._former: dict[Hashable, _Crew] = {}  # by origin: those that are still at work
        self._idle: list[Future[None]] = []  # all of the present crew

    def call(self, wanted: int) -> None:
        """Wake or start so many workers, as far as the limit allows."""
        for _ in range(wanted):
            if self._idle:
                self._idle.pop().set_result(None)
            elif self._crew.size < self._limit:
                self._crew.size += 1
                self._start(self._work(self._crew))
            else:
                break

    def limit(self, most: int) -> None:
        """Have at most so many workers from now on; wake idle workers, so that those beyond it end."""
        self._limit = most
        self.call(len(self._idle))

    def move(self, origin: Hashable) -> None:
        """Work for this origin from now on; workers that it had before, and are still at work, count again."""
        if origin != self._crew.origin:
            self.call(len(self._idle))
            if self._crew.size:
                self._former[self._crew.origin] = self._crew
            self._crew = self._former.pop(origin) if origin in self._former else _Crew(origin)

    async def _work(self, crew: _Crew) -> None:
        try:
            while crew is self._crew and crew.size <= self._limit:
                if attempt := self._next_attempt():
                    await attempt
                    continue
                woken = self._new_future()
                self._idle.append(woken)  # no await since there was no attempt: `call` must see this worker idle
                await woken
        except StoreFailed:
            raise  # what else is attempted could not be settled
        except Exception:  # one bad delivery must not stop the rest
            self._loop.call_soon(self.call, 1)
            raise
        finally:
            crew.size -= 1
            if not crew.size:
                self._former.pop(crew.origin, None)
