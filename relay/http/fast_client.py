"""A POST over aiohttp's connector and C parser -> status, headers, and the body as it arrives.

`aiohttp.ClientSession.post` would take two fifths of an attempt's processor time for features that no delivery uses:
cookies, redirects, proxies, hooks, time-outs, and the objects made anew for them. So only the ends of aiohttp are used
here: the connector (pool, names, TLS), the protocol with the C parser and its limits, and the function that writes a
head and refuses headers that HTTP cannot carry. aiohttp promises none of them: `aiohttp_version` names the releases
for which the tests hold them, `plain_client` serves on the others.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, cast

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from aiohttp.http_writer import _serialize_headers
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from relay.http.client import BODY_CHUNK, CONNECT_TIMEOUT, NotHttp, no_connection_within
from relay.http.fast_connector import fresh_connector, pooled_connector
from relay.http.request import Request, request_target
from relay.http.tolerant_parser import TolerantParser, is_interim

MAX_INTERIM = 1_000  # 1xx responses before the final one; one read may bring thousands


class FastEndpoint:
    """Where to connect, the request line, and our headers that those of a request may replace.

    The connector reads `connect_to`, and neither keeps nor changes it.
    """

    def __init__(self, connect_to: aiohttp.ClientRequest, line: str, headers: CIMultiDict[str]) -> None:
        self.connect_to = connect_to
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


class FastResponse(NamedTuple):
    """A `TargetResponse`."""

    status: int
    headers: CIMultiDictProxy[str]
    body: aiohttp.StreamReader
    connection: Connection

    def end(self) -> None:
        """Return the connection to the pool if all was written, all was read, and nothing came after the response.

        Without its parser the connection buffers what a target sends unasked, up to aiohttp's high-water mark.
        """
        transport = self.connection.transport
        if transport and transport.get_write_buffer_size():
            _abort(self.connection)
            return
        protocol = self.connection.protocol
        if protocol is not None and not protocol.should_close:
            parser: Any = protocol._parser
            if not parser.ended_cleanly():
                protocol.force_close()
            protocol._parser = None
        self.connection.release()


class FastConnections:
    """A `Connections` over two connectors of aiohttp. Needs a running loop."""

    def __init__(self) -> None:
        self._pooled = pooled_connector()
        self._fresh = fresh_connector()
        self._timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT)

    def endpoint(self, url: str, context: ssl.SSLContext | None) -> FastEndpoint:
        """InvalidURL for a URL that no request can be sent to."""
        try:
            parsed, target = URL(url), request_target(url)
        except ValueError as error:
            raise aiohttp.InvalidURL(url) from error
        if parsed.scheme not in {"http", "https"}:
            raise aiohttp.InvalidURL(parsed)
        return FastEndpoint(
            # True verifies, too
            connect_to=aiohttp.ClientRequest("POST", parsed, ssl=context or True, loop=asyncio.get_running_loop()),
            line=f"POST {target} HTTP/1.1",
            # */* without Accept-Encoding: no encoding is asked for
            headers=CIMultiDict({hdrs.HOST: parsed.host_port_subcomponent or "", hdrs.ACCEPT: "*/*"}),
        )

    async def post(self, endpoint: FastEndpoint, request: Request, *, fresh: bool) -> FastResponse:
        """Send the request and wait for the headers of its response."""
        connector = self._fresh if fresh else self._pooled
        written = _serialize(endpoint, request, close=fresh)
        try:
            connection = await connector.connect(endpoint.connect_to, [], self._timeout)
        except TimeoutError as error:
            raise no_connection_within(CONNECT_TIMEOUT) from error
        try:
            return await _exchange(connection, written)
        except BaseException:
            _abort(connection)
            raise

    async def close(self) -> None:
        """Close all connections."""
        await self._pooled.close()
        await self._fresh.close()


def _serialize(endpoint: FastEndpoint, request: Request, *, close: bool) -> bytes:
    """Head and body in one piece, to be one segment if they fit. ValueError for a header that HTTP cannot carry."""
    head = endpoint.closing_head(request.headers) if close else endpoint.head(request.headers)
    length = f"{hdrs.CONTENT_LENGTH}: {len(request.body)}"
    return b"".join((head, _lines(length, request.own_headers), b"\r\n", request.body))


def _lines(first: str, headers: Mapping[str, str]) -> bytes:
    """A line, and one for each header; none is empty."""
    return _serialize_headers(first, cast("CIMultiDict[str]", headers))[: -len(b"\r\n")]


async def _exchange(connection: Connection, written: bytes) -> FastResponse:
    """Read while writing: some targets respond before they have the whole body, and read no more."""
    protocol = cast(ResponseHandler, connection.protocol)  # until it is released
    protocol.set_response_params(read_until_eof=True, auto_decompress=False)
    parser: Any = TolerantParser(protocol._parser, protocol)
    protocol._parser = parser
    if protocol.transport:  # without one `_read_head` raises the reason
        protocol.transport.write(written[:BODY_CHUNK])
    writing = asyncio.create_task(_write_rest(protocol, written)) if len(written) > BODY_CHUNK else None
    try:
        return FastResponse(*await _read_head(protocol), connection)
    finally:
        if writing and not writing.done():  # no other request may be written in between
            protocol.force_close()


async def _write_rest(protocol: ResponseHandler, written: bytes) -> None:
    """Write all but the first chunk, each when the write buffer has drained to its low-water mark."""
    with suppress(OSError):  # `_read_head` raises the reason
        for start in range(BODY_CHUNK, len(written), BODY_CHUNK):
            await protocol._drain_helper()
            if protocol.transport:
                protocol.transport.write(written[start : start + BODY_CHUNK])


async def _read_head(protocol: ResponseHandler) -> tuple[int, CIMultiDictProxy[str], aiohttp.StreamReader]:
    try:
        for _ in range(MAX_INTERIM + 1):
            message, body = await protocol.read()
            status = message.code
            if status >= 200 or not is_interim(status):
                return status, message.headers, body
    except HttpProcessingError as error:
        raise NotHttp(error.message) from error
    raise aiohttp.ClientError(f"{MAX_INTERIM} interim responses (1xx) without a final one")


def _abort(connection: Connection) -> None:
    """Drop the write buffer: a close would write it first, which a target that does not read never lets end."""
    if connection.transport:
        connection.transport.abort()
    connection.close()
