"""A request, over a connection of a connector -> status and headers.

It does what `aiohttp.ClientSession.post` does, but for cookies, redirects, proxies, hooks and time-outs of its own, of
which we want none: they take a tenth of an attempt. aiohttp does not promise the calls it is made of: the tests of
`send` do, for the release that `requirements.txt` names.
"""

import asyncio
import io
import ssl

import aiohttp
from aiohttp import hdrs
from aiohttp.connector import Connection
from yarl import URL

from relay.delivery.render import Request

MAX_BYTES = 2**20  # of a body that is written at one go
TIMEOUT = aiohttp.ClientTimeout(sock_connect=5.0)


class _Request(aiohttp.ClientRequest):
    DEFAULT_HEADERS = {hdrs.ACCEPT: "*/*"}  # noqa: RUF012  no accept-encoding: the answer's start is for people to read


async def post(
    connector: aiohttp.TCPConnector, request: Request, context: ssl.SSLContext | None
) -> aiohttp.ClientResponse:
    """An aiohttp.ClientError, OSError or ValueError says why there is none. Who stops waiting ends the connection."""
    body = request.body
    asked = _Request(
        "POST",
        _url(request),
        headers=request.headers,
        data=body if len(body) <= MAX_BYTES else io.BytesIO(body),  # aiohttp warns of plain bytes above
        ssl=context or True,  # verified in either case
        loop=asyncio.get_running_loop(),
    )
    try:
        connection = await connector.connect(asked, [], TIMEOUT)
    except TimeoutError as error:
        raise aiohttp.ConnectionTimeoutError(f"no connection within {TIMEOUT.sock_connect:g} s") from error
    try:
        return await _answer(asked, connection)
    except BaseException:
        connection.close()
        raise


async def _answer(asked: _Request, connection: Connection) -> aiohttp.ClientResponse:
    if connection.protocol is not None:  # as ever, before it is released
        connection.protocol.set_response_params(read_until_eof=True, auto_decompress=False)
    response = await asked.send(connection)
    try:
        return await response.start(connection)
    except BaseException:
        response.close()  # also ends what still writes
        raise


def _url(request: Request) -> URL:
    try:
        url = URL(request.url)
    except ValueError as error:
        raise aiohttp.InvalidURL(request.url) from error
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise aiohttp.InvalidURL(url)
    return url
