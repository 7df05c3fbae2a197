"""How many a listener lets in, and for how long: who has nothing to answer for makes room, the oldest first."""

import asyncio
import os
import socket
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import pytest
from aiohttp import web

from relay.http.acceptor import BATCH
from relay.http.aiohttp_version import Variant
from relay.http.listener import Listener, listen
from relay.http.machine_limits import MAX_HEAD, Limits
from relay.signals import Evicted, Signal
from relay.tls import Certificate
from tests.certificates import Pair
from tests.http.conftest import LONG, Run

SOON = 0.2

HEAD = b"POST /%s HTTP/1.1\r\nHost: relay\r\n"
REQUEST = HEAD + b"Content-Length: 5\r\n\r\nhello"
UNFINISHED = {
    "silent": b"",
    "headers": HEAD % b"",
    "body": HEAD % b"" + b"Content-Length: 5\r\n\r\nhel",
    "chunks": HEAD % b"" + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
}

VARIANT = Variant.FAST


@pytest.fixture(autouse=True)
def served_by(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "VARIANT", variant)


def ignore(_signal: Signal) -> None:
    """For tests that look elsewhere."""


Connection = tuple[StreamReader, StreamWriter]


@dataclass(kw_only=True)
class House:
    """A listener that takes a body and says hello; at /slow when it is `told`, and 404 at /nowhere."""

    listener: Listener
    told: asyncio.Event
    signals: list[Signal]
    connections: list[Connection] = field(default_factory=list)

    async def enter(self, sent: bytes = b"") -> Connection:
        """Connect and say that, and be let in."""
        connection = await asyncio.open_connection(*self.listener.address)
        self.connections.append(connection)
        connection[1].write(sent)
        await asyncio.sleep(0.05)
        return connection

    @property
    def evicted(self) -> int:
        return sum(isinstance(each, Evicted) for each in self.signals)


@asynccontextmanager
async def house(limits: Limits, *, certificate: Certificate | None = None) -> AsyncIterator[House]:
    told = asyncio.Event()
    signals: list[Signal] = []

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        if request.path == "/endless":
            stream = web.StreamResponse()
            await stream.prepare(request)
            while True:
                await stream.write(bytes(65_536))
        if request.path == "/slow":
            await told.wait()
        return web.Response(text="hello", status=404 if request.path == "/nowhere" else 200)

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    on = socket.create_server(("127.0.0.1", 0))
    tls = certificate.context if certificate else None
    listener = await listen(app, on, limits=limits, drain=0.0, grace=0.0, emit=signals.append, tls=tls, variant=VARIANT)
    there = House(listener=listener, told=told, signals=signals)
    try:
        yield there
    finally:
        for _, writer in there.connections:
            writer.close()
        await listener.close()


async def status(connection: Connection) -> int | None:
    """Of the answer; None if the connection is closed without any."""
    try:
        head = await connection[0].readuntil(b"\r\n\r\n")
        await connection[0].readexactly(5)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return int(head.split()[1])


async def ask(connection: Connection, path: bytes = b"") -> int | None:
    try:
        connection[1].write(REQUEST % path)
    except ConnectionError:
        return None
    return await status(connection)


# ---- how many


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
def test_the_oldest_that_has_brought_nothing_makes_room(sent: bytes, run: Run) -> None:
    async def scene() -> None:
        async with house(Limits(connections=3)) as there:
            first, second, third = [await there.enter(sent) for _ in range(3)]
            fourth = await there.enter()
            assert await status(first) is None
            assert await ask(fourth) == 200
            fifth = await there.enter()
            assert await status(second) is None
            assert not third[0].at_eof()
            assert await ask(fifth) == 200
            assert there.evicted == 2

    run(scene())


def test_a_client_that_does_not_read_is_evicted(run: Run) -> None:
    async def scene() -> None:
        async with house(Limits(connections=3)) as there:
            deaf = [await there.enter() for _ in range(3)]
            for _, writer in deaf:
                await plead(writer)
            assert await ask(await there.enter()) == 200
            assert there.evicted == 1

    run(scene())


