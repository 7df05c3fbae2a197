"""A request, over a connection of a connector -> status, headers, and the body as it comes.

`aiohttp.ClientSession.post` would take two fifths of an attempt's processor time for what we want none of: cookies,
redirects, proxies, hooks, time-outs, and objects made anew for all that. So only the ends of aiohttp are used here: the
connector (pool, names, TLS), the protocol with the parser in C and all its limits, and what writes a head and refuses
the headers that HTTP cannot carry. aiohttp does not promise them: the tests hold them for the release that
`requirements.txt` names, and `check_aiohttp` refuses a newer series.
"""

import asyncio
import ssl
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

from relay.http.request import Request, request_target
from relay.http.tolerant_parser import TolerantParser, is_news

PIECE = 64 * 1024  # bytes that are written at one go; most requests are smaller
MOST_NEWS = 1_000  # answers with 1xx before the answer; there may be thousands in what is read at one go
TIMEOUT = aiohttp.ClientTimeout(sock_connect=5.0)


class NotHttp(aiohttp.ClientError):
    """What arrived is not the head of an HTTP answer."""


class Endpoint(NamedTuple):
    """What is the same in every request to a URL: whom to connect to, the first line, and our headers of less weight.

    The connector reads `whom`, and neither keeps nor changes it.
    """

    whom: aiohttp.ClientRequest
    line: str
    headers: CIMultiDict[str]


class TargetResponse(NamedTuple):
    """It is to be ended, however much of its body was read."""

    status: int
    headers: CIMultiDictProxy[str]
    body: aiohttp.StreamReader
    connection: Connection

    def end(self) -> None:
        """The connector keeps the connection if all was written, all was read, and the target said no more.

        An odd answer is its connection's last. From now on nobody listens: what it says all the same is not
        understood, and soon not even read.
        """
        transport = self.connection.transport
        if transport and transport.get_write_buffer_size():
            _abort(self.connection)
            return
        protocol = self.connection.protocol
        if protocol is not None and not protocol.should_close:
            parser: Any = protocol._parser
            if not parser.said_no_more():
                protocol.force_close()
            protocol._parser = None
        self.connection.release()


def endpoint_of(url: str, context: ssl.SSLContext | None) -> Endpoint:
    """InvalidURL if nobody can be asked for it. Needs a running loop."""
    try:
        parsed, target = URL(url), request_target(url)
    except ValueError as error:
        raise aiohttp.InvalidURL(url) from error
    if parsed.scheme not in {"http", "https"}:
        raise aiohttp.InvalidURL(parsed)
    return Endpoint(
        # verified in either case
        whom=aiohttp.ClientRequest("POST", parsed, ssl=context or True, loop=asyncio.get_running_loop()),
        line=f"POST {target} HTTP/1.1",
        headers=CIMultiDict({hdrs.HOST: parsed.host_port_subcomponent or "", hdrs.ACCEPT: "*/*"}),  # but no encoding
    )


async def post(connector: aiohttp.TCPConnector, address: Endpoint, request: Request) -> TargetResponse:
    """An aiohttp.ClientError, OSError or ValueError says why there is none. Who stops waiting ends the connection."""
    written = _written(address, request, close=connector.force_close)
    try:
        connection = await connector.connect(address.whom, [], TIMEOUT)
    except TimeoutError as error:
        raise aiohttp.ConnectionTimeoutError(f"no connection within {TIMEOUT.sock_connect:g} s") from error
    try:
        return await _ask(connection, written)
    except BaseException:
        _abort(connection)
        raise


def _written(address: Endpoint, request: Request, *, close: bool) -> bytes:
    """Head and body as one, to be one packet if they fit; ValueError for a header that HTTP cannot carry."""
    headers = address.headers.copy()
    headers.update(request.headers)
    headers[hdrs.CONTENT_LENGTH] = str(len(request.body))
    if close:
        headers[hdrs.CONNECTION] = "close"
    return _serialize_headers(address.line, headers) + request.body


async def _ask(connection: Connection, written: bytes) -> TargetResponse:
    """Listens while it writes: some answer before they have all, and read no more."""
    protocol = cast(ResponseHandler, connection.protocol)  # until it is released
    protocol.set_response_params(read_until_eof=True, auto_decompress=False)
    parser: Any = TolerantParser(protocol._parser, protocol)
    protocol._parser = parser
    if protocol.transport:  # else the answer is why there is none
        protocol.transport.write(written[:PIECE])
    writing = asyncio.create_task(_write_on(protocol, written)) if len(written) > PIECE else None
    try:
        return TargetResponse(*await _answer(protocol), connection)
    finally:
        if writing and not writing.done():  # nobody else may write in between
            protocol.force_close()


async def _write_on(protocol: ResponseHandler, written: bytes) -> None:
    """All but the first piece, as the target takes it."""
    with suppress(OSError):  # the answer is what went wrong
        for start in range(PIECE, len(written), PIECE):
            await protocol._drain_helper()
            if protocol.transport:
                protocol.transport.write(written[start : start + PIECE])


async def _answer(protocol: ResponseHandler) -> tuple[int, CIMultiDictProxy[str], aiohttp.StreamReader]:
    try:
        for _ in range(MOST_NEWS + 1):
            message, body = await protocol.read()
            status = message.code
            if status >= 200 or not is_news(status):
                return status, message.headers, body
    except HttpProcessingError as error:
        raise NotHttp(error.message) from error
    raise aiohttp.ClientError(f"{MOST_NEWS} answers with 1xx, and none to come after them")


def _abort(connection: Connection) -> None:
    """At once: closed politely it would first write on, if only the target read."""
    if connection.transport:
        connection.transport.abort()
    connection.close()
