"""Application and socket -> a listener with our limits and manners; aiohttp's own are for a friendly network."""

import asyncio
import errno
import socket
import ssl
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web

from relay.errors import Misconfigured

ACCEPT_BATCH = 32  # connections accepted in one go: CPython re-schedules itself for each when descriptors run out
BACKLOG = 1024  # connections that wait in the kernel while we are busy
HANDSHAKE_TIMEOUT = 5.0  # seconds for TLS to begin; of this neither aiohttp nor its list of connections knows
GOODBYE_TIMEOUT = 1.0  # seconds for TLS to end
SETTLE = 0.02  # seconds in which the loop gets through all that it has begun

PROTOCOL: dict[str, Any] = {
    "keepalive_timeout": 10,  # seconds, idle; also for the headers to arrive
    "lingering_time": 1,
    "auto_decompress": False,  # a body is kept as it came
    "max_line_size": 4096,
    "max_field_size": 8190,
    "max_headers": 64,
}


def bind(address: tuple[str, int], *, flag: str) -> socket.socket:
    """A socket that listens there. Misconfigured, naming `flag`, if that cannot be."""
    try:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        taken = " (is another relay running?)" if error.errno == errno.EADDRINUSE else ""
        why = error.strerror or str(error)
        raise Misconfigured(
            f"cannot listen on {address[0]}:{address[1]}: {why}{taken}; choose another with {flag}"
        ) from None


async def listen(
    app: web.Application, on: socket.socket, *, drain: float, grace: float, tls: ssl.SSLContext | None = None
) -> "Listener":
    """Serve `app` on a listening socket, which is the listener's from now on.

    `drain` and `grace`: seconds, see `Listener.close`.
    """
    leaving = asyncio.Event()
    app.on_response_prepare.append(partial(_say_goodbye, leaving))
    runner = _Runner(app, access_log=None, shutdown_timeout=grace, **PROTOCOL)
    await runner.setup()
    assert runner.server  # noqa: S101  it is set up
    _demand_limits(runner.server)
    # aiohttp's own sites have no limit for the handshake
    limits: dict[str, Any] = {"ssl_handshake_timeout": HANDSHAKE_TIMEOUT, "ssl_shutdown_timeout": GOODBYE_TIMEOUT}
    server = await asyncio.get_running_loop().create_server(
        runner.server, sock=on, backlog=ACCEPT_BATCH, ssl=tls, **(limits if tls else {})
    )
    on.listen(BACKLOG)  # after the loop's own call: a small batch, but a long queue
    address: tuple[str, int] = on.getsockname()[:2]
    return Listener(address=address, on=on, server=server, runner=runner, leaving=leaving, drain=drain, tls=bool(tls))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Serves on one socket; `listen` makes it. `address` is its host and port."""

    address: tuple[str, int]
    on: socket.socket
    server: asyncio.Server
    runner: web.AppRunner
    leaving: asyncio.Event
    drain: float
    tls: bool

    async def close(self) -> None:
        """Accept no more, but reset nobody who was accepted.

        For up to `drain` seconds connections may still bring a request; each answer says that it is the last. Then
        requests in progress have `grace` seconds. Who connects meanwhile waits in the queue of a socket that was
        passed to us, for the next relay, and is refused on one of our own.
        """
        loop = asyncio.get_running_loop()
        self.leaving.set()
        # asyncio resets what it is accepting when its server is closed (CPython gh-109564), so it has to come to an end
        # first; uvloop has no reader here, and no such fault
        loop.remove_reader(self.on)
        await asyncio.sleep(SETTLE)
        self.server.close()
        await asyncio.sleep(SETTLE)
        deadline = loop.time() + self.drain
        while self._busy() and loop.time() < deadline:  # noqa: ASYNC110  aiohttp does not say when a connection is gone
            await asyncio.sleep(SETTLE)
        await self.runner.cleanup()

    def _busy(self) -> bool:
        """There is a connection or, with TLS, there may be: one that shakes hands is in no list."""
        return self.tls or bool(self.runner.server and self.runner.server.connections)


async def _say_goodbye(leaving: asyncio.Event, _request: web.Request, response: web.StreamResponse) -> None:
    if leaving.is_set():
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"


def _demand_limits(server: web.Server) -> None:
    """Make a protocol now: it is the first thing that would object to a limit, at the first connection."""
    try:
        server()
    except TypeError as error:
        raise Misconfigured(
            f"this version of aiohttp does not take the relay's limits ({error}): install the pinned one"
        ) from None


# ---- manners


class _Runner(web.AppRunner):
    """Serves with our protocol in the place of aiohttp's."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **self._kwargs)


class _Server(web.Server):
    """Makes protocols with all our limits; aiohttp drops them all, with a mere warning, if it does not know one."""

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Protocol(web.RequestHandler):
    """Answers what is not HTTP, or trips the relay, with the status alone.

    aiohttp would repeat the line it could not read, which may have a token in it.
    """

    __slots__ = ()

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
