"""A listening socket -> connections, and never too many: for one more the oldest that has nothing to answer must go.

We accept by ourselves, for asyncio and uvloop know neither a connection that shakes hands nor a limit. Out of
descriptors, the one would fill the log and the other reset whoever comes.
"""

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from relay.http.limits import Limits
from relay.http.malformed import diagnose_handshake
from relay.http.protocol import OnMalformed, Protocol
from relay.os_errors import os_error_text
from relay.signals import AcceptFailed, Emit, Evicted

BATCH = 32  # connections accepted in one go
GOODBYE_TIMEOUT = 1.0  # seconds for TLS to end
PAUSE = 0.05  # seconds until we look again whether there is room
LACK = 0.5  # seconds until we look again whether there are descriptors


class Acceptor:
    """Lets in at most `limits.connections` at a time, and has each served by a protocol of `make`."""

    def __init__(
        self,
        on: socket.socket,
        *,
        limits: Limits,
        tls: ssl.SSLContext | None,
        emit: Emit,
        on_malformed: OnMalformed | None = None,
    ) -> None:
        self._on = on
        self._limits = limits
        self._emit = emit
        self._on_malformed = on_malformed
        # aiohttp's own sites have no limit for the handshake
        times = {"ssl_handshake_timeout": limits.handshake, "ssl_shutdown_timeout": GOODBYE_TIMEOUT}
        self._tls: dict[str, Any] = {"ssl": tls, **times} if tls else {}
        self._inside: OrderedDict[Protocol, _Connection] = OrderedDict()  # the one that has waited longest is first
        self._loop = asyncio.get_running_loop()
        self._resuming: asyncio.TimerHandle | None = None

    def open(self, make: Callable[[], Protocol]) -> None:
        """Let them in from now on."""
        self._make = make
        self._on.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Let in nobody after those who are at the door now."""
        self._pause()
        self._accept(self._limits.connections)  # with more of them one would make room for the other
        self._pause()
        self._on.close()

    async def clear(self) -> None:
        """Send away who still shakes hands."""
        shaking = [visit.introduction for visit in self._inside.values() if not visit.introduction.done()]
        for introduction in shaking:
            introduction.cancel()
        await asyncio.gather(*shaking, return_exceptions=True)

    @property
    def busy(self) -> bool:
        """There is a connection."""
        return bool(self._inside)

    def thank(self, protocol: Protocol) -> None:
        """It brought what we are here for: it counts as one that has just come."""
        if visit := self._inside.get(protocol):
            visit.since = self._loop.time()
            self._inside.move_to_end(protocol)

    def forget(self, protocol: Protocol) -> None:
        """It is gone."""
        self._inside.pop(protocol, None)

    # ---- one by one

    def _accept(self, most: int = BATCH) -> None:
        for _ in range(most):
            full = len(self._inside) >= self._limits.connections
            oldest = self._oldest() if full else None
            if full and not oldest:  # everybody inside waits for an answer, and gets one
                self._pause(PAUSE)
                return
            try:
                connection, peer = self._on.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # it left while it waited
            except OSError as error:
                self._lack(error)
                return
            if oldest:
                self._evict(oldest)
            self._let_in(connection, peer[0])

    def _let_in(self, connection: socket.socket, remote: str) -> None:
        connection.setblocking(False)
        protocol = self._make()
        introduction = self._loop.create_task(self._introduce(connection, remote, protocol))
        self._inside[protocol] = _Connection(introduction, self._loop.time())

    async def _introduce(self, connection: socket.socket, remote: str, protocol: Protocol) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, connection, **self._tls)
        except OSError as error:  # also of ssl: it did not shake hands, or has left
            self.forget(protocol)
            if self._on_malformed and (seen := diagnose_handshake(error)):
                self._on_malformed(seen, remote)

    def _oldest(self) -> Protocol | None:
        """Of those who have brought nothing that we would have to answer."""
        for protocol, visit in self._inside.items():
            if protocol.unfinished or not visit.introduction.done():
                return protocol
        return None

    def _evict(self, protocol: Protocol) -> None:
        visit = self._inside.pop(protocol)
        visit.introduction.cancel()  # while it shakes hands the protocol has no connection yet
        protocol.cut_off()
        self._emit(Evicted(after=timedelta(seconds=self._loop.time() - visit.since)))

    def _lack(self, error: OSError) -> None:
        """No descriptors or no memory: with one connection less there will be some."""
        self._emit(AcceptFailed(error=os_error_text(error)))
        if oldest := self._oldest():
            self._evict(oldest)
        self._pause(LACK)

    def _pause(self, seconds: float | None = None) -> None:
        """Accept nobody, for so long or from now on."""
        self._loop.remove_reader(self._on)
        if self._resuming:
            self._resuming.cancel()
        self._resuming = self._loop.call_later(seconds, self._resume) if seconds else None

    def _resume(self) -> None:
        self._resuming = None
        self._loop.add_reader(self._on, self._accept)


class _Connection:
    """A connection: how it is let in, and since when it has brought nothing."""

    __slots__ = ("introduction", "since")

    def __init__(self, introduction: asyncio.Task[None], since: float) -> None:
        self.introduction = introduction
        self.since = since
