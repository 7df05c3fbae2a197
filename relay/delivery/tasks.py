"""Background work of one owner -> tasks: an error in one is reported, and at the end they are awaited or cancelled."""

import asyncio
from asyncio import Future
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from relay.errors import StoreFailed


class Tasks:
    """The tasks that were started and have not ended; `name` says whose they are. Lives in one event loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()
        self._subordinate: set[asyncio.Task[Any]] = set()
        self._stopping = False

    def start(self, work: Coroutine[None, None, Any]) -> asyncio.Task[Any]:
        """Run it in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def start_subordinate(self, work: Coroutine[None, None, Any]) -> asyncio.Task[Any]:
        """Run it in the background for the other tasks: `stop` cancels it once none of them is left."""
        task = self.start(work)
        self._subordinate.add(task)
        return task

    async def stop(self, grace: timedelta, pending: set[Future[Any]]) -> None:
        """Wait `grace` for the tasks and for what is `pending`, to which they may add; then cancel both."""
        self._stopping = True
        clock = asyncio.get_running_loop().time
        until = clock() + grace.total_seconds()
        # an attempt that ends starts to be settled
        while (running := self._tasks - self._subordinate | pending) and (left := until - clock()) > 0:
            await asyncio.wait(running, timeout=left)
        while late := self._tasks | pending:  # one that ended just now may have started another
            for each in late:
                each.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._subordinate.discard(task)
        error = None if task.cancelled() else task.exception()
        if self._stopping:
            return
        if error and not isinstance(error, StoreFailed):  # the store reports that one itself, and the relay stops
            asyncio.get_running_loop().call_exception_handler({"message": self._name, "exception": error})
