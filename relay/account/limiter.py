"""Requests to one account, by priority -> one after the other, as `pace` allows."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum
from itertools import count

from relay.account.pace import Pace


class Priority(IntEnum):
    """Whose request goes out first."""

    TOKEN = 0
    GUARD = 1
    ENRICH = 2
    HEAL = 3


class Limiter:
    """All requests of this process to one account. Lives in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pace = Pace()
        self._queue: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self, priority: Priority) -> AsyncIterator[None]:
        """Wait until the request may go out; it is under way within the block."""
        mine: asyncio.Future[None] = self._loop.create_future()
        heapq.heappush(self._queue, (priority, next(self._order), mine))
        self._serve()
        try:
            await mine
            yield
        finally:
            if mine.done() and not mine.cancelled():  # its turn had come, whether it was used or not
                self._pace.answered(self._loop.time())
            self._serve()

    def served(self) -> None:
        """Note an answer other than 429."""
        self._pace.served()

    def limited(self, asked: float | None) -> float:
        """Have every request wait after a 429; return for how many seconds."""
        return self._pace.limited(self._loop.time(), asked)

    def _serve(self) -> None:
        """Let those go whose turn it is; be called again when the next one's comes."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._queue:
            if self._queue[0][2].done():  # it was cancelled
                heapq.heappop(self._queue)
                continue
            now = self._loop.time()
            wait = self._pace.wait(now)
            if wait is None:
                return
            if wait > 0:
                self._timer = self._loop.call_later(wait, self._serve)
                return
            self._pace.take(now)
            heapq.heappop(self._queue)[2].set_result(None)
