"""Work that goes on beside -> tasks: a fault in one is told, and in the end they are waited for."""

import asyncio
from asyncio import Future
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from relay.errors import StoreFailed


class Tasks:
    """All that was begun and has not ended; `name` is whose they are. Lives in one event loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False

    def begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Do it beside whoever asks."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def end(self, grace: timedelta, under_way: set[Future[Any]]) -> None:
        """Wait for them, and for what is `under_way`, which they may add to; what takes longer is stopped."""
        self._ending = True
        clock = asyncio.get_running_loop().time
        until = clock() + grace.total_seconds()
        # an attempt that ends has its settling begin
        while (busy := self._tasks | under_way) and (left := until - clock()) > 0:
            await asyncio.wait(busy, timeout=left)
        while late := self._tasks | under_way:  # one that ended just now may have begun another
            for each in late:
                each.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if self._ending:
            return
        if error and not isinstance(error, StoreFailed):  # the store has told of that one, and the relay stops
            asyncio.get_running_loop().call_exception_handler({"message": self._name, "exception": error})
