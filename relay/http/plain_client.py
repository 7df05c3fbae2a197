"""A request over `aiohttp.ClientSession` -> status, headers, and the body as it arrives, by aiohttp's public API alone.

Slower than `fast_client`, and it takes aiohttp's own view of what a response is: where that rejects a head or a first
chunk, the outcome is `protocol` and the delivery is retried. The tests list these differences. Through a proxy, a
request to a target without TLS goes in absolute form, for aiohttp opens no tunnel then: what the proxy says instead of
the target, a 407 apart, is taken for the target's answer.
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
    DIRECT,
    GOODBYE,
    NotHttp,
    Via,
    no_connection_within,
)
from relay.http.plain_idle import IdleConnections
from relay.http.plain_proxy import connecting, failure_of_proxy, refuses, through_proxy, trace_connecting
from relay.http.public_only import PublicResolver, public_socket
from relay.http.request import Request, request_target
from relay.http.resolver import CACHE_SECONDS, MAX_AGE, Resolver

IDLE = 15.0  # seconds for which an unused connection is kept
MAX_HEADER = 64 * 1024  # bytes of one response header
MAX_HEADERS = 1_000

_NOT_IN_A_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_SENT = (hdrs.USER_AGENT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE)  # what aiohttp would add by itself


class PlainEndpoint(NamedTuple):
    """The URL as it goes out, the context of its TLS, the method, and how connections are opened."""

    url: URL
    context: ssl.SSLContext | None
    method: str
    via: Via


class PlainClient:
    """A `Client` over sessions of aiohttp. Needs a running loop.

    Public API has no age of a connection, so the session that keeps them is replaced as a whole when it is too old.
    """

    def __init__(self) -> None:
        # each when it is needed; True: to public addresses alone
        self._kept: dict[bool, _Session] = {}
        self._fresh: dict[bool, _Session] = {}
        self._idle = IdleConnections()
        self._retired: set[_Session] = set()  # too old, with responses that are still read
        self._closing: set[asyncio.Task[None]] = set()

    def endpoint(
        self, url: str, context: ssl.SSLContext | None, method: str = "POST", via: Via = DIRECT
    ) -> PlainEndpoint:
        """InvalidURL for a URL that no request can be sent to."""
        try:
            parsed, target = URL(url), request_target(url)
            if parsed.scheme not in {"http", "https"} or not parsed.raw_host:
                raise aiohttp.InvalidURL(parsed)
            # the whole target as an encoded path: yarl would drop a `?` that nothing follows
            as_sent = URL.build(scheme=parsed.scheme, authority=parsed.raw_authority, path=target, encoded=True)
        except ValueError as error:
            raise aiohttp.InvalidURL(url) from error
        return PlainEndpoint(as_sent, context, method, via)

    async def post(self, endpoint: PlainEndpoint, request: Request) -> "PlainResponse":
        """Send the request and wait for the headers of its response."""
        _reused.set(False)
        connecting.set(False)
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
        session = self._one_use(endpoint.via.public_only) if fresh else self._current(endpoint.via.public_only)
        session.users += 1
        _idle.set(self._idle)
        try:
            response = await session.post(endpoint, request)
        except BaseException:
            self._leave(session)
            raise
        answer = PlainResponse(response, self._idle, lambda: self._leave(session))
        if endpoint.via.proxy and (refusal := refuses(response.status, endpoint.url, endpoint.via)):
            answer.end()
            raise refusal
        return answer

    async def close(self) -> None:
        """Close all connections."""
        self._idle.clear()
        await asyncio.gather(*self._closing)
        for session in (*self._kept.values(), *self._fresh.values(), *self._retired):
            await session.close()

    def _one_use(self, public_only: bool) -> "_Session":
        if public_only not in self._fresh:
            self._fresh[public_only] = _Session(force_close=True, public_only=public_only)
        return self._fresh[public_only]

    def _current(self, public_only: bool) -> "_Session":
        kept = self._kept.get(public_only)
        if kept and monotonic() - kept.opened_at <= MAX_AGE:
            return kept
        made = self._kept[public_only] = _Session(force_close=False, public_only=public_only)
        if kept:
            self._retired.add(kept)
            self._close_unused(kept)
        return made

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

    def __init__(self, response: "_AbortableResponse", idle: "IdleConnections", on_end: Callable[[], None]) -> None:
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

    def __init__(self, *, force_close: bool, public_only: bool) -> None:
        self.opened_at = monotonic()
        self.users = 0  # requests and responses under way
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(_on_reused)
        trace_connecting(tracing)
        how: dict[str, Any] = {"force_close": True} if force_close else {"keepalive_timeout": IDLE}
        how |= {"socket_factory": public_socket} if public_only else {}
        resolver = PublicResolver() if public_only else Resolver()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=CACHE_SECONDS, resolver=resolver, **how),
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
        how = through_proxy(endpoint.url, endpoint.via, headers) if endpoint.via.proxy else {}
        try:
            response = await self._session.request(
                endpoint.method,
                endpoint.url,
                data=body if len(body) <= BODY_CHUNK else _chunks(body),
                headers=headers,
                ssl=endpoint.context or True,
                allow_redirects=False,
                **how,
            )
            return cast(_AbortableResponse, response)
        except (_Failed, aiohttp.ClientError) as raised:
            error = raised.error if isinstance(raised, _Failed) else raised
            failure = _in_words(error, endpoint)
            raise failure from (error.__cause__ if failure is error else error)

    async def close(self) -> None:
        """Close its connections."""
        await self._session.close()


_reused: ContextVar[bool] = ContextVar("reused")
"""Whether the connection that this task was given last had carried a request before."""

_idle: ContextVar[IdleConnections] = ContextVar("idle")
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


def _in_words(error: aiohttp.ClientError, endpoint: PlainEndpoint) -> aiohttp.ClientError:
    """Return an error without the URL, or the same one."""
    if endpoint.via.proxy and (failed := failure_of_proxy(error, endpoint.url, endpoint.via)):
        return failed
    match error:
        case aiohttp.ConnectionTimeoutError():
            return no_connection_within(CONNECT_TIMEOUT)
        case aiohttp.ClientResponseError(message=message):
            return NotHttp(message)
    return error


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
