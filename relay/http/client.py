"""Request -> TargetResponse, over the connections of one target: the interface, and which of its two halves is used.

`fast_client` stands on private ends of aiohttp and is measured; `plain_client` needs nothing but aiohttp's public
`ClientSession` and serves where this release of aiohttp is not known, or where `RELAY_HTTP_CLIENT=plain` asks for it.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import aiohttp

from relay.http.request import Request

CONNECT_TIMEOUT = 5.0  # seconds for one TCP connection, TLS handshake included
BODY_CHUNK = 64 * 1024  # bytes of a request body that are written at a time; most requests are smaller

GOODBYE = 408  # status that some servers send unasked before they close an idle connection (RFC 9110 §15.5.9)


class NotHttp(aiohttp.ClientError):
    """The bytes that arrived are not the head of an HTTP response."""


class ProxyFailed(aiohttp.ClientError):
    """The proxy opened no tunnel to the target; the text, which has no secret of ours, says why."""


class AddressDenied(OSError):
    """No connection is opened to an address that is not public; the text names it. aiohttp wraps it as `os_error`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """How connections are opened.

    `proxy`: the URL of an HTTP proxy, without a user; `authorization` is the header for it. `public_only`: never to an
    address that is not public.
    """

    proxy: str | None = None
    authorization: str | None = field(default=None, repr=False)
    public_only: bool = False


DIRECT = Via()


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
"""The same in every request to one URL by one method, TLS context and `Via`; made and read by the same half."""


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


class Client(Protocol):
    """Sends requests with a body to one target, over a pool of kept connections.

    A kept one that turns out to be closed, by an error of `CLOSED_WHILE_IDLE` or by a `GOODBYE`, is replaced once, by a
    fresh one for this request alone: a keep-alive race costs no attempt. No request is repeated otherwise.
    """

    def endpoint(self, url: str, context: ssl.SSLContext | None, method: str = "POST", via: Via = DIRECT) -> Endpoint:
        """InvalidURL for a URL that no request can be sent to. Certificates are verified with or without `context`.

        A connection that was opened one way is never used the other.
        """

    async def post(self, endpoint: Endpoint, request: Request) -> TargetResponse:
        """Send it, by the method of its endpoint, and return at the response's headers.

        Raises an aiohttp.ClientError, an OSError or, for a header that HTTP cannot carry, a ValueError; ProxyFailed if
        there is no tunnel, AddressDenied as the `os_error` of a ClientConnectorError. Cancelled, it aborts the
        connection. Redirects are not followed, cookies not kept, bodies not decompressed.
        """

    async def close(self) -> None:
        """Close all connections."""


def fast_client() -> Client:
    """Needs a running loop, and a release of aiohttp that `aiohttp_version` knows."""
    from relay.http.fast_client import FastClient  # a release that is not known may not even import it

    return FastClient()


def plain_client() -> Client:
    """Needs a running loop."""
    from relay.http.plain_client import PlainClient

    return PlainClient()
