"""Values to start from, and the targets: real servers on loopback that answer as they are told."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ssl import SSLContext
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.model import Delivery, Outcome, Reason, RetryPolicy, Target
from tests.clients import client, new_client, sender  # noqa: F401  fixtures: both clients

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HANG = 30.0  # seconds for what takes some ms, so that a busy machine has them, too: a bound of a hang
MOMENT = 0.002  # seconds a target takes to answer, so that requests may be in flight together
PAYLOAD = orjson.dumps(
    {
        "id": "0199b3d0-1f2e-7a61-9c55-4d0e8f7a2b13",
        "type": "leads.status",
        "timestamp": "2026-11-22T12:00:00.000Z",
        "source": "crm",
        "account": {"id": 30550077, "subdomain": "northwind"},
        "entity": "leads",
        "action": "status",
        "data": {"id": 510073, "status_id": 41000001, "pipeline_id": 4100, "name": "Окна & двери"},
    }
)


def delivery(**changes: Any) -> Delivery:
    values: dict[str, Any] = {
        "row": 1,
        "event_id": "0199b3d0-1f2e-7a61-9c55-4d0e8f7a2b13",
        "target": "bot",
        "attempt": 1,
        "policy_attempt": 1,
        "received_at": NOON,
        "pending_since": NOON,
        "payload": PAYLOAD,
    }
    return Delivery(**values | changes)


def target(**changes: Any) -> Target:
    return Target(**{"name": "bot", "url": "https://bot.example/in"} | changes)


def outcome(reason: Reason = Reason.SERVER_ERROR, **changes: Any) -> Outcome:
    return Outcome(reason=reason, **{"started_at": NOON, "took": timedelta(milliseconds=8)} | changes)


def every(milliseconds: int) -> RetryPolicy:
    """The same pause after every attempt, without luck."""
    pause = timedelta(milliseconds=milliseconds)
    return RetryPolicy(initial=pause, factor=1.0, max=pause, jitter=0.0)


# ---- targets that speak any bytes


Talk = Callable[[StreamReader, StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(
    talk: Talk, *, tls: SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """A port on which `talk` speaks with whoever connects."""
    talks: set[asyncio.Task[None]] = set()

    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        talks.add(task := asyncio.current_task())
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await talk(reader, writer)
        finally:
            talks.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()

    server = await asyncio.start_server(answer, host, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def read_request(reader: StreamReader) -> tuple[bytes, bytes]:
    """Head and body of the next request; EOFError if no more come."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


# ---- targets that speak HTTP


@dataclass(slots=True, kw_only=True)
class Request:
    event_id: str
    attempt: int
    at: float
    replay: bool
    body: bytes


@dataclass(slots=True)
class Receiver:
    """A target. `answer` says the status or the whole answer to a request, which takes `moment` seconds.

    `gate` holds requests while it is shut.
    """

    answer: Callable[[Request], int | web.Response] = lambda _request: 200
    moment: float = MOMENT
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[Request] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    def __post_init__(self) -> None:
        self.gate.set()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/in", self._take)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        taken = Request(
            event_id=request.headers["webhook-id"],
            attempt=int(request.headers["relay-attempt"]),
            at=asyncio.get_running_loop().time(),
            replay="relay-replay" in request.headers,
            body=await request.read(),
        )
        self.requests.append(taken)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.changed.set()
        try:
            await self.gate.wait()
            await asyncio.sleep(self.moment)
            answer = self.answer(taken)
        finally:
            self.in_flight -= 1
        return web.Response(status=answer) if isinstance(answer, int) else answer

    async def until(self, check: Callable[["Receiver"], bool]) -> None:
        async with asyncio.timeout(HANG):
            while not check(self):
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def receiving(
    answer: Callable[[Request], int | web.Response] = lambda _request: 200, *, port: int | None = None
) -> AsyncIterator[Receiver]:
    """A target that can be reached for as long as the block lasts."""
    receiver = Receiver(answer)
    server = TestServer(receiver.app(), port=port)
    await server.start_server(shutdown_timeout=0.1)
    receiver.url = str(server.make_url("/in"))
    try:
        yield receiver
    finally:
        receiver.gate.set()
        await server.close()


@pytest.fixture
async def receivers() -> AsyncIterator[Callable[..., Awaitable[Receiver]]]:
    async with AsyncExitStack() as stack:
        yield lambda *how: stack.enter_async_context(receiving(*how))
