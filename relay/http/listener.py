"""Application and socket -> a listener that can leave without cutting anybody off."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from aiohttp import hdrs, web

from relay.errors import ConfigurationError
from relay.http.acceptor import Acceptor
from relay.http.limits import Limits
from relay.http.protocol import Answers, OnMalformed, Protocol, Said, runner_of
from relay.os_errors import os_error_text
from relay.signals import Emit

BACKLOG = 1024  # connections that wait in the kernel while we are busy
EVERYWHERE = "::"  # IPv4 too, whatever the system's default is
SETTLE = 0.02  # seconds in which the loop gets through all that it has begun


def bind(address: tuple[str, int], *, flag: str) -> socket.socket:
    """A socket that listens there. ConfigurationError, naming `flag`, if that cannot be."""
    try:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        both = address[0] == EVERYWHERE and socket.has_dualstack_ipv6()
        return socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        taken = " (is another relay running?)" if error.errno == errno.EADDRINUSE else ""
        raise ConfigurationError(
            f"cannot listen on {address[0]}:{address[1]}: {os_error_text(error)}{taken}; choose another with {flag}"
        ) from None


async def listen(
    serves: web.Application | Answers,
    on: socket.socket,
    *,
    limits: Limits,
    drain: float,
    grace: float,
    emit: Emit,
    tls: ssl.SSLContext | None = None,
    on_malformed: OnMalformed | None = None,
) -> "Listener":
    """Answer on a listening socket, which is the listener's from now on.

    `drain` and `grace`: seconds, see `Listener.close`. `on_malformed` is told of what is no request.
    """
    leaving = asyncio.Event()
    door = Acceptor(on, limits=limits, tls=tls, emit=emit, on_malformed=on_malformed)
    if isinstance(serves, web.Application):
        serves.on_response_prepare.append(_leave_out_software)

    def see_off(protocol: Protocol, said: Said) -> None:
        if said.status < 300:
            door.thank(protocol)
        if leaving.is_set():
            said.force_close()

    runner = runner_of(serves, limits=limits, grace=grace, gone=door.forget, see_off=see_off, on_malformed=on_malformed)
    await runner.setup()
    server = runner.server
    assert server is not None  # noqa: S101  it is set up
    address: tuple[str, int] = on.getsockname()[:2]
    on.listen(BACKLOG)  # one that was passed may have a shorter queue
    door.open(cast(Callable[[], Protocol], server))
    return Listener(address=address, door=door, runner=runner, leaving=leaving, drain=drain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Serves on one socket; `listen` makes it. `address` is its host and port."""

    address: tuple[str, int]
    door: Acceptor
    runner: web.BaseRunner
    leaving: asyncio.Event
    drain: float

    async def close(self) -> None:
        """Accept no more, but reset nobody who was accepted.

        For up to `drain` seconds connections may still bring a request; each answer says that it is the last. Then
        requests in progress have `grace` seconds. Who connects meanwhile waits in the queue of a socket that was
        passed to us, for the next relay, and is refused on one of our own.
        """
        loop = asyncio.get_running_loop()
        self.leaving.set()
        self.door.close()
        deadline = loop.time() + self.drain
        while self.door.busy and loop.time() < deadline:  # noqa: ASYNC110  aiohttp does not say when one is gone
            await asyncio.sleep(SETTLE)
        await self.door.clear()
        await self.runner.cleanup()


async def _leave_out_software(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop(hdrs.SERVER, None)  # which one this is, and of what version
