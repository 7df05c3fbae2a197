"""A connection without a socket: pieces of bytes -> what a protocol writes, serves and reports of them."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from relay.http import fast_protocol
from relay.http.machine_limits import Limits
from relay.http.post import Post
from relay.http.response import Response
from relay.http.server_types import Hooks

PEER = ("192.0.2.1", 4711)
QUIET = 12  # turns of the loop after which nothing more happens by itself; aiohttp takes five for a request

_DATE = re.compile(rb"Date: [^\r]*")
_ID = re.compile(rb'"request":"[0-9a-f-]{36}"')  # of a fault


class Wire(asyncio.Transport):
    """Collects what is written. Its peer reads all of it, unless a test calls `pause_writing` of the protocol."""

    def __init__(self) -> None:
        super().__init__({"peername": PEER})
        self.written = b""
        self.closed = self.aborted = self.paused = False

    def write(self, data: Any) -> None:
        assert not self.closed, "nothing is written after the end"
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of the pieces."""

    written: bytes
    closed: bool
    served: list[tuple[str, str, bytes]]
    malformed: list[Any]


@dataclass
class Echo:
    """Serves each request with its method, address and body: after so many turns of the loop, by either way."""

    turns: int = 0
    served: list[tuple[str, str, bytes]] = field(default_factory=list)
    malformed: list[Any] = field(default_factory=list)
    taken: int = 0
    last: bool = False  # each response is its connection's last, as during a drain

    async def answer(self, request: web.BaseRequest) -> Response:
        return await self._serve(request.method, request.raw_path, await request.read())

    def receive(self, post: Post) -> bool:
        if post.address.startswith("/declined"):
            return False
        self.taken += 1
        asyncio.get_running_loop().create_task(self._respond(post, post.body))
        return True

    async def _respond(self, post: Post, body: bytes) -> None:
        try:
            post.respond(await self._serve("POST", post.address, body))
        except ZeroDivisionError as fault:
            post.fail(fault)

    async def _serve(self, method: str, address: str, body: bytes) -> Response:
        self.served.append((method, address, body))
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if address.startswith("/fault"):
            raise ZeroDivisionError
        return Response({"method": method, "address": address, "body": len(body)})

    def before_response(self, _connection: Any, response: Any) -> None:
        if self.last:
            response.force_close()


@asynccontextmanager
async def connections(echo: Echo, *, offered: bool, limits: Limits | None = None) -> AsyncIterator[Callable[[], Any]]:
    """Makes protocols; with `offered`, complete posts are offered to `receive`."""
    hooks = Hooks(
        before_response=echo.before_response,
        on_closed=lambda _connection: None,
        on_malformed=lambda *what: echo.malformed.append(what),
        receive=echo.receive if offered else None,
    )
    runner, new = await fast_protocol.start(echo.answer, limits=limits or Limits(), grace=1.0, hooks=hooks)
    try:
        yield new
    finally:
        await runner.cleanup()


async def connected(new: Callable[[], Any]) -> tuple[Any, Wire]:
    """A protocol, and the wire that it has been connected by."""
    connection, wire = new(), Wire()
    connection.connection_made(wire)
    await turn(2)
    return connection, wire


async def converse(
    new: Callable[[], Any], echo: Echo, pieces: Sequence[bytes], *, pause: int | None = None, quiet: int = QUIET
) -> Seen:
    """Send the pieces, each `pause` turns of the loop after the one before, or once all is quiet; then the peer leaves.

    Quiet: nothing was written for so many turns. After another pause it depends on the time that a response takes which
    bytes of a malformed request came before it, and are missing in the diagnosis: `malformed` is empty then.
    """
    echo.served, echo.malformed = [], []
    connection, wire = new(), Wire()
    connection.connection_made(wire)
    await turn(2)
    for piece in pieces:
        if wire.closed:
            break
        connection.data_received(piece)
        await (_settle(wire, quiet + echo.turns) if pause is None else turn(pause))
    await _settle(wire, quiet + echo.turns)
    malformed = [] if pause else echo.malformed
    written = _ID.sub(b'"request":"-"', _DATE.sub(b"Date: -", wire.written))
    seen = Seen(written, wire.closed, echo.served, malformed)
    connection.connection_lost(None)
    await turn(2)
    return seen


async def _settle(wire: Wire, quiet: int) -> None:
    written = None
    while written != wire.written:
        written = wire.written
        await turn(quiet)


async def turn(times: int) -> None:
    """Let the loop turn."""
    for _ in range(times):
        await asyncio.sleep(0)
