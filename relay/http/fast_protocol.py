"""The bytes of one connection -> requests, on a subclass of aiohttp's request handler.

aiohttp's private ends: the state of its handler says whether a response is due and where a head begins. aiohttp itself
would repeat a line that it cannot parse, which may have a token in it, in its response and in the log.
"""

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.web_protocol import _ErrInfo

from relay.errors import ConfigurationError
from relay.http.faults import answering_faults
from relay.http.machine_limits import MAX_HEAD, Limits, handler_arguments
from relay.http.malformed import diagnose, error_response
from relay.http.response import closing_error
from relay.http.server_types import AnyResponse, Connection, Hooks, Respond
from relay.http.small_posts import SmallPosts


async def start(
    serves: web.Application | Respond, *, limits: Limits, grace: float, hooks: Hooks
) -> tuple[web.BaseRunner, Callable[[], Connection]]:
    """A runner that is set up, and what makes the protocol of each connection."""
    arguments = handler_arguments(limits)

    def make(handler: Any, **more: Any) -> _Server:
        return _Server(handler, hooks=hooks, **arguments, **more)

    if isinstance(serves, web.Application):
        runner: web.BaseRunner = _AppRunner(serves, make, grace)
    else:
        runner = web.ServerRunner(make(answering_faults(serves)), shutdown_timeout=grace)
    await runner.setup()
    return runner, cast(Callable[[], Connection], runner.server)


class _AppRunner(web.AppRunner):
    def __init__(self, app: web.Application, make: Callable[..., web.Server], grace: float) -> None:
        super().__init__(app, shutdown_timeout=grace)
        self._make = make

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return self._make(made.request_handler, request_factory=made.request_factory)


class _Server(web.Server):
    """Make protocols with all our limits; aiohttp drops them all, with a mere warning, if it does not know one."""

    def __init__(self, handler: Any, *, hooks: Hooks, **more: Any) -> None:
        super().__init__(handler, **more)
        self.hooks = hooks
        try:
            self()  # fail now, not at the first connection
        except TypeError as error:
            raise ConfigurationError(
                f"this version of aiohttp does not take the relay's limits ({error}): install the pinned one"
            ) from None

    def __call__(self) -> "FastProtocol":
        return FastProtocol(self, loop=self._loop, **self._kwargs)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        assert isinstance(handler, FastProtocol)  # noqa: S101  we made it
        self.hooks.on_closed(handler)


class FastProtocol(SmallPosts):
    """A `Connection`. Malformed requests and faults of the relay get a status and nothing else."""

    __slots__ = ("_head", "_malformed_head", "_on_malformed", "_raw_transport")

    def __init__(self, manager: _Server, **more: Any) -> None:
        hooks = manager.hooks
        super().__init__(manager, receive=hooks.receive, before_response=hooks.before_response, **more)
        self._on_malformed = hooks.on_malformed
        self._head = b""  # of the next request, as far as it has arrived
        self._malformed_head = b""  # the first that the parser rejected: the last request of the connection
        self._raw_transport: asyncio.Transport | None = None

    @property
    def evictable(self) -> bool:
        """True while no response is due, or while the peer does not read the one it got."""
        if self.writing_paused:
            return True
        if self._messages or self._post:
            return False
        return self._current_request is None or not self._current_request.content.is_eof()

    def abort(self) -> None:
        """Close without flushing."""
        if self._raw_transport:
            self._raw_transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport: aiohttp forgets it when it closes politely."""
        self._raw_transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Parse, and limit the head as a whole: one of many long headers would cost more than a body may."""
        super().data_received(data)
        if self._post or self._waiter is None or self._waiter.done():
            if not self._malformed_head and self._messages and type(self._messages[-1][0]) is _ErrInfo:
                self._malformed_head = (self._head + data)[: 2 * MAX_HEAD]
            self._head = b""
            return
        self._head += data
        if len(self._head) > MAX_HEAD and self.transport:
            self.transport.write(error_response(self._report_malformed(self._head, None)))
            self.force_close()

    def finish_response(
        self, request: web.BaseRequest, resp: AnyResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Send it, after the hook, which may mark it as the last one of its connection."""
        self._before_response(self, resp)
        return super().finish_response(request, cast(web.StreamResponse, resp), start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Report or log the error; the response is the connection's last."""
        if status == HTTPStatus.BAD_REQUEST and self._on_malformed:
            status = self._report_malformed(self._malformed_head, exc)
        else:
            super().handle_error(request, status, exc, message)
        return cast(web.StreamResponse, closing_error(status))

    def _report_malformed(self, head: bytes, error: BaseException | None) -> int:
        """Return the status of the response."""
        malformed = diagnose(head, error)
        if self._on_malformed:
            self._on_malformed(malformed, self.peername[0] if isinstance(self.peername, tuple) else "")
        return malformed.status
