"""How a listener leaves: nobody who was accepted is reset, and a socket that was passed stays open."""

import asyncio
import socket
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from aiohttp import web

from relay.errors import ConfigurationError
from relay.http.aiohttp_version import Variant
from relay.http.listener import SETTLE, Listener, bind, listen
from relay.http.machine_limits import Limits
from relay.http.response import Response
from tests.http.conftest import LONG, Run

SHORT = 0.1


@pytest.fixture
def ours() -> Iterator[socket.socket]:
    """A listening socket that we keep, as systemd does."""
    with socket.create_server(("127.0.0.1", 0)) as ours:
        yield ours


@pytest.fixture(params=["application", "answers"], autouse=True)
def kind(request: pytest.FixtureRequest, variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is served: the private listener has the one, the public listener the other; and by which protocol."""
    monkeypatch.setattr(sys.modules[__name__], "KIND", request.param)
    monkeypatch.setattr(sys.modules[__name__], "VARIANT", variant)


KIND = ""
VARIANT = Variant.FAST


@asynccontextmanager
async def serving(ours: socket.socket, *, drain: float = LONG, grace: float = LONG) -> AsyncIterator[Listener]:
    """A listener on a copy of the socket, which answers at once, but /slow when its drain is over."""

    async def hold_back(request: web.BaseRequest) -> None:
        if request.path == "/slow":
            await listener.draining.wait()
            await asyncio.sleep(drain + 3 * SETTLE)

    async def respond(request: web.Request) -> web.Response:
        await hold_back(request)
        return web.Response(text="12345")

    async def answer(request: web.BaseRequest) -> Response:
        await hold_back(request)
        return Response(12345)

    app = web.Application()
    app.router.add_get("/{path:.*}", respond)
    listener = await listen(
        app if KIND == "application" else answer,
        ours.dup(),
        limits=Limits(),
        drain=drain,
        grace=grace,
        emit=lambda _signal: None,
        variant=VARIANT,
    )
    try:
        yield listener
    finally:
        if not listener.draining.is_set():
            await listener.close()


async def connect(listener: Listener) -> tuple[StreamReader, StreamWriter]:
    return await asyncio.open_connection(*listener.address)


async def ask(reader: StreamReader, writer: StreamWriter, path: str = "/") -> bytes:
    """The head of the answer."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: relay\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(5) == b"12345"
    return head


def test_a_kept_connection_gets_one_more_response_which_closes_it(run: Run, ours: socket.socket) -> None:
    async def scene() -> None:
        async with serving(ours) as listener:
            reader, writer = await connect(listener)
            assert b"Connection: close" not in await ask(reader, writer)
            closing = asyncio.create_task(listener.close())
            await asyncio.sleep(5 * SETTLE)  # long enough for one that is in a hurry to be gone
            assert b"\r\nConnection: close\r\n" in await ask(reader, writer)
            assert await reader.read() == b""
            writer.close()
            await closing

    started = monotonic()
    run(scene())
    assert monotonic() - started < LONG, "and nobody waits when all have left"


def test_an_accepted_connection_may_send_its_first_request_while_draining(run: Run, ours: socket.socket) -> None:
    async def scene() -> None:
        async with serving(ours) as listener:
            connections = [await connect(listener) for _ in range(20)]
            closing = asyncio.create_task(listener.close())
            await asyncio.sleep(5 * SETTLE)  # long enough for one that is in a hurry to be gone
            for reader, writer in connections:
                assert b" 200 OK" in await ask(reader, writer)
                writer.close()
            await closing

    run(scene())


def test_a_request_in_progress_is_answered_after_the_drain(run: Run, ours: socket.socket) -> None:
    async def scene() -> None:
        async with serving(ours, drain=SHORT) as listener:
            reader, writer = await connect(listener)
            asked = asyncio.create_task(ask(reader, writer, "/slow"))
            await listener.close()
            assert b"\r\nConnection: close\r\n" in await asked
            writer.close()

    run(scene())


def test_a_silent_connection_is_closed_after_the_drain(run: Run, ours: socket.socket) -> None:
    async def scene() -> None:
        async with serving(ours, drain=SHORT) as listener:
            reader, writer = await connect(listener)
            await ask(reader, writer)
            await listener.close()
            assert await reader.read() == b""
            writer.close()

    started = monotonic()
    run(scene())
    assert monotonic() - started < LONG


def test_a_connection_made_after_the_stop_waits_for_the_next_listener(run: Run, ours: socket.socket) -> None:
    async def scene() -> None:
        async with serving(ours) as listener:
            await listener.close()
            reader, writer = await connect(listener)
            asked = asyncio.create_task(ask(reader, writer))
        async with serving(ours):
            assert b" 200 OK" in await asked
            writer.close()

    run(scene())


def test_connections_that_come_while_it_leaves_are_served_by_it_or_by_the_next(run: Run, ours: socket.socket) -> None:
    async def one() -> None:
        reader, writer = await asyncio.open_connection(*ours.getsockname())
        assert b" 200 OK" in await ask(reader, writer)
        writer.close()

    async def scene() -> None:
        clients = []
        for _ in range(20):
            async with serving(ours):
                clients += [asyncio.create_task(one()) for _ in range(20)]
                await asyncio.sleep(0)
        async with serving(ours), asyncio.timeout(LONG):
            await asyncio.gather(*clients)

    run(scene())


def test_an_address_that_is_taken_is_named_once(ours: socket.socket) -> None:
    address = ours.getsockname()
    with pytest.raises(ConfigurationError) as raised:
        bind(address, flag="--listen")
    at = f"127.0.0.1:{address[1]}"
    told = "Address already in use (is another relay running?); choose another with --listen"
    assert str(raised.value) == f"cannot listen on {at}: {told}"


def test_a_host_name_that_is_not_known_is_reported_in_the_same_way() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^cannot listen on ::nobody:80: [^()-]+; choose another with --admin$"
    ):
        bind(("::nobody", 80), flag="--admin")
