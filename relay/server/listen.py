"""Application and address -> a listener with our limits; aiohttp's own are for a friendly network."""

import errno
import socket
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
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=grace, **PROTOCOL)
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
    """Read a limit back: aiohttp drops all of them, with no more than a warning, if it does not know one."""
    protocol = runner.server() if runner.server else None
    if protocol is None or protocol.keepalive_timeout != PROTOCOL["keepalive_timeout"]:
        raise Misconfigured("this version of aiohttp does not take the relay's limits: install the pinned one")
