"""The fast client's connections: aiohttp's connector opens them, and those that are young and silent are used again.

aiohttp's private ends: the connector makes the protocol that `_factory` says, and asks `_create_proxy_connection` for a
connection through a proxy.
"""

import asyncio
from collections import deque
from functools import partial
from time import monotonic
from typing import Any, NamedTuple, cast

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.hdrs import PROXY_AUTHORIZATION
from yarl import URL

from relay.http.client import no_connection_within
from relay.http.fast_connection import FastConnection
from relay.http.fast_tunnel import open_tunnel
from relay.http.public_only import PublicResolver, public_socket
from relay.http.resolver import CACHE_SECONDS, MAX_AGE, Resolver
from relay.http.tunnel import authority, unreachable

IDLE = 15.0  # seconds for which an unused connection is kept


class PoolKey(NamedTuple):
    """What a kept connection must have in common with a request; the proxy and its user are part of `to`."""

    to: ConnectionKey
    public_only: bool


class FastConnector:
    """Opens connections, and keeps idle ones; their number is not limited. Needs a running loop."""

    def __init__(self, *, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._connectors: dict[bool, _Connector] = {}  # each when it is needed; True: to public addresses alone
        self._idle: deque[FastConnection] = deque()  # the one that has been idle longest first
        self._timer: asyncio.TimerHandle | None = None

    def take(self, key: PoolKey) -> FastConnection | None:
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

    async def open(self, request: aiohttp.ClientRequest, key: PoolKey) -> FastConnection:
        """Open a connection to the host of this request. aiohttp looks up, connects, does TLS, and raises errors."""
        connector = self._connectors.get(key.public_only) or self._connector(public_only=key.public_only)
        try:
            opened = await connector.connect(request, [], aiohttp.ClientTimeout(sock_connect=self._timeout))
        except aiohttp.ConnectionTimeoutError:  # of the proxy, in words
            raise
        except TimeoutError as error:
            raise no_connection_within(self._timeout) from error
        connection = cast(Any, opened.protocol)
        connection.key, connection.opened, connection.pool = key, opened, self
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
        for connector in self._connectors.values():
            await connector.close()

    def _connector(self, *, public_only: bool) -> "_Connector":
        guard: dict[str, Any] = {"resolver": PublicResolver(), "socket_factory": public_socket}
        made = self._connectors[public_only] = _Connector(**(guard if public_only else {"resolver": Resolver()}))
        return made

    def _pop(self, key: PoolKey) -> FastConnection | None:
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
    """Hands out our protocol in the place of aiohttp's, and opens a tunnel through a proxy for either scheme.

    aiohttp itself would send the requests to a target without TLS to the proxy, in absolute form: an answer would be
    the proxy's or the target's, and nobody could tell.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(limit=0, ttl_dns_cache=CACHE_SECONDS, force_close=True, **how)
        self._factory = cast(Any, partial(FastConnection, self._loop))

    async def _create_proxy_connection(self, req: aiohttp.ClientRequest, traces: Any, limits: Any) -> Any:
        """Return the transport and the protocol of a connection to the target."""
        transport, outer = await self._connect_to_proxy(req, limits)
        credentials = req.proxy_headers.get(PROXY_AUTHORIZATION) if req.proxy_headers else None
        try:
            await open_tunnel(outer, authority(req.url), authorization=credentials, seconds=limits.sock_connect)
            if req.is_ssl():
                return await self._start_tls_connection(transport, req=req, timeout=limits)
            inner = self._factory()
            transport.set_protocol(inner)
            inner.connection_made(transport)
        except BaseException:
            transport.abort()
            raise
        return transport, inner

    async def _connect_to_proxy(self, req: aiohttp.ClientRequest, limits: Any) -> tuple[Any, Any]:
        """With the target's TLS context, if the proxy is spoken to by TLS."""
        proxy = cast(URL, req.proxy)
        request = aiohttp.ClientRequest("CONNECT", proxy, ssl=req.ssl, loop=self._loop)
        try:
            return await self._create_direct_connection(request, [], limits)
        except TimeoutError as error:
            seconds = f"{limits.sock_connect:g} s"
            raise aiohttp.ConnectionTimeoutError(f"no connection to the proxy within {seconds}") from error
        except aiohttp.ClientConnectorError as error:
            raise unreachable(proxy, error.__cause__ or error) from error
