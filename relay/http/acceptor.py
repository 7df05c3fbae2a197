"""A listening socket -> at most N connections; to accept one more, it evicts one of them.

It evicts the connection that has gone longest without a 2xx, counted from the accept, of those without a response under
way: idle, in the TLS handshake, still sending a request, or not reading the response.

We accept ourselves, because the servers of asyncio and uvloop know neither a connection that is still in its TLS
handshake nor a limit. Out of descriptors, asyncio's would fill the log and uvloop's reset each new connection.
"""

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

from relay.http.machine_limits import Limits
from relay.http.malformed import diagnose_handshake
from relay.http.server_types import Connection, OnMalformed
from relay.os_errors import os_error_text
from relay.signals import AcceptFailed, Evicted

BATCH = 32  # connections accepted in one turn of the loop
TLS_SHUTDOWN_TIMEOUT = 1.0  # seconds
RETRY_FULL = 0.05  # seconds until the next accept when no connection can be evicted
RETRY_STARVED = 0.5  # seconds until the next accept when there are no descriptors

EmitAccepting: TypeAlias = Callable[[AcceptFailed | Evicted], None]


class Acceptor:
    """Accept connections of one listening socket, at most `limits.connections` at a time."""

    def __init__(
        self,
        listening: socket.socket,
        *,
        limits: Limits,
        tls: ssl.SSLContext | None,
        emit: EmitAccepting,
        on_malformed: OnMalformed | None = None,
    ) -> None:
        self._listening = listening
        self._limits = limits
        self._emit = emit
        self._on_malformed = on_malformed
        # aiohttp's own sites have no time-out for the handshake
        timeouts = {"ssl_handshake_timeout": limits.handshake, "ssl_shutdown_timeout": TLS_SHUTDOWN_TIMEOUT}
        self._tls: dict[str, Any] = {"ssl": tls, **timeouts} if tls else {}
        self._open: OrderedDict[Connection, _Entry] = OrderedDict()  # in the order of eviction
        self._loop = asyncio.get_running_loop()
        self._resuming: asyncio.TimerHandle | None = None

    def start(self, new_connection: Callable[[], Connection]) -> None:
        """Accept from now on; `new_connection` makes the protocol of each."""
        self._new_connection = new_connection
        self._listening.setblocking(False)
        self._resume()

    def stop(self) -> None:
        """Accept what is in the backlog now, and nothing after it."""
        self._pause()
        self._accept(self._limits.connections)  # with more, each would evict another
        self._pause()
        self._listening.close()

    async def cancel_handshakes(self) -> None:
        """Close the connections that are still in their TLS handshake."""
        handshakes = [entry.handshake for entry in self._open.values() if not entry.handshake.done()]
        for handshake in handshakes:
            handshake.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)

    @property
    def busy(self) -> bool:
        """True while a connection is open."""
        return bool(self._open)

    def touch(self, connection: Connection) -> None:
        """Move it to the end of the order of eviction, for it got a 2xx."""
        if entry := self._open.get(connection):
            entry.since = self._loop.time()
            self._open.move_to_end(connection)

    def forget(self, connection: Connection) -> None:
        """Drop a connection that is closed."""
        self._open.pop(connection, None)

    # ---- accepting

    def _accept(self, most: int = BATCH) -> None:
        for _ in range(most):
            full = len(self._open) >= self._limits.connections
            oldest = self._oldest_evictable() if full else None
            if full and not oldest:  # every connection waits for a response, and gets one
                self._pause(RETRY_FULL)
                return
            try:
                accepted, peer = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # the peer closed it in the backlog
            except OSError as error:
                self._starved(error)
                return
            if oldest:
                self._evict(oldest)
            self._add(accepted, peer[0])

    def _add(self, accepted: socket.socket, peer: str) -> None:
        accepted.setblocking(False)
        connection = self._new_connection()
        handshake = self._loop.create_task(self._shake_hands(accepted, peer, connection))
        self._open[connection] = _Entry(handshake, self._loop.time())

    async def _shake_hands(self, accepted: socket.socket, peer: str, connection: Any) -> None:
        """TLS, if there is any; connects the protocol."""
        try:
            await self._loop.connect_accepted_socket(lambda: connection, accepted, **self._tls)
        except OSError as error:  # SSLError is one: the handshake failed, or the peer has closed
            self.forget(connection)
            if self._on_malformed and (malformed := diagnose_handshake(error)):
                self._on_malformed(malformed, peer)

    def _oldest_evictable(self) -> Connection | None:
        for connection, entry in self._open.items():
            if connection.evictable or not entry.handshake.done():
                return connection
        return None

    def _evict(self, connection: Connection) -> None:
        entry = self._open.pop(connection)
        entry.handshake.cancel()  # during the handshake the protocol has no transport yet
        connection.abort()
        self._emit(Evicted(after=timedelta(seconds=self._loop.time() - entry.since)))

    def _starved(self, error: OSError) -> None:
        """Out of descriptors or memory: evict one connection, so that there will be some."""
        self._emit(AcceptFailed(error=os_error_text(error)))
        if oldest := self._oldest_evictable():
            self._evict(oldest)
        self._pause(RETRY_STARVED)

    def _pause(self, seconds: float | None = None) -> None:
        """Accept nothing, for so long or for good."""
        self._loop.remove_reader(self._listening)
        if self._resuming:
            self._resuming.cancel()
        self._resuming = self._loop.call_later(seconds, self._resume) if seconds else None

    def _resume(self) -> None:
        self._resuming = None
        self._loop.add_reader(self._listening, self._accept)


class _Entry:
    """The handshake of a connection, and when it was accepted or last got a 2xx."""

    __slots__ = ("handshake", "since")

    def __init__(self, handshake: asyncio.Task[None], since: float) -> None:
        self.handshake = handshake
        self.since = since
