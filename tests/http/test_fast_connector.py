"""`relay.http.fast_connector`: how long a connection is used, and when a new look-up decides where requests go."""

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from relay.delivery.send import Sender
from relay.http.request import Request
from relay.model import Reason
from tests.clients import connections_age_by
from tests.delivery.conftest import read_request, serving

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
OLD, NEW = "127.0.0.1", "127.0.0.2"
NAME = "moves.test"
A_MINUTE = 60


@dataclass
class World:
    """Seconds that pass only when told to; a name, and the two hosts that it may mean, on one port."""

    seconds: float = 1000.0
    meant: str = OLD
    port: int = 0
    lookups: int = 0
    requests: list[str] = field(default_factory=list)
    connections: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def look_up(self, _host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        self.lookups += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.meant, port))]

    async def answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        host = writer.get_extra_info("sockname")[0]
        self.connections.append(host)
        while True:
            await read_request(reader)
            self.requests.append(host)
            await self.gate.wait()
            writer.write(OK)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    connections_age_by(lambda: world.seconds, monkeypatch)
    yield world


@pytest.fixture
async def world(clock: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(socket, "getaddrinfo", clock.look_up)
    clock.gate.set()
    async with serving(clock.answer, host=OLD) as clock.port, serving(clock.answer, host=NEW, port=clock.port):
        yield clock


async def send(sender: Sender, world: World) -> None:
    request = Request(url=f"http://{NAME}:{world.port}/", headers={}, body=b"{}")
    sent = await sender.send(request, timeout=timedelta(seconds=5))
    assert sent.reason is Reason.OK, sent.detail


async def until(held: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not held():  # noqa: ASYNC110  the servers tell nobody
            await asyncio.sleep(0.001)


async def test_a_connection_that_is_always_in_use_is_replaced_within_a_minute(sender: Sender, world: World) -> None:
    """The name moved, and the old host still answers on the connections that it has."""
    await send(sender, world)
    world.meant = NEW
    for _ in range(A_MINUTE + 1):
        world.seconds += 1
        await send(sender, world)
    assert world.requests[0] == OLD
    assert world.requests[-1] == NEW
    assert len(world.connections) == 2, "and it was used again for as long as it may be"


@pytest.mark.parametrize("later", [0, 5, 8, 9, 10, 11, 30, 49, 50, 58])
async def test_one_that_was_opened_by_an_older_lookup_is_replaced_in_time_too(
    sender: Sender, world: World, later: int
) -> None:
    """Two requests at a time need a second connection, whose address may be one that is remembered."""
    await send(sender, world)
    world.meant = NEW
    for second in range(A_MINUTE + 1):
        world.seconds += 1
        if second == later:
            world.gate.clear()
            both = asyncio.gather(send(sender, world), send(sender, world))
            await until(lambda: len(world.connections) >= 2)
            world.gate.set()
            await both
        else:
            await send(sender, world)
    world.requests.clear()
    await asyncio.gather(send(sender, world), send(sender, world))
    assert world.requests == [NEW, NEW]


async def test_a_target_that_keeps_no_connection_is_not_looked_up_each_time(sender: Sender, world: World) -> None:
    async def once(reader: StreamReader, writer: StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))

    async with serving(once) as world.port:
        for _ in range(20):
            await send(sender, world)
    assert world.lookups == 1


async def test_none_that_spoke_is_used_though_one_before_it_was_idle_for_too_long(sender: Sender, world: World) -> None:
    """aiohttp passes over the first, and takes the one after it."""
    waiting = [asyncio.Event(), asyncio.Event()]
    heard: list[int] = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        number = len(heard)
        heard.append(0)
        while True:
            await read_request(reader)
            heard[number] += 1
            if number < 2:
                await waiting[number].wait()
            writer.write(OK)
            if number == 1:
                await asyncio.sleep(0.01)
                writer.write(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n")

    async with serving(talk) as world.port:
        two = {asyncio.create_task(send(sender, world)) for _ in range(2)}
        await until(lambda: heard == [1, 1])
        for event in waiting:
            event.set()
            _, two = await asyncio.wait(two, return_when=asyncio.FIRST_COMPLETED)
            world.seconds += 10
        await asyncio.sleep(0.05)  # until the second one has spoken
        await send(sender, world)
    assert heard == [1, 1, 1]