def test_a_client_that_does_not_read_a_stream_is_evicted(run: Run) -> None:
    async def scene() -> None:
        async with house(Limits(connections=1)) as there:
            _, writer = await there.enter()
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's reads, too
            writer.write(REQUEST % b"endless")
            await asyncio.sleep(0.3)  # until the sockets are full
            assert await ask(await there.enter()) == 200
            assert there.evicted == 1

    run(scene())


async def plead(writer: StreamWriter) -> None:
    """Ask and ask, and read nothing, until they read no more of it either."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's reads, too
    with suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            while True:
                writer.write(REQUEST % b"" * 1_000)
                await writer.drain()


def test_whose_answer_is_due_stays_however_old(run: Run) -> None:
    async def scene() -> None:
        async with house(Limits(connections=3)) as there:
            first = await there.enter(REQUEST % b"slow")
            second, third = [await there.enter() for _ in range(2)]
            await there.enter()
            assert await status(second) is None
            there.told.set()
            assert await status(first) == 200
            assert await ask(third) == 200

    run(scene())


def test_while_every_connection_waits_for_a_response_new_ones_stay_in_the_backlog(run: Run) -> None:
    async def scene() -> None:
        async with house(Limits(connections=3)) as there:
            inside = [await there.enter(REQUEST % b"slow") for _ in range(3)]
            late = await there.enter(REQUEST % b"")
            await asyncio.sleep(SOON)
            assert there.evicted == 0
            there.told.set()
            assert [await status(each) for each in (*inside, late)] == [200] * 4

    run(scene())


def test_a_connection_with_a_useful_request_is_evicted_as_if_it_were_new(run: Run) -> None:
    async def scene() -> None:
        async with house(Limits(connections=3)) as there:
            first, second, _ = [await there.enter() for _ in range(3)]
            assert await ask(first) == 200
            await there.enter()
            assert await status(second) is None
            assert await ask(first) == 200

    run(scene())


def test_a_connection_with_a_rejected_request_is_not(run: Run) -> None:
    async def scene() -> None:
        async with house(Limits(connections=3)) as there:
            first, second, _ = [await there.enter() for _ in range(3)]
            assert await ask(first, b"nowhere") == 404
            await there.enter()
            assert await status(first) is None
            assert await ask(second) == 200

    run(scene())


def test_a_closed_connection_makes_room_and_evicts_no_other(run: Run) -> None:
    async def scene() -> None:
        async with house(Limits(connections=3)) as there:
            first, *_ = [await there.enter() for _ in range(3)]
            for _ in range(20):
                _, writer = await there.enter()
                writer.close()
                await asyncio.sleep(0.01)
            assert there.evicted == 1, "for the first of them; the others found its place"
            assert await status(first) is None

    run(scene())


def test_connections_in_the_backlog_at_the_stop_are_accepted_however_many(run: Run) -> None:
    async def scene() -> None:
        app = web.Application()
        app.router.add_post("/", hello)
        on = socket.create_server(("127.0.0.1", 0), backlog=3 * BATCH)
        listener = await listen(
            app, on, limits=Limits(), drain=1.0, grace=1.0, emit=lambda _signal: None, variant=VARIANT
        )
        crowd = [socket.create_connection(listener.address) for _ in range(3 * BATCH)]
        for each in crowd:
            each.sendall(REQUEST % b"")
        closing = asyncio.create_task(listener.close())  # before the door hears of any of them
        connections = [await asyncio.open_connection(sock=each) for each in crowd]
        assert [await status(each) for each in connections] == [200] * len(crowd)
        for _, writer in connections:
            writer.close()
        await closing

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    run(scene())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder: Path = tmp_path_factory.mktemp("tls")
    return Certificate(*Pair.within(folder).files)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "half a hello"])
def test_an_endless_handshake_counts_as_a_connection(sent: bytes, run: Run, certificate: Certificate) -> None:
    async def scene() -> None:
        async with house(Limits(connections=3, handshake=10 * LONG), certificate=certificate) as there:
            first, second, *_ = [await there.enter(sent) for _ in range(3)]
            await there.enter()
            assert await first[0].read() == b""
            assert not second[0].at_eof()
            assert there.evicted == 1

    run(scene())


# ---- how long


@pytest.mark.parametrize("sent", [UNFINISHED["silent"], UNFINISHED["headers"]], ids=["silent", "headers"])
@pytest.mark.parametrize("before", [b"", REQUEST % b""], ids=["first", "second"])
def test_a_request_that_does_not_begin_is_given_up(before: bytes, sent: bytes, run: Run) -> None:
    async def scene() -> None:
        async with house(Limits(idle=SOON)) as there:
            connection = await there.enter(before)
            assert await status(connection) == 200 if before else True
            connection[1].write(sent)
            assert await status(connection) is None

    run(scene())


def test_a_request_that_came_in_time_is_answered_however_late_the_loop_looks(run: Run) -> None:
    async def scene() -> None:
        async with house(Limits(idle=2 * SOON)) as there:
            connection = await asyncio.open_connection(*there.listener.address)
            there.connections.append(connection)
            assert await ask(connection) == 200
            os.write(connection[1].get_extra_info("socket").fileno(), REQUEST % b"")
            over = monotonic() + 3 * SOON
            while monotonic() < over:
                """The loop is held up, and both are due at once: the request, and the end of the idle connection."""
            assert await status(connection) == 200

    run(scene())


@pytest.mark.parametrize("before", [b"", REQUEST % b""], ids=["first", "second"])
def test_headers_that_drip_are_given_up(before: bytes, run: Run) -> None:
    async def scene() -> None:
        async with house(Limits(idle=SOON)) as there:
            reader, writer = connection = await there.enter(before + HEAD % b"")
            assert await status(connection) == 200 if before else True
            while not reader.at_eof():
                writer.write(b"a: b\r\n")
                await asyncio.sleep(SOON / 10)
                if writer.transport.is_closing():
                    break

    run(scene())


def test_a_body_that_nobody_wants_is_not_read_for_long(run: Run) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(text="hello", status=404)

    async def scene() -> None:
        app = web.Application()
        app.router.add_post("/", refuse)
        on = socket.create_server(("127.0.0.1", 0))
        limits = Limits(lingering=SOON)
        listener = await listen(
            app, on, limits=limits, drain=0.0, grace=0.0, emit=lambda _signal: None, variant=VARIANT
        )
        _, writer = connection = await asyncio.open_connection(*listener.address)
        writer.write(HEAD % b"" + b"Content-Length: 500000\r\n\r\n")
        assert await status(connection) == 404
        with pytest.raises((ConnectionError, RuntimeError)):  # RuntimeError is uvloop's, once it has closed our end
            while True:
                writer.write(b"hello")
                await writer.drain()
                await asyncio.sleep(SOON / 10)
        await listener.close()

    run(scene())


# ---- how much


def test_headers_that_do_not_end_are_given_up(run: Run) -> None:
    async def scene() -> None:
        async with house(Limits()) as there:
            reader, writer = await there.enter(HEAD % b"")
            for number in range(MAX_HEAD // 1000 + 1):
                writer.write(b"a%d: %s\r\n" % (number, b"x" * 1000))
                await asyncio.sleep(0.005)
            assert (await reader.read()).startswith(b"HTTP/1.1 431 ")

    run(scene())


def test_a_long_head_that_ends_is_taken_and_the_next_one_counts_for_itself(run: Run) -> None:
    async def scene() -> None:
        async with house(Limits()) as there:
            connection = await there.enter()
            for _ in range(4):
                connection[1].write(HEAD % b"" + b"a: %s\r\n" % (b"x" * (MAX_HEAD // 3)))
                await asyncio.sleep(0.02)
                connection[1].write(b"Content-Length: 5\r\n\r\n")
                await asyncio.sleep(0.02)
                connection[1].write(b"hello")
                assert await status(connection) == 200

    run(scene())
