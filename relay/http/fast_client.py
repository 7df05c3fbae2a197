"""A request over aiohttp's connector and C parser -> status, headers, and the body as it arrives.

`aiohttp.ClientSession` would take half of an attempt's processor time for features that no delivery uses: cookies,
redirects, proxies, hooks, time-outs, and the objects made anew for them. So only the ends of aiohttp are used: the
connector (`fast_connector`), the C parser with its limits (`fast_connection`), and here the function that writes a head
and refuses headers that HTTP cannot carry. aiohttp promises none of them: `aiohttp_version` names the releases for
which the tests hold them, `plain_client` serves on the others.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import hdrs
from aiohttp.http_writer import _serialize_headers
from multidict import CIMultiDict
from yarl import URL

from relay.http.client import CLOSED_WHILE_IDLE, CONNECT_TIMEOUT, DIRECT, GOODBYE, Via
from relay.http.fast_connection import FastConnection
from relay.http.fast_connector import FastConnector, PoolKey
from relay.http.request import Request, request_target


class FastEndpoint:
    """Where to connect, the request line, and our headers that those of a request may replace.

    The connector reads `connect_to`, and neither keeps nor changes it.
    """

    def __init__(
        self, connect_to: aiohttp.ClientRequest, line: str, headers: CIMultiDict[str], *, public_only: bool = False
    ) -> None:
        self.connect_to = connect_to
        self.key = PoolKey(connect_to.connection_key, public_only)
        self.line = line
        self.headers = headers
        self._of: Mapping[str, str] | None = None
        self._head = b""

    def head(self, of: Mapping[str, str]) -> bytes:
        """Request line and headers, the same for the same object. ValueError for a header that HTTP cannot carry."""
        if of is not self._of:
            self._head = _lines(self.line, self._merged(of))
            self._of = of
        return self._head

    def closing_head(self, of: Mapping[str, str]) -> bytes:
        """Like `head`, and asks for the connection to be closed after the response."""
        headers = self._merged(of)
        headers[hdrs.CONNECTION] = "close"
        return _lines(self.line, headers)

    def _merged(self, of: Mapping[str, str]) -> CIMultiDict[str]:
        headers = self.headers.copy()
        headers.update(of)
        return headers


class FastClient:
    """A `Client` over a connector of aiohttp. Needs a running loop."""

    def __init__(self) -> None:
        self._connector = FastConnector(timeout=CONNECT_TIMEOUT)

    def endpoint(
        self, url: str, context: ssl.SSLContext | None, method: str = "POST", via: Via = DIRECT
    ) -> FastEndpoint:
        """InvalidURL for a URL that no request can be sent to."""
        try:
            parsed, target = URL(url), request_target(url)
        except ValueError as error:
            raise aiohttp.InvalidURL(url) from error
        if parsed.scheme not in {"http", "https"}:
            raise aiohttp.InvalidURL(parsed)
        return FastEndpoint(
            # True verifies, too
            connect_to=aiohttp.ClientRequest(
                method, parsed, ssl=context or True, loop=asyncio.get_running_loop(), **_of_proxy(via, parsed)
            ),
            line=f"{method} {target} HTTP/1.1",
            # */* without Accept-Encoding: no encoding is asked for
            headers=CIMultiDict({hdrs.HOST: parsed.host_port_subcomponent or "", hdrs.ACCEPT: "*/*"}),
            public_only=via.public_only,
        )

    async def post(self, endpoint: FastEndpoint, request: Request) -> FastConnection:
        """Send the request and wait for the headers of its response."""
        written = _serialize(endpoint.head(request.headers), request)
        connection = self._connector.take(endpoint.key)
        if connection is None:
            return await self._post_new(endpoint, written)
        try:  # in this frame: nearly every request goes this way
            if waiter := connection.ask(written):
                await waiter
            response = connection.head()
        except CLOSED_WHILE_IDLE:
            self._connector.drop(connection)
        except BaseException:
            self._connector.drop(connection)
            raise
        else:
            if response.status != GOODBYE:
                return response
            response.end()
        return await self._post_new(endpoint, _serialize(endpoint.closing_head(request.headers), request), last=True)

    async def _post_new(self, endpoint: FastEndpoint, written: bytes, *, last: bool = False) -> FastConnection:
        """Send it over a new connection."""
        connection = await self._connector.open(endpoint.connect_to, endpoint.key)
        try:
            if waiter := connection.ask(written, last=last):
                await waiter
            return connection.head()
        except BaseException:
            self._connector.drop(connection)
            raise

    async def close(self) -> None:
        """Close all connections."""
        await self._connector.close()


def _of_proxy(via: Via, target: URL) -> dict[str, Any]:
    """What aiohttp is told of the proxy; a certificate has the target's name without a dot at its end."""
    if via.proxy is None:
        return {}
    credentials = {hdrs.PROXY_AUTHORIZATION: via.authorization} if via.authorization else None
    name = (target.raw_host or "").rstrip(".")
    return {"proxy": URL(via.proxy), "proxy_headers": credentials, "server_hostname": name}


def _serialize(head: bytes, request: Request) -> bytes:
    """All of it in one piece, to be one segment if it fits. ValueError for a header that HTTP cannot carry."""
    length = f"{hdrs.CONTENT_LENGTH}: {len(request.body)}"
    return b"".join((head, _serialize_headers(length, request.own_headers), request.body))  # type: ignore[arg-type]


def _lines(first: str, headers: CIMultiDict[str]) -> bytes:
    """A line, and one for each header; none is empty."""
    return _serialize_headers(first, headers)[: -len(b"\r\n")]
