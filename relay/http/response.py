"""Status and a small JSON document -> a response, written in one piece."""

import asyncio
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from types import MappingProxyType

import orjson
from aiohttp import HttpVersion, HttpVersion10, HttpVersion11, web

UNREAD = 5.0  # seconds for which the write buffer may stay above its high-water mark

_NONE: Mapping[str, str] = MappingProxyType({})


class Response:
    """What aiohttp's request handler uses of a response: `prepare`, `write_eof`, `keep_alive`, `force_close`, `status`.

    aiohttp's own supports cookies, compression, chunks and a `Server` header, and takes more processor time for it than
    the decoding of a webhook.
    """

    __slots__ = ("_last", "_protocol", "_writer", "document", "headers", "keep_alive", "status")

    def __init__(self, document: object, *, status: int = 200, headers: Mapping[str, str] = _NONE) -> None:
        self.status = status
        self.keep_alive = False  # until it is sent
        self.document = document
        self.headers = headers
        self._last = False

    def force_close(self) -> None:
        """Close the connection after this response."""
        self._last = True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write all of it. ConnectionResetError if the peer has closed the connection."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        self._writer, self._protocol = request.writer, request.protocol
        self.write(transport, keep_alive=request.keep_alive, version=request.version, method=request.method)

    def write(
        self,
        transport: asyncio.WriteTransport,
        *,
        keep_alive: bool,
        version: HttpVersion = HttpVersion11,
        method: str = "POST",
    ) -> None:
        """Write all of it, in one piece; the request says whether to keep the connection, and what it understands."""
        self.keep_alive = keep_alive and not self._last
        body = orjson.dumps(self.document)
        more = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()]) if self.headers else ""
        if not self.keep_alive:
            more += "Connection: close\r\n"
        elif version is not HttpVersion11 and version == HttpVersion10:
            more += "Connection: keep-alive\r\n"
        head = _head(self.status, len(body), int(time()), more)
        transport.write(head if method == "HEAD" else head + body)

    async def write_eof(self) -> None:
        """Wait until the write buffer is below its high-water mark: backpressure on the requests that follow.

        Aborts the connection and raises ConnectionResetError if the peer does not read within UNREAD.
        """
        if not self._protocol.writing_paused:
            return
        try:
            async with asyncio.timeout(UNREAD):
                await self._writer.drain()
        except TimeoutError:
            if transport := self._protocol.transport:
                transport.abort()
            raise ConnectionResetError from None


def closing_error(status: int, **more: str) -> Response:
    """The response to a request that cannot be read or that the relay failed over: the last one of its connection."""
    response = Response({"error": HTTPStatus(status).phrase.lower(), **more}, status=status)
    response.force_close()
    return response


@lru_cache(maxsize=64)
def _head(status: int, length: int, second: int, more: str) -> bytes:
    """Return the head of a response; those of a second are mostly the same."""
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\nDate: {_date(second)}\r\n{more}\r\n"
    ).encode("ascii")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
