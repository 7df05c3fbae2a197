"""Many requests -> one call of the store at a time, whose result they share."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Generic, TypeVar

T = TypeVar("T")

STORE_TIMEOUT = timedelta(milliseconds=150)
"""Metrics and health are due within 200 ms, however long the store takes."""
REST_FACTOR = 20  # a call that took a second is repeated after 20 s at the earliest
MAX_REST = 15.0  # seconds


class SharedCall(Generic[T]):
    """Call `function` once for all requests that wait for it, and not again before `every` has passed.

    A slow call is repeated less often (`REST_FACTOR`): counting a large backlog takes time from deliveries.
    """

    def __init__(self, function: Callable[[], Awaitable[T]], *, every: timedelta = timedelta()) -> None:
        self._function = function
        self._every = every.total_seconds()
        self._task: asyncio.Task[T] | None = None
        self._outdated: set[asyncio.Task[T]] = set()  # under way
        self._generation = 0
        self._next_at = 0.0  # in loop time

    async def result(self) -> T:
        """Return the result of a call; TimeoutError after `STORE_TIMEOUT`. The call goes on, for later requests."""
        async with asyncio.timeout(STORE_TIMEOUT.total_seconds()):
            while True:
                generation, found = self._generation, await asyncio.shield(self._begun())
                if generation == self._generation:  # else it was outdated meanwhile
                    return found

    def outdate(self) -> None:
        """Drop the current call: its result may be older than an act. The next result comes from a new call."""
        self._generation += 1
        if self._task and not self._task.done():
            self._outdated.add(self._task)
            self._task.add_done_callback(self._outdated.discard)
        self._task = None

    def _begun(self) -> asyncio.Task[T]:
        now = asyncio.get_running_loop().time()
        if self._task is None or (self._task.done() and now >= self._next_at):
            self._task = asyncio.create_task(self._call(now))
        return self._task

    async def _call(self, start: float) -> T:
        try:
            return await self._function()
        finally:
            took = asyncio.get_running_loop().time() - start
            rest = min(REST_FACTOR * took, MAX_REST) if self._every else 0.0
            self._next_at = start + max(self._every, rest)

    async def stop(self) -> None:
        """Cancel calls that are under way."""
        calls = [*self._outdated, *([self._task] if self._task else [])]
        for each in calls:
            each.cancel()
        if calls:
            await asyncio.wait(calls, timeout=STORE_TIMEOUT.total_seconds())
