"""One connection's bytes -> requests, within our limits and with our manners; aiohttp's are for a friendly network."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from http import HTTPStatus
from typing import Any, TypeAlias, cast

from aiohttp import web
from aiohttp.web_protocol import _ErrInfo

from relay.errors import ConfigurationError
from relay.http.limits import Limits
from relay.http.malformed import MAX_FIELD, MAX_HEAD, MAX_LINE, MalformedRequest, diagnose
from relay.http.response import Response

_NO_BODY = "HTTP/1.1 {0.value} {0.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Answers: TypeAlias = Callable[[web.BaseRequest], Awaitable[Response]]
"""Any request -> what is said to it: no router, no middlewares, no signals."""

Said: TypeAlias = web.StreamResponse | Response

OnMalformed: TypeAlias = Callable[[MalformedRequest, str], None]
"""Is told what came in the place of a request, and from which address."""


def runner_of(
    serves: web.Application | Answers,
    *,
    limits: Limits,
    grace: float,
    gone: Callable[["Protocol"], None],
    see_off: Callable[["Protocol", Said], None],
    on_malformed: OnMalformed | None = None,
) -> web.BaseRunner:
    """Serves with our protocol in the place of aiohttp's.

    `see_off` is told of each answer before it is sent, `gone` of each connection that has ended. Without `on_malformed`
    aiohttp logs what it cannot read.
    """
    make = partial(
        _Server,
        gone=gone,
        see_off=see_off,
        on_malformed=on_malformed,
        access_log=None,
        keepalive_timeout=limits.idle,
        lingering_time=limits.lingering,
        auto_decompress=False,  # a body is kept as it came
        max_line_size=MAX_LINE,
        max_field_size=MAX_FIELD,
        max_headers=64,
    )
    if isinstance(serves, web.Application):
        return _AppRunner(serves, make, grace)
    return web.ServerRunner(make(serves), shutdown_timeout=grace)


class _AppRunner(web.AppRunner):
    def __init__(self, app: web.Application, make: Callable[..., web.Server], grace: float) -> None:
        super().__init__(app, shutdown_timeout=grace)
        self._make = make

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return self._make(made.request_handler, request_factory=made.request_factory)


class _Server(web.Server):
    """Makes protocols with all our limits; aiohttp drops them all, with a mere warning, if it does not know one."""

    def __init__(
        self,
        handler: Any,
        *,
        gone: Callable[["Protocol"], None],
        see_off: Callable[["Protocol", Said], None],
        on_malformed: OnMalformed | None,
        **more: Any,
    ) -> None:
        super().__init__(handler, **more)
        self.gone = gone
        self.see_off = see_off
        self.on_malformed = on_malformed
        try:
            self()  # the first protocol would be the first to object to a limit, at the first connection
        except TypeError as error:
            raise ConfigurationError(
                f"this version of aiohttp does not take the relay's limits ({error}): install the pinned one"
            ) from None

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

    __slots__ = ("_head", "_on_malformed", "_see_off", "_unreadable", "_wire")

    def __init__(self, manager: _Server, **more: Any) -> None:
        super().__init__(manager, **more)
        self._see_off = manager.see_off
        self._on_malformed = manager.on_malformed
        self._head = b""  # of a request, as far as it has come
        self._unreadable = b""  # a head that the parser gave up on
        self._wire: asyncio.Transport | None = None

    @property
    def unfinished(self) -> bool:
        """True while nothing has come that we would have to answer: it is idle, or still sends its headers or body.

        Or it does not read what it was answered.
        """
        if self.writing_paused:
            return True
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
            if self._messages and type(self._messages[-1][0]) is _ErrInfo:
                self._unreadable = (self._head + data)[: 2 * MAX_HEAD]
            self._head = b""
            return
        self._head += data
        if len(self._head) > MAX_HEAD and self.transport:
            status = self._tell_unread(self._head, None)
            self.transport.write(_NO_BODY.format(HTTPStatus(status)).encode())
            self.force_close()

    def finish_response(
        self, request: web.BaseRequest, resp: Said, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Send it, once whoever keeps the connections has seen it: he may have it say that it is the last."""
        self._see_off(self, resp)
        return super().finish_response(request, cast(web.StreamResponse, resp), start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Log, answer, and close the connection."""
        if status == HTTPStatus.BAD_REQUEST and self._on_malformed:
            status = self._tell_unread(self._unreadable, exc)
        else:
            super().handle_error(request, status, exc, message)
        answer = Response({"error": HTTPStatus(status).phrase.lower()}, status=status)
        answer.force_close()
        return cast(web.StreamResponse, answer)

    def _tell_unread(self, head: bytes, error: BaseException | None) -> int:
        """The status to answer."""
        seen = diagnose(head, error)
        if self._on_malformed:
            self._on_malformed(seen, self.peername[0] if isinstance(self.peername, tuple) else "")
        return seen.status
