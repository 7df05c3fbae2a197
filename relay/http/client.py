"""Request -> TargetResponse, over the connections of one target: the interface, and which of its two halves is used.

`fast_client` stands on private ends of aiohttp and is measured; `plain_client` needs nothing but aiohttp's public
`ClientSession` and serves where this release of aiohttp is not known, or where `RELAY_HTTP_CLIENT=plain` asks for it.
"""

import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias

import aiohttp

from relay.http.request import Request

CONNECT_TIMEOUT = 5.0  # seconds for one TCP connection, TLS handshake included
BODY_CHUNK = 64 * 1024  # bytes of a request body that are written at a time; most requests are smaller

_REQUEST_TIMEOUT = 408  # sent unasked by some servers before they close an idle connection (RFC 9110 §15.5.9)

reused: ContextVar[bool] = ContextVar("reused")
"""Whether the connection that this task was given last had carried a request before."""


class NotHttp(aiohttp.ClientError):
    """The bytes that arrived are not the head of an HTTP response."""


def no_connection_within(seconds: float) -> aiohttp.ConnectionTimeoutError:
    """The time-out of a connect, in words without the URL, which may hold a secret."""
    return aiohttp.ConnectionTimeoutError(f"no connection within {seconds:g} s")


CLOSED_WHILE_IDLE = (
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientOSError,
    aiohttp.ClientConnectionResetError,
    NotHttp,
)
"""What a reused connection fails with in a keep-alive race. NotHttp: leftovers of the response before."""

Endpoint: TypeAlias = Any
"""What is the same in every request to one URL with one TLS context; made and read by the same half."""


class TargetResponse(Protocol):
    """Status and headers, maybe with the body still to be read. `end()` must follow, however much of it was read."""

    @property
    def status(self) -> int:
        """From 0 to 999."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in any case."""

    @property
    def body(self) -> bytes | aiohttp.StreamReader:
        """Undecoded: all of it if it came with the head, as most do, else as it comes."""

    def end(self) -> None:
        """Return the connection to the pool if request and response are complete; otherwise abort it."""


class Connections(Protocol):
    """The connections to one target: a pool of kept ones, and fresh ones that carry one request each."""

    def endpoint(self, url: str, context: ssl.SSLContext | None) -> Endpoint:
        """InvalidURL for a URL that no request can be sent to. Certificates are verified with or without `context`."""

    async def post(self, endpoint: Endpoint, request: Request, *, fresh: bool) -> TargetResponse:
        """Send it and return at the response's headers; sets `reused`.

        Raises an aiohttp.ClientError, an OSError or, for a header that HTTP cannot carry, a ValueError. Cancelled, it
        aborts the connection. Redirects are not followed, cookies not kept, bodies not decompressed.
        """

    async def close(self) -> None:
        """Close all connections."""


class Client:
    """Posts to one target. A kept connection that turns out to be closed is replaced once, by a fresh one."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.endpoint = connections.endpoint
        self.close = connections.close

    async def post(self, endpoint: Endpoint, request: Request) -> TargetResponse:
        """Like `Connections.post`. A keep-alive race costs no attempt: aiohttp repeats no POST by itself."""
        try:
            response = await self._connections.post(endpoint, request, fresh=False)
            if response.status != _REQUEST_TIMEOUT or not reused.get():
                return response
            response.end()
        except CLOSED_WHILE_IDLE:
            if not reused.get():
                raise
        return await self._connections.post(endpoint, request, fresh=True)


def fast_client() -> Client:
    """Needs a running loop, and a release of aiohttp that `aiohttp_version` knows."""
    from relay.http.fast_client import FastConnections  # a release that is not known may not even import it

    return Client(FastConnections())


def plain_client() -> Client:
    """Needs a running loop."""
    from relay.http.plain_client import PlainConnections

    return Client(PlainConnections())
