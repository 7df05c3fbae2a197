"""`deny_private` with both clients: no address that is not public is connected to, however it comes to be one's target.

Only loopback is ever connected to. Where a test needs a public address, the table is told that 127.0.0.2 is one.
"""

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from relay.delivery.retry import decide
from relay.delivery.send import Sender
from relay.http.client import AddressDenied
from relay.http.public_only import PublicResolver, public_socket
from relay.http.request import Request
from relay.http.resolver import CACHE_SECONDS, MAX_AGE
from relay.model import DIRECT, Egress, Outcome, Reason, RetryAt
from relay.private_addresses import private_kind
from tests.clients import connections_age_by
from tests.delivery.conftest import NOON, delivery, read_request, serving, target

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
NAME = "moves.relay.test"
HERE, PUBLIC = "127.0.0.1", "127.0.0.2"
GUARDED = Egress(deny_private=True)


@dataclass
class World:
    """A name and what it means at the moment, and a server on each of two addresses, of which one counts as public."""

    meant: list[str] = field(default_factory=list)
    port: int = 0
    seconds: float = 1000.0
    connections: list[str] = field(default_factory=list)

    def look_up(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        assert host == NAME
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (each, port, 0, 0))
            if ":" in each
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in self.meant
        ]

    async def answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections.append(writer.get_extra_info("sockname")[0])
        while True:
            await read_request(reader)
            writer.write(OK)

    async def send(self, sender: Sender, host: str = NAME, egress: Egress = GUARDED) -> Outcome:
        request = Request(url=f"http://{host}:{self.port}/", headers={}, body=b"{}")
        return await sender.send(request, timeout=timedelta(seconds=20), egress=egress)


@pytest.fixture
def one_public_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "relay.http.public_only.private_kind", lambda address: None if address == PUBLIC else private_kind(address)
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    connections_age_by(lambda: world.seconds, monkeypatch)
    yield world


@pytest.fixture
async def world(clock: World, monkeypatch: pytest.MonkeyPatch, one_public_address: None) -> AsyncIterator[World]:
    monkeypatch.setattr(socket, "getaddrinfo", clock.look_up)
    async with serving(clock.answer, host=HERE) as clock.port, serving(clock.answer, host=PUBLIC, port=clock.port):
        yield clock


# ---- names


async def test_a_name_of_this_machine_is_denied_and_retried(sender: Sender, world: World) -> None:
    world.meant = [HERE]
    sent = await world.send(sender)
    assert (sent.reason, sent.status) == (Reason.DENIED, None)
    assert sent.detail == f"{NAME} is 127.0.0.1 (loopback): deny_private refuses it"
    assert world.connections == []
    assert isinstance(decide(delivery(), sent, target(), now=NOON, roll=0.0), RetryAt)


async def test_without_the_guard_the_same_name_is_connected_to(sender: Sender, world: World) -> None:
    world.meant = [HERE]
    assert (await world.send(sender, egress=DIRECT)).reason is Reason.OK
    assert world.connections == [HERE]


@pytest.mark.parametrize("meant", [[HERE, PUBLIC], [PUBLIC, HERE], [HERE, "::1", PUBLIC, "127.0.0.3"]])
async def test_of_several_addresses_only_public_ones_are_tried(sender: Sender, world: World, meant: list[str]) -> None:
    world.meant = meant
    assert (await world.send(sender)).reason is Reason.OK
    assert world.connections == [PUBLIC]


async def test_public_addresses_that_do_not_answer_do_not_lead_to_the_others(sender: Sender, world: World) -> None:
    world.meant = [PUBLIC, HERE]
    with socket.create_server((HERE, 0)) as here:  # nobody listens on the public one at this port
        world.port = here.getsockname()[1]
        sent = await world.send(sender)
        assert sent.reason is Reason.CONNECT
        here.setblocking(False)
        with pytest.raises(BlockingIOError):
            here.accept()


async def test_a_name_that_rebinds_is_denied_on_the_next_connection(sender: Sender, world: World) -> None:
    """The connection to the public address may go on, for as long as any may; no other one is opened."""
    world.meant = [PUBLIC]
    assert (await world.send(sender)).reason is Reason.OK
    world.meant = [HERE]
    reasons = []
    for _ in range(int(MAX_AGE + CACHE_SECONDS) + 2):
        world.seconds += 1
        reasons.append((await world.send(sender)).reason)
    assert reasons[0] is Reason.OK
    assert reasons[-1] is Reason.DENIED
    assert set(reasons) == {Reason.OK, Reason.DENIED}
    assert world.connections == [PUBLIC]


async def test_a_look_up_that_was_denied_is_not_remembered(sender: Sender, world: World) -> None:
    world.meant = [HERE]
    assert (await world.send(sender)).reason is Reason.DENIED
    world.meant = [PUBLIC]
    assert (await world.send(sender)).reason is Reason.OK


async def test_a_connection_from_before_the_guard_is_not_used_behind_it(sender: Sender, world: World) -> None:
    world.meant = [HERE]
    assert (await world.send(sender, egress=DIRECT)).reason is Reason.OK
    assert (await world.send(sender)).reason is Reason.DENIED
    assert (await world.send(sender, egress=DIRECT)).reason is Reason.OK
    assert world.connections == [HERE]


# ---- addresses in the URL


@pytest.mark.parametrize("host", [HERE, "[::1]", "[::ffff:127.0.0.1]", "[::]", "0.0.0.0"])
async def test_an_address_in_the_url_is_denied(sender: Sender, host: str) -> None:
    connections: list[int] = []

    async def talk(_reader: StreamReader, _writer: StreamWriter) -> None:
        connections.append(1)

    async with serving(talk, host="127.0.0.1") as port, serving(talk, host="::1", port=port):
        request = Request(url=f"http://{host}:{port}/", headers={}, body=b"{}")
        sent = await sender.send(request, timeout=timedelta(seconds=20), egress=GUARDED)
        await asyncio.sleep(0.05)
    assert sent.reason is Reason.DENIED
    assert "deny_private refuses it" in sent.detail
    assert connections == []


# ---- each of the two layers by itself; none of these is connected to

PRIVATE = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "::1", "fe80::1", "fd00:ec2::254"]


@pytest.mark.parametrize("address", PRIVATE)
async def test_the_look_up_leaves_out(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(meant=[address, "2a00:1450::5", "93.184.216.34"])
    monkeypatch.setattr(socket, "getaddrinfo", world.look_up)
    found = await PublicResolver().resolve(NAME, 443)
    assert [each["host"] for each in found] == ["2a00:1450::5", "93.184.216.34"]


@pytest.mark.parametrize("address", PRIVATE)
def test_the_socket_refuses(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(AddressDenied) as denied:
        public_socket((family, socket.SOCK_STREAM, 6, "", (address, 443)))
    assert str(denied.value) == f"{address} ({private_kind(address)}): deny_private refuses it"


def test_the_socket_for_a_public_address_is_one_of_its_family() -> None:
    with public_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))) as made:
        assert (made.family, made.type) == (socket.AF_INET, socket.SOCK_STREAM)


async def test_of_many_addresses_a_few_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(meant=[f"10.0.0.{number}" for number in range(200)])
    monkeypatch.setattr(socket, "getaddrinfo", world.look_up)
    with pytest.raises(AddressDenied) as denied:
        await PublicResolver().resolve(NAME, 443)
    assert str(denied.value).endswith("10.0.0.4 (private), …: deny_private refuses it")
