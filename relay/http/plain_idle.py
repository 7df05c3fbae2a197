"""The plain client's idle connections: one on which the target sends anything unasked is aborted within 50 ms."""

import asyncio
from typing import Any

WATCH_EVERY = 0.05  # seconds between looks at them


class IdleConnections:
    """The connections that wait for a request; one on which the target sends anything unasked is aborted.

    aiohttp would keep all of it in memory, and take it for the response to the next request.
    """

    def __init__(self) -> None:
        self._protocols: set[Any] = set()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, protocol: Any) -> None:
        """Watch a connection that has carried a complete response."""
        self._protocols.add(protocol)
        if self._timer is None:
            self._timer = self._loop.call_later(WATCH_EVERY, self._watch)

    def discard(self, protocol: Any) -> None:
        """Ignore a connection that carries a request, or is new."""
        self._protocols.discard(protocol)

    def clear(self) -> None:
        """Ignore all."""
        self._protocols.clear()
        if self._timer:
            self._timer.cancel()

    async def drop_spoken(self) -> None:
        """Abort what a target has spoken on, bytes included that are still in the socket."""
        if self._protocols:
            for _ in range(2):  # the loop reads its sockets in between
                await asyncio.sleep(0)
            self._drop()

    def _watch(self) -> None:
        self._drop()
        self._timer = self._loop.call_later(WATCH_EVERY, self._watch) if self._protocols else None

    def _drop(self) -> None:
        for protocol in [*self._protocols]:
            if protocol.should_close or not protocol.is_connected():
                self._protocols.discard(protocol)
                protocol.abort()
