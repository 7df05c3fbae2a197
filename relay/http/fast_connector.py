"""The fast client's connections: aiohttp's connector opens them, and those that are young and silent are used again.

aiohttp's private ends: the connector makes the protocol that `_factory` says.
"""

import asyncio
from collections import deque
from functools import partial
from time import monotonic
from typing import Any, cast

import aiohttp
from aiohttp.client_reqrep import ConnectionKey

from relay.http.client import no_connection_within
from relay.http.fast_connection import FastConnection
from relay.http.resolver import CACHE_SECONDS, MAX_AGE, Resolver

IDLE = 15.0  # seconds for which an unused connection is kept


class FastConnector:
    """Opens connections, and keeps idle ones; their number is not limited. Needs a running loop."""

    def __init__(self, *, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._connector = _Connector(limit=0, ttl_dns_cache=CACHE_SECONDS, resolver=Resolver(), force_close=True)
        self._idle: deque[FastConnection] = deque()  # the one that has been idle longest first
        self._timer: asyncio.TimerHandle | None = None

    def take(self, key: ConnectionKey) -> FastConnection | None:
        """Take an idle connection that is not too old, and on which the target sent nothing after its response."""
        now, idle = monotonic(), self._idle
        if idle and now - idle[0].idle_since > IDLE:
            self._drop_unused(now)
        while idle:
            connection = idle.popleft() if idle[0].key == key else self._pop(key)
            if connection is None or (now - connection.opened_at <= MAX_AGE and not connection.has_input()):
                return connection
            self.drop(connection)
        return None

    async def open(self, request: aiohttp.ClientRequest) -> FastConnection:
        """Open a connection to the host of this request. aiohttp looks up, connects, does TLS, and raises errors."""
        try:
            opened = await self._connector.connect(request, [], aiohttp.ClientTimeout(sock_connect=self._timeout))
        except TimeoutError as error:
            raise no_connection_within(self._timeout) from error
        connection = cast(Any, opened.protocol)
        connection.key, connection.opened, connection.pool = request.connection_key, opened, self
        return cast(FastConnection, connection)

    def keep(self, connection: FastConnection) -> None:
        """Keep an idle connection for later requests."""
        self._idle.append(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(IDLE, self._on_timer)

    def drop(self, connection: FastConnection) -> None:
        """Abort a connection."""
        connection.abort()
        connection.opened.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._timer:
            self._timer.cancel()
        while self._idle:
            connection = self._idle.pop()
            self.drop(connection)
            if closed := connection.closed:
                await closed
        await self._connector.close()

    def _pop(self, key: ConnectionKey) -> FastConnection | None:
        connection = next((each for each in self._idle if each.key == key), None)
        if connection:
            self._idle.remove(connection)
        return connection

    def _on_timer(self) -> None:
        now, self._timer = monotonic(), None
        self._drop_unused(now)
        if self._idle:
            self._timer = self._loop.call_later(IDLE - (now - self._idle[0].idle_since), self._on_timer)

    def _drop_unused(self, now: float) -> None:
        while self._idle and now - self._idle[0].idle_since > IDLE:
            self.drop(self._idle.popleft())


class _Connector(aiohttp.TCPConnector):
    """Hands out our protocol in the place of aiohttp's."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._factory = cast(Any, partial(FastConnection, self._loop))
