"""One connection's bytes -> requests, within our limits and with our manners; aiohttp's are for a friendly network."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web

from relay.errors import Misconfigured
from relay.server.limits import Limits

MAX_HEAD = 16 * 1024  # bytes of a request line and headers that are not complete yet

_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Runner(web.AppRunner):
    """Serves with our protocol in the place of aiohttp's; `gone` is told of each connection that has ended."""

    def __init__(
        self, app: web.Application, *, limits: Limits, grace: float, gone: Callable[["Protocol"], None]
    ) -> None:
        super().__init__(
            app,
            access_log=None,
            shutdown_timeout=grace,
            keepalive_timeout=limits.idle,
            lingering_time=limits.lingering,
            auto_decompress=False,  # a body is kept as it came
            max_line_size=4096,
            max_field_size=8190,
            max_headers=64,
        )
        self._gone = gone

    def protocol(self) -> "Protocol":
        """For one more connection."""
        assert self.server  # noqa: S101  it is set up
        made = self.server()
        assert isinstance(made, Protocol)  # noqa: S101  see below
        return made

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        server = _Server(made.request_handler, request_factory=made.request_factory, **self._kwargs)
        server.gone = self._gone
        try:
            server()  # the first protocol would be the first to object to a limit, at the first connection
        except TypeError as error:
            raise Misconfigured(
                f"this version of aiohttp does not take the relay's limits ({error}): install the pinned one"
            ) from None
        return server


class _Server(web.Server):
    """Makes protocols with all our limits; aiohttp drops them all, with a mere warning, if it does not know one."""

    gone: Callable[["Protocol"], None]

    def __call__(self) -> "Protocol":
        return Protocol(self, loop=self._loop, **self._kwargs)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        assert isinstance(handler, Protocol)  # noqa: S101  we made it
        self.gone(handler)


class Protocol(web.RequestHandler):
    """Answers what is not HTTP, or trips the relay, with the status alone.

    aiohttp would repeat the line it could not read, which may have a token in it.
    """

    __slots__ = ("_head", "_wire")

    def __init__(self, manager: web.Server, **more: Any) -> None:
        super().__init__(manager, **more)
        self._head = 0
        self._wire: asyncio.Transport | None = None

    @property
    def unfinished(self) -> bool:
        """True while nothing has come that we would have to answer: it is idle, or still sends its headers or body."""
        if self._messages:
            return False
        return self._current_request is None or not self._current_request.content.is_eof()

    def cut_off(self) -> None:
        """Be gone at once, without a goodbye."""
        if self._wire:
            self._wire.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._wire = cast(asyncio.Transport, transport)  # that of uvloop is one in all but name
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Take some more of a request; a head of many long headers would cost more than a body may."""
        super().data_received(data)
        if self._waiter is None or self._waiter.done():
            self._head = 0
            return
        self._head += len(data)
        if self._head > MAX_HEAD and self.transport:
            self.transport.write(_TOO_LONG)
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Log, answer, and close the connection."""
        super().handle_error(request, status, exc, message)
        answer = _Error(text=f'{{"error": "{HTTPStatus(status).phrase.lower()}"}}', content_type="application/json")
        answer.set_status(status)
        answer.force_close()
        return answer


class _Error(web.Response):
    """No application's signal sees it, so it leaves out by itself what software this is."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.pop("Server", None)
