"""Application and socket -> a listener that can be closed without resetting a connection."""

import asyncio
import errno
import socket
import ssl
from dataclasses import dataclass

from aiohttp import hdrs, web

from relay.errors import ConfigurationError
from relay.http.acceptor import Acceptor, EmitAccepting
from relay.http.aiohttp_version import Variant
from relay.http.machine_limits import Limits
from relay.http.post import Receive
from relay.http.server_types import AnyResponse, Connection, Hooks, OnMalformed, Respond
from relay.os_errors import os_error_text

BACKLOG = 1024  # connections that the kernel queues while the loop is busy
ALL_INTERFACES = "::"  # IPv4 too, whatever the system's default is
SETTLE = 0.02  # seconds in which the loop finishes what it has begun


def bind(address: tuple[str, int], *, flag: str) -> socket.socket:
    """A socket that listens there. ConfigurationError, naming `flag`, if it cannot."""
    try:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        both = address[0] == ALL_INTERFACES and socket.has_dualstack_ipv6()
        return socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        taken = " (is another relay running?)" if error.errno == errno.EADDRINUSE else ""
        raise ConfigurationError(
            f"cannot listen on {address[0]}:{address[1]}: {os_error_text(error)}{taken}; choose another with {flag}"
        ) from None


async def listen(
    serves: web.Application | Respond,
    listening: socket.socket,
    *,
    limits: Limits,
    drain: float,
    grace: float,
    emit: EmitAccepting,
    tls: ssl.SSLContext | None = None,
    on_malformed: OnMalformed | None = None,
    receive: Receive | None = None,
    variant: Variant = Variant.FAST,
) -> "Listener":
    """Serve on a listening socket, which the listener owns from now on.

    `drain` and `grace`: seconds, see `Listener.close`. `on_malformed` is called for what is not a request.
    `receive` is offered complete small POSTs before `serves` gets them; not by every variant.
    """
    draining = asyncio.Event()
    acceptor = Acceptor(listening, limits=limits, tls=tls, emit=emit, on_malformed=on_malformed)

    def before_response(connection: Connection, response: AnyResponse) -> None:
        if response.status < 300:
            acceptor.touch(connection)
        if draining.is_set():
            response.force_close()

    if isinstance(serves, web.Application):
        serves.on_response_prepare.append(_drop_server_header)
    hooks = Hooks(
        before_response=before_response, on_closed=acceptor.forget, on_malformed=on_malformed, receive=receive
    )
    if variant is Variant.FAST:
        from relay.http.fast_protocol import start  # an unknown release of aiohttp may not even import it
    else:
        from relay.http.plain_protocol import start
    runner, new_connection = await start(serves, limits=limits, grace=grace, hooks=hooks)
    address: tuple[str, int] = listening.getsockname()[:2]
    listening.listen(BACKLOG)  # a socket that was passed to us may have a shorter queue
    acceptor.start(new_connection)
    return Listener(address=address, acceptor=acceptor, runner=runner, draining=draining, drain=drain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Serves on one socket; `listen` makes it. `address` is its host and port."""

    address: tuple[str, int]
    acceptor: Acceptor
    runner: web.BaseRunner
    draining: asyncio.Event
    drain: float

    async def close(self) -> None:
        """Stop accepting, without resetting a connection that was accepted.

        For up to `drain` seconds open connections may still send a request; each response closes its connection. Then
        requests in progress have `grace` seconds. Clients that connect meanwhile wait in the backlog of a socket that
        was passed to us, for the next relay; on a socket of our own they are refused.
        """
        loop = asyncio.get_running_loop()
        self.draining.set()
        self.acceptor.stop()
        deadline = loop.time() + self.drain
        while self.acceptor.busy and loop.time() < deadline:  # noqa: ASYNC110  aiohttp has no event for the last one
            await asyncio.sleep(SETTLE)
        await self.acceptor.cancel_handshakes()
        await self.runner.cleanup()


async def _drop_server_header(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop(hdrs.SERVER, None)  # which software this is, and of what version
