"""A target's URL -> a connection to it: names looked up beside each other, and anew before a minute is over.

No connection is used again that is older than that, or on which the target has more to say.
"""

import asyncio
import select
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from time import monotonic
from typing import Any, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.tracing import Trace

MOVES_WITHIN = 60  # seconds after a name has come to mean another host, all requests go there
NAME_LASTS = 10  # seconds of them for which new connections use the addresses of one look-up
IDLE = 15.0  # seconds an unused connection is kept

used_again: ContextVar[bool] = ContextVar("used_again")
"""Whether the last connection of `keeping`'s that this task was given had been used before."""


def keeping() -> aiohttp.TCPConnector:
    """Connections that are kept and used again; as many as are asked for. Needs a running loop."""
    return _Keeping(limit=0, ttl_dns_cache=NAME_LASTS, resolver=_Resolver(), keepalive_timeout=IDLE)


def fresh() -> aiohttp.TCPConnector:
    """A new connection each time."""
    return aiohttp.TCPConnector(limit=0, ttl_dns_cache=NAME_LASTS, resolver=_Resolver(), force_close=True)


class _Protocol(ResponseHandler):
    """Knows since when it is connected."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.since = monotonic()


class _Keeping(aiohttp.TCPConnector):
    """Uses no connection again that is too old, nor one on which the target said something after its answer.

    aiohttp would take that, be it a `408` for goodbye or an answer too many, for the answer to the next request.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._factory = cast(Any, partial(_Protocol, loop=self._loop))

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Any:
        kept, now = self._conns.get(key), monotonic()
        while kept and _spent(*kept[0], now):
            kept.popleft()[0].close()
        connection = await super()._get(key, traces)
        used_again.set(connection is not None)
        return connection


def _spent(protocol: Any, idle_since: float, now: float) -> bool:
    too_old = now - protocol.since > MOVES_WITHIN - NAME_LASTS
    return too_old or now - idle_since > IDLE or _spoke(protocol)


def _spoke(protocol: ResponseHandler) -> bool:
    """There is something to be read or that was read already, if only the end."""
    if protocol.should_close or protocol.transport is None:
        return True
    connection = protocol.transport.get_extra_info("socket")
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Resolver(AbstractResolver):
    """The system's lookups, each in a thread of its own.

    The loop's would share a few threads: one name server that hangs, and no target's name could be looked up. aiohttp
    asks for a name once at a time, so there is at most one thread for each connector.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Its addresses; OSError if it has none."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def look_up() -> None:
            told: list[ResolveResult] | OSError
            try:
                told = _addresses(host, port, family)
            except OSError as error:
                told = error
            except UnicodeError:
                told = socket.gaierror(socket.EAI_NONAME, "not a name that could be looked up")
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_tell, found, told)

        # a daemon: the interpreter waits for every other thread, and this one may hang for minutes
        threading.Thread(target=look_up, name="relay-name", daemon=True).start()
        return await found

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
    """With the interface, where a link-local address needs one."""
    return f"{address[0]}%{address[3]}" if len(address) == 4 and address[3] else str(address[0])


def _tell(found: "asyncio.Future[list[ResolveResult]]", told: list[ResolveResult] | OSError) -> None:
    if found.done():
        return
    if isinstance(told, OSError):
        found.set_exception(told)
    else:
        found.set_result(told)
