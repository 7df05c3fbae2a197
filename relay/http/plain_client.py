"""A request over `aiohttp.ClientSession` -> status, headers, and the body as it arrives, by aiohttp's public API alone.

Slower than `fast_client`, and it takes aiohttp's own view of what a response is: where that rejects a head or a first
chunk, the outcome is `protocol` and the delivery is retried. The tests list these differences.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import ContextVar
from time import monotonic
from typing import Any, NamedTuple, cast

import aiohttp
from aiohttp import hdrs
from yarl import URL

from relay.http.client import (
    BODY_CHUNK,
    CLOSED_WHILE_IDLE,
    CONNECT_TIMEOUT,
    GOODBYE,
    NotHttp,
    no_connection_within,
)
from relay.http.request import Request, request_target
from relay.http.resolver import CACHE_SECONDS, MAX_AGE, Resolver

IDLE = 15.0  # seconds for which an unused connection is kept
MAX_HEADER = 64 * 1024  # bytes of one response header
MAX_HEADERS = 1_000
WATCH_EVERY = 0.05  # seconds between looks at idle connections

_NOT_IN_A_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_SENT = (hdrs.USER_AGENT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE)  # what aiohttp would add by itself


class PlainEndpoint(NamedTuple):
    """The URL as it goes out, the context of its TLS, and the method."""

    url: URL
    context: ssl.SSLContext | None
    method: str


class PlainClient:
    """A `Client` over sessions of aiohttp. Needs a running loop.

    Public API has no age of a connection, so the session that keeps them is replaced as a whole when it is too old.
    """

    def __init__(self) -> None:
        self._kept: _Session | None = None  # until the first request
        self._fresh = _Session(force_close=True)
        self._idle = _Idle()
        self._retired: set[_Session] = set()  # too old, with responses that are still read
        self._closing: set[asyncio.Task[None]] = set()

    def endpoint(self, url: str, context: ssl.SSLContext | None, method: str = "POST") -> PlainEndpoint:
        """InvalidURL for a URL that no request can be sent to."""
        try:
            parsed, target = URL(url), request_target(url)
            if parsed.scheme not in {"http", "https"} or not parsed.raw_host:
                raise aiohttp.InvalidURL(parsed)
            # the whole target as an encoded path: yarl would drop a `?` that nothing follows
            as_sent = URL.build(scheme=parsed.scheme, authority=parsed.raw_authority, path=target, encoded=True)
        except ValueError as error:
            raise aiohttp.InvalidURL(url) from error
        return PlainEndpoint(as_sent, context, method)

    async def post(self, endpoint: PlainEndpoint, request: Request) -> "PlainResponse":
        """Send the request and wait for the headers of its response."""
        _reused.set(False)
        try:
            response = await self._post(endpoint, request, fresh=False)
            if response.status != GOODBYE or not _reused.get():
                return response
            response.end()
        except CLOSED_WHILE_IDLE:
            if not _reused.get():
                raise
        return await self._post(endpoint, request, fresh=True)

    async def _post(self, endpoint: PlainEndpoint, request: Request, *, fresh: bool) -> "PlainResponse":
        _check_headers(request.all_headers)
        await self._idle.drop_spoken()
        session = self._fresh if fresh else self._current()
        session.users += 1
        _idle.set(self._idle)
        try:
            response = await session.post(endpoint, request)
        except BaseException:
            self._leave(session)
            raise
        return PlainResponse(response, self._idle, lambda: self._leave(session))

    async def close(self) -> None:
        """Close all connections."""
        self._idle.clear()
        await asyncio.gather(*self._closing)
        for session in (self._kept, self._fresh, *self._retired):
            if session:
                await session.close()

    def _current(self) -> "_Session":
        if self._kept and monotonic() - self._kept.opened_at > MAX_AGE:
            self._retired.add(self._kept)
            self._close_unused(self._kept)
            self._kept = None
        self._kept = self._kept or _Session(force_close=False)
        return self._kept

    def _leave(self, session: "_Session") -> None:
        session.users -= 1
        self._close_unused(session)

    def _close_unused(self, session: "_Session") -> None:
        if session in self._retired and not session.users:
            self._retired.discard(session)
            self._closing.add(task := asyncio.get_running_loop().create_task(session.close()))
            task.add_done_callback(self._closing.discard)


class PlainResponse:
    """A `TargetResponse`."""

    def __init__(self, response: "_AbortableResponse", idle: "_Idle", on_end: Callable[[], None]) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.transport = response.transport
        self._response = response
        self._idle = idle
        self._on_end = on_end

    @property
    def body(self) -> bytes | aiohttp.StreamReader:
        """Undecoded: all of it if it came with the head, else as it comes."""
        content = self._response.content
        return content.read_nowait() if content.is_eof() and not content.exception() else content

    def end(self) -> None:
        """Return the connection to the pool if all was written and all was read; otherwise abort it."""
        # a complete response has given its connection back already, perhaps to another request
        if self._response.connection is not None and self.transport and self.transport.get_write_buffer_size():
            self.transport.abort()
        if self._response.content.at_eof():
            self._response.release()
            self._idle.add(self._response.protocol)
        else:
            self._response.close()
        self._on_end()


class _Session:
    """A session of aiohttp with every feature switched off that a delivery does not use."""

    def __init__(self, *, force_close: bool) -> None:
        self.opened_at = monotonic()
        self.users = 0  # requests and responses under way
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(_on_reused)
        how: dict[str, Any] = {"force_close": True} if force_close else {"keepalive_timeout": IDLE}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=CACHE_SECONDS, resolver=Resolver(), **how),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=_NOT_SENT,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            trace_configs=[tracing],
            middlewares=[_send_once],
            response_class=_AbortableResponse,
            max_field_size=MAX_HEADER,
            max_headers=MAX_HEADERS,
        )

    async def post(self, endpoint: PlainEndpoint, request: Request) -> "_AbortableResponse":
        """Without redirects; errors are those of `Client.post`, and none of them holds the URL's secrets."""
        body = request.body
        headers = {"accept": "*/*", **request.all_headers, hdrs.CONTENT_LENGTH: str(len(body))}
        try:
            response = await self._session.request(
                endpoint.method,
                endpoint.url,
                data=body if len(body) <= BODY_CHUNK else _chunks(body),
                headers=headers,
                ssl=endpoint.context or True,
                allow_redirects=False,
            )
            return cast(_AbortableResponse, response)
        except _Failed as failed:
            raise failed.error from failed.error.__cause__
        except aiohttp.ConnectionTimeoutError as error:
            raise no_connection_within(CONNECT_TIMEOUT) from error
        except aiohttp.ClientResponseError as error:
            raise NotHttp(error.message) from error

    async def close(self) -> None:
        """Close its connections."""
        await self._session.close()


