"""Host name -> addresses, by the system's resolver, with one thread for each look-up."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

MOVES_WITHIN = 60  # seconds after a name points to another host within which all requests go there
CACHE_SECONDS = 10  # of them: for how long new connections use the addresses of one look-up
MAX_AGE = MOVES_WITHIN - CACHE_SECONDS  # seconds for which a connection may be given new requests


class Resolver(AbstractResolver):
    """Look names up in threads of their own.

    The loop's executor has few threads for all: with one name server that hangs, no target's name could be looked up.
    aiohttp looks a name up once at a time, so there is at most one thread for each connector.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host; OSError if it has none."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def look_up() -> None:
            result: list[ResolveResult] | OSError
            try:
                result = _addresses(host, port, family)
            except OSError as error:
                result = error
            except UnicodeError:
                result = socket.gaierror(socket.EAI_NONAME, "not a name that could be looked up")
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_set, future, result)

        # a daemon thread: the interpreter waits for every other one, and this one may hang for minutes
        threading.Thread(target=look_up, name="relay-name", daemon=True).start()
        return await future

    async def close(self) -> None:
        """Nothing is open."""


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=_numeric(address),
            port=port,
            family=each_family,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for each_family, _type, protocol, _name, address in found
    ]


def _numeric(address: Sequence[Any]) -> str:
    """Return the address as text, with the interface where a link-local one needs it."""
    return f"{address[0]}%{address[3]}" if len(address) == 4 and address[3] else str(address[0])


def _set(future: "asyncio.Future[list[ResolveResult]]", result: list[ResolveResult] | OSError) -> None:
    if future.done():
        return
    if isinstance(result, OSError):
        future.set_exception(result)
    else:
        future.set_result(result)
