"""The bytes of one connection -> requests, around aiohttp's own request handler, by its public API alone.

It serves like `fast_protocol`, but a response has a `Server` header, and the HTTP version of its request.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any, cast

import orjson
from aiohttp import StreamReader, hdrs, web
from aiohttp.http import HttpProcessingError
from aiohttp.log import server_logger

from relay.errors import ConfigurationError
from relay.http import response as responses
from relay.http.faults import answering_faults
from relay.http.machine_limits import MAX_HEAD, Limits, handler_arguments
from relay.http.malformed import diagnose, error_response
from relay.http.response import Response
from relay.http.server_types import AnyResponse, Connection, Hooks, Respond

SERVER = "relay"  # in place of the name and version of the software, which aiohttp would send


async def start(
    serves: web.Application | Respond, *, limits: Limits, grace: float, hooks: Hooks
) -> tuple[web.BaseRunner, Callable[[], Connection]]:
    """A runner that is set up, and what makes the protocol of each connection."""
    arguments = handler_arguments(limits)
    if hooks.on_malformed:
        arguments["logger"] = _ErrorLog()
    if isinstance(serves, web.Application):
        serves.middlewares.insert(0, _middleware())
        runner: web.BaseRunner = web.AppRunner(serves, shutdown_timeout=grace, **arguments)
        stream = True
    else:
        runner = web.ServerRunner(web.Server(_served(answering_faults(serves)), **arguments), shutdown_timeout=grace)
        stream = False
    await runner.setup()
    server = runner.server
    assert server is not None  # noqa: S101  it is set up
    _check_limits(server(), limits)
    return runner, lambda: PlainProtocol(server(), hooks, stream=stream)


def _check_limits(handler: web.RequestHandler, limits: Limits) -> None:
    """Aiohttp drops all arguments, with a mere warning, if it does not know one."""
    arguments = handler_arguments(limits)
    for name in ("keepalive_timeout", "max_line_size", "max_field_size", "max_headers"):
        if getattr(handler, name, None) != arguments[name]:
            raise ConfigurationError(f"this version of aiohttp does not take the relay's limit {name}")


class PlainProtocol(asyncio.Protocol):
    """A `Connection`: forwards every event of the transport to a request handler of aiohttp.

    `stream`: a response may be a stream, which its peer may read as slowly as it likes.
    """

    def __init__(self, handler: web.RequestHandler, hooks: Hooks, *, stream: bool) -> None:
        self._handler = handler
        self._hooks = hooks
        self._stream = stream
        self._paused = False  # the peer does not read
        self._unread: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._request: web.BaseRequest | None = None
        self._body: StreamReader | None = None  # of the last request
        self._head = b""  # what arrived since then
        self._last_head = b""  # what had arrived before it, and perhaps with it

    @property
    def evictable(self) -> bool:
        """True while no response is due, or while the peer does not read the one it got."""
        if self._paused:
            return True
        return self._request is None or not self._request.content.is_eof()

    def abort(self) -> None:
        """Close without flushing."""
        if self._transport:
            self._transport.abort()

    def begin(self, request: web.BaseRequest) -> None:
        """Note that a request is being served."""
        self._request, self._body = request, request.content
        self._head, self._last_head = b"", self._head or self._last_head

    def finish(self, response: AnyResponse | None) -> None:
        """Note that the response is written next; None: the relay failed, and aiohttp sends a 500."""
        self._request = None
        if response is not None:
            self._hooks.before_response(self, response)

    def refuse(self, error: BaseException | None) -> None:
        """Report what the parser rejected, or a head that is too long, and close.

        aiohttp's own response would repeat the line, which may have a token in it; it finds the transport closed.
        """
        if self._transport is None or self._transport.is_closing():
            return
        malformed = diagnose(self._head or self._last_head, error)
        if self._hooks.on_malformed:
            peer = self._transport.get_extra_info("peername")
            self._hooks.on_malformed(malformed, peer[0] if isinstance(peer, tuple) else "")
        self._transport.write(error_response(malformed.status))
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Aiohttp's tasks of this connection find it in `_current`."""
        self._transport = cast(asyncio.Transport, transport)
        context = copy_context()
        context.run(_current.set, self)
        context.run(self._handler.connection_made, transport)

    def data_received(self, data: bytes) -> None:
        """Forward it, and limit a head as a whole."""
        in_head = self._request is None and (self._body is None or self._body.is_eof())
        if in_head:
            self._head = (self._head + data)[: 2 * MAX_HEAD]
        self._handler.data_received(data)
        if in_head and len(self._head) > MAX_HEAD and b"\r\n\r\n" not in self._head:
            self.refuse(None)

    def eof_received(self) -> None:
        """Forward it."""
        self._handler.eof_received()

    def pause_writing(self) -> None:
        """The write buffer is above its high-water mark: the peer has to read, in time."""
        self._handler.pause_writing()
        self._paused = True
        if not self._stream:
            self._unread = asyncio.get_running_loop().call_later(responses.UNREAD, self.abort)

    def resume_writing(self) -> None:
        """The write buffer is below its low-water mark."""
        self._paused = False
        self._stop_timer()
        self._handler.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forward it, and have the acceptor drop the connection."""
        self._stop_timer()
        self._handler.connection_lost(exc)
        self._hooks.on_closed(self)

    def _stop_timer(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None


_current: ContextVar[PlainProtocol] = ContextVar("connection")
"""The connection whose request this task serves."""


def _served(respond: Respond) -> Callable[[web.BaseRequest], Any]:
    """The handler of a `web.Server`."""

    async def serve(request: web.BaseRequest) -> web.Response:
        connection = _current.get()
        connection.begin(request)
        response: web.Response | None = None
        try:
            response = _as_public(await respond(request))
        finally:
            connection.finish(response)
        return response

    return serve


def _as_public(response: Response) -> web.Response:
    """The same as a response of aiohttp: nobody knows what an unknown release asks of ours."""
    return web.Response(
        body=orjson.dumps(response.document),
        status=response.status,
        headers={**response.headers, hdrs.SERVER: SERVER},
        content_type="application/json",
    )


def _middleware() -> Any:
    """The outermost one of an application."""

    @web.middleware
    async def serve(request: web.Request, handler: Any) -> web.StreamResponse:
        connection = _current.get()
        connection.begin(request)
        response: web.StreamResponse | None = None
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = error
            raise
        finally:
            connection.finish(response)
        return response

    return serve


class _ErrorLog:
    """Stands in for aiohttp's logger: a malformed request is a fact to report, and no traceback with a token in it."""

    def debug(self, text: str, *values: object, exc_info: BaseException | None = None) -> None:
        """Aiohttp logs the first request of a connection here if it is not even HTTP."""
        if isinstance(exc_info, HttpProcessingError):
            _current.get().refuse(exc_info)

    def exception(self, text: str, *values: object, exc_info: BaseException | None = None) -> None:
        """Report a malformed request, log anything else: a fault of the relay."""
        if isinstance(exc_info, HttpProcessingError):
            _current.get().refuse(exc_info)
        else:
            server_logger.error(text, *values, exc_info=exc_info)

    def __getattr__(self, name: str) -> Any:
        return getattr(server_logger, name)