class _Idle:
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


_reused: ContextVar[bool] = ContextVar("reused")
"""Whether the connection that this task was given last had carried a request before."""

_idle: ContextVar[_Idle] = ContextVar("idle")
"""Where the response that this task waits for takes its connection from."""


class _AbortableResponse(aiohttp.ClientResponse):
    """A response that keeps its transport: a close would write the rest of the body before anything else."""

    transport: asyncio.WriteTransport | None = None
    protocol: Any = None

    async def start(self, connection: Any, *rest: Any) -> aiohttp.ClientResponse:
        """Read the head, or abort the connection."""
        self.transport, self.protocol = connection.transport, connection.protocol
        _idle.get().discard(self.protocol)
        try:
            await super().start(connection, *rest)
        except BaseException:
            if self.transport:
                self.transport.abort()
            raise
        return self


class _Failed(Exception):
    """A request failed in a way after which aiohttp would repeat a PUT, as that is idempotent to HTTP."""

    def __init__(self, error: aiohttp.ClientError) -> None:
        super().__init__()
        self.error = error


async def _send_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Failed(error) from error


async def _on_reused(_session: Any, _context: Any, _params: Any) -> None:
    _reused.set(True)


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    """Aiohttp waits between them until the write buffer has drained."""
    for start in range(0, len(body), BODY_CHUNK):
        yield body[start : start + BODY_CHUNK]


def _check_headers(headers: Mapping[str, str]) -> None:
    """ValueError before anything is connected, not after."""
    for name, value in headers.items():
        if _NOT_IN_A_HEADER.search(name) or _NOT_IN_A_HEADER.search(value):
            raise ValueError("a header has a character that HTTP cannot carry")
