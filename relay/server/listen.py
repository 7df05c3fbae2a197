"""Application and address -> a listener with our limits and manners; aiohttp's own are for a friendly network."""

import errno
import socket
from http import HTTPStatus
from typing import Any

from aiohttp import web

from relay.errors import Misconfigured

ACCEPT_BATCH = 32  # connections accepted in one go: CPython re-schedules itself for each when descriptors run out
BACKLOG = 1024  # connections that wait in the kernel while we are busy

PROTOCOL: dict[str, Any] = {
    "keepalive_timeout": 10,  # seconds, idle; also for the headers to arrive
    "lingering_time": 1,
    "auto_decompress": False,  # a body is kept as it came
    "max_line_size": 4096,
    "max_field_size": 8190,
    "max_headers": 64,
}


async def listen(app: web.Application, address: tuple[str, int], *, flag: str, grace: float) -> web.AppRunner:
    """The running listener; its `cleanup()` gives requests in progress `grace` seconds.

    `runner.addresses` tells the port. Misconfigured, naming `flag`, if the address cannot be listened on.
    """
    listening = _socket(address, flag)
    runner = _Runner(app, access_log=None, shutdown_timeout=grace, **PROTOCOL)
    await runner.setup()
    _demand_limits(runner)
    await web.SockSite(runner, listening, backlog=ACCEPT_BATCH).start()
    listening.listen(BACKLOG)  # after the site's own call: a small batch, but a long queue
    return runner


def _socket(address: tuple[str, int], flag: str) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        taken = " (is another relay running?)" if error.errno == errno.EADDRINUSE else ""
        why = error.strerror or str(error)
        raise Misconfigured(
            f"cannot listen on {address[0]}:{address[1]}: {why}{taken}; choose another with {flag}"
        ) from None


def _demand_limits(runner: web.AppRunner) -> None:
    """Make a protocol now: it is the first thing that would object to a limit, at the first connection."""
    try:
        assert runner.server  # noqa: S101  it is set up
        runner.server()
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
