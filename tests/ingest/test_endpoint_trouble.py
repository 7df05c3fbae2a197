"""The public listener when the store is busy or clients misbehave: no false 200, no loss, no duplicate."""

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import product
from typing import Any

import pytest
from aiohttp import web

from relay.amocrm import events
from relay.daemon.wiring import url
from relay.http import response
from relay.http.aiohttp_version import Variant
from relay.http.machine_limits import Limits
from relay.http.response import Response
from relay.ingest import decode
from relay.ingest.budget import PER_EVENT, Reservation
from relay.model import Source
from relay.signals import DecodeFailed
from relay.store.records import Filter
from tests.e2e.processes import until
from tests.scene import LEAD, MAX_BODY, TOKEN, WON, Scene, form

pytestmark = pytest.mark.usefixtures("server")  # each is run with both


# ---- 503; more of it is in test_keeper


async def test_a_commit_that_takes_too_long_is_503_and_is_delivered_once_when_it_comes(scene: Scene) -> None:
    scene.facts.gate.clear()
    stuck = asyncio.create_task(scene.relay.store.probe())  # the writer will not get over telling of this commit
    response = await scene.post(form(LEAD))
    assert (response.status, response.headers["retry-after"]) == (503, "5")
    assert scene.facts.refusals() == [("crm", "unavailable")]
    assert not scene.targets.received
    scene.facts.gate.set()
    await stuck
    await until(lambda: bool(scene.targets.received))
    assert (await scene.post(form(WON))).status == 200
    await until(lambda: len(scene.targets.accepted("dwh")) == 1)
    assert sorted(scene.targets.accepted("bot")) == ["m1", "m2"]
    assert len(await scene.kept()) == 2


# ---- clients that leave


async def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing(scene: Scene) -> None:
    async with scene.connected() as (_, writer):
        writer.write(f"POST /hooks/crm/{TOKEN} HTTP/1.1\r\nHost: relay\r\nContent-Length: 500\r\n\r\n".encode())
        writer.write(form(LEAD))
        await writer.drain()
    await until(lambda: scene.facts.refusals() == [("crm", "incomplete")])
    assert not await scene.kept()


@pytest.mark.parametrize("limits", [Limits(body=0.1)])
async def test_a_stalled_body_times_out(limits: Limits, scene: Scene) -> None:
    head = await scene.raw(b"Content-Length: 500\r\n\r\n", form(LEAD))
    assert head.startswith(b"HTTP/1.1 408 ")
    assert scene.facts.refusals() == [("crm", "incomplete")]
    assert not await scene.kept()


@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
async def test_a_stored_webhook_is_delivered_even_if_its_client_left(reset: bool, scene: Scene) -> None:
    sent = {f"m{number}": form(LEAD | {"name": f"m{number}"}) for number in range(200)}
    for body in sent.values():
        async with scene.connected() as (_, writer):
            head = f"POST /hooks/crm/{TOKEN} HTTP/1.1\r\nHost: relay\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            if reset:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    await scene.post(form(WON | {"name": "last"}))
    store = scene.relay.store
    await until(lambda: "last" in scene.targets.accepted("dwh"))
    kept = await store.find(Filter(target="bot"), limit=1000)
    await until(lambda: len(scene.targets.accepted("bot")) == len(kept))
    assert reset or sorted(scene.targets.accepted("bot")) == sorted([*sent, "last"])
    assert len(kept) > 100, "or this has shown nothing"


# ---- bodies that are too much together


# ---- what is never said


async def test_no_answer_says_what_software_this_is(server: Variant, scene: Scene) -> None:
    """The plain one cannot leave the header out."""
    allowed = {None} if server is Variant.FAST else {None, "relay"}
    for source, token, body in [
        ("crm", TOKEN, form(LEAD)),
        ("crm", "wrong", b""),
        ("crm", TOKEN, b"x" * (MAX_BODY + 1)),
    ]:
        assert (await scene.post(body, source=source, token=token)).headers.get("server") in allowed
    for path in ("/livez", "/nowhere"):
        async with scene.session.get(url(scene.relay.admin_listening) + path) as response:
            assert response.headers.get("server") in allowed


MALFORMED = [
    b"POST {path} HTTP/9.9\r\n\r\n",
    b"P\xd0ST {path} HTTP/1.1\r\nHost: relay\r\n\r\n",
    b"POST {path} HTTP/1.1\r\nHost: relay\r\nbroken header\r\n\r\n",
    b"POST {path} HTTP/1.1\r\nHost: relay\r\nContent-Length: many\r\n\r\n",
    b"POST {path}/" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: relay\r\n\r\n",
]
STATUSES = [*[HTTPStatus.BAD_REQUEST] * 4, HTTPStatus.REQUEST_URI_TOO_LONG]


@pytest.mark.parametrize(
    ("request_", "status"),
    list(zip(MALFORMED, STATUSES, strict=True)),
    ids=["version", "method", "header", "length", "long path"],
)
async def test_what_is_not_http_is_rejected_and_not_echoed(request_: bytes, status: HTTPStatus, scene: Scene) -> None:
    async with scene.connected() as (reader, writer):
        writer.write(request_.replace(b"{path}", f"/hooks/crm/{TOKEN}".encode()))
        response = await reader.read()  # to its end: the connection is closed
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode())
    assert b"server:" not in head.lower()
    assert json.loads(body) == {"error": status.phrase.lower()}


async def test_no_answer_and_no_signal_has_the_token(scene: Scene) -> None:
    said: list[object] = [
        await scene.post(form(LEAD)),
        await scene.post(form(LEAD), source="nobody"),
        await scene.post(b"hello"),
        await scene.post(b"x" * (MAX_BODY + 1)),
        await scene.post(form(LEAD, account={}), source="shop"),
    ]
    assert TOKEN not in repr(said)
    assert TOKEN not in repr(scene.facts.signals)
    said = [await scene.post(form(LEAD), token="a-mistake"), scene.facts.signals[-1]]
    assert "a-mistake" not in repr(said)


SMALL = Limits(memory=30_000)


@pytest.mark.parametrize("limits", [SMALL])
async def test_bodies_over_the_budget_together_are_rejected_until_it_has_room(limits: Limits, scene: Scene) -> None:
    body = b"x" * 12_000
    async with scene.connected() as (_, one), scene.connected() as (_, other):
        for writer in (one, other):
            writer.write(f"POST /hooks/crm/{TOKEN} HTTP/1.1\r\nHost: relay\r\nContent-Length: 12001\r\n\r\n".encode())
            writer.write(body)
        await until(lambda: scene.budget.used > 30_000)
        response = await scene.post(form(LEAD))
        assert (response.status, response.headers["retry-after"]) == (503, "5")
        assert scene.facts.refusals() == [("crm", "unavailable")]
    await until(lambda: scene.budget.used == 0)
    for _ in range(5):
        assert (await scene.post(body)).status == 200
    assert scene.budget.used == 0


async def test_a_body_that_waits_for_its_commit_stays_reserved_after_its_503(scene: Scene) -> None:
    scene.facts.gate.clear()
    stuck = asyncio.create_task(scene.relay.store.probe())
    large = b"x" * 12_000
    assert [(await scene.post(large)).status for _ in range(2)] == [503, 503]
    assert scene.budget.used > 24_000
    scene.facts.gate.set()
    await stuck
    await until(lambda: scene.budget.used == 0)
    assert len(await scene.kept()) == 2


# ---- bodies that end too early


@pytest.mark.parametrize(
    "piece",
    [
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nleads\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nlea",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nleads\r\n0\r\n",
        b"Content-Length: 6\r\n\r\nleads",
    ],
    ids=["between chunks", "in a chunk", "before the last line", "before its length"],
)
@pytest.mark.parametrize("limits", [Limits(body=0.1)])
@pytest.mark.parametrize("leaves", [True, False], ids=["left", "waits"])
async def test_a_truncated_body_is_counted_and_neither_stored_nor_acknowledged(
    piece: bytes, leaves: bool, limits: Limits, scene: Scene
) -> None:
    async with scene.connected() as (reader, writer):
        writer.write(f"POST /hooks/crm/{TOKEN} HTTP/1.1\r\nHost: relay\r\n".encode() + piece)
        if leaves:
            writer.write_eof()
        response = await reader.read()
    assert not response or response.startswith(b"HTTP/1.1 408 ")
    await until(lambda: scene.facts.refusals() == [("crm", "incomplete")])
    assert not await scene.kept()


# ---- several in one turn of the loop


async def at_once(scene: Scene, bodies: Sequence[bytes]) -> list[bytes]:
    """The status lines for bodies that arrive together."""
    async with AsyncExitStack() as stack:
        ends = [await stack.enter_async_context(scene.connected()) for _ in bodies]
        for (_, writer), body in zip(ends, bodies, strict=True):
            head = f"POST /hooks/crm/{TOKEN} HTTP/1.1\r\nHost: relay\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
        return [(await reader.readuntil(b"\r\n")).rstrip() for reader, _ in ends]


OK, BUSY = b"HTTP/1.1 200 OK", b"HTTP/1.1 503 Service Unavailable"


@pytest.mark.parametrize("limits", [Limits(memory=400_000)])
async def test_concurrent_webhooks_share_the_same_budget(
    limits: Limits, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, taken = form(*[LEAD] * 100), []
    read = events.read

    def note(*given: Any, **more: Any) -> Any:
        taken.append(scene.budget.used)
        return read(*given, **more)

    monkeypatch.setattr(events, "read", note)
    scene.facts.gate.clear()
    answers = await at_once(scene, [many] * 6)
    scene.facts.gate.set()
    assert sorted(answers) == [BUSY] * 6, "none is committed, and all but one are refused at once"
    assert [size > 100 * PER_EVENT for size in taken] == [False, *[True] * 5]


FAULTS: dict[str, tuple[object, Callable[[Any], bool]]] = {
    "refusal": (Source, lambda account: account["id"] == 13),
    "all_dated": (decode, lambda read: len(read) == 2),
    "grow": (Reservation, lambda size: size == 2 * PER_EVENT),
    "to_thread": (asyncio, lambda _config: True),
}
"""By the name of what raises: where it is, and for which last argument it does."""


@pytest.mark.parametrize(
    ("name", "at"),
    [*product(["refusal", "all_dated", "grow"], ["alone", "together", "large"]), ("to_thread", "large")],
)
async def test_a_fault_over_one_webhook_loses_neither_it_nor_others(
    name: str, at: str, scene: Scene, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    where, unlucky_argument = FAULTS[name]
    original = getattr(where, name)

    def trip(*given: Any) -> Any:
        if unlucky_argument(given[-1]):
            raise ZeroDivisionError
        return original(*given)

    monkeypatch.setattr(where, name, trip)
    if at == "large":
        request.getfixturevalue("large")
    unlucky = form(LEAD, LEAD, account={"id": 13})
    bodies = [form(WON), unlucky, form(LEAD)] if at == "together" else [unlucky]
    assert await at_once(scene, bodies) == [OK] * len(bodies)
    kept = {each.body: each.unparsed for each in await scene.kept()}
    assert kept.keys() == set(bodies)
    assert kept.pop(unlucky) == "a fault of the relay: ZeroDivisionError()"
    assert {*kept.values()} <= {None}
    assert [each.error for each in scene.facts.signals if isinstance(each, DecodeFailed)] == ["ZeroDivisionError()"]
    await until(lambda: scene.budget.used == 0)


async def test_expect_100_continue_is_answered(scene: Scene) -> None:
    body = form(LEAD)
    async with scene.connected() as (reader, writer):
        head = f"POST /hooks/crm/{TOKEN} HTTP/1.1\r\nHost: relay\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.readuntil(b"\r\n")).rstrip() == OK
    head = f"POST /hooks/crm/wrong HTTP/1.1\r\nHost: relay\r\nContent-Length: {len(body)}\r\n".encode()
    async with scene.connected() as (reader, writer):
        writer.write(head + b"Expect: 100-continue\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).rstrip() == b"HTTP/1.1 404 Not Found"


@pytest.mark.parametrize(
    ("asked", "connection"),
    [
        (b"HTTP/1.1\r\nHost: relay\r\n", None),
        (b"HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n", b"close"),
        (b"HTTP/1.0\r\n", b"close"),
        (b"HTTP/1.0\r\nConnection: keep-alive\r\n", b"keep-alive"),
    ],
)
async def test_an_answer_says_whether_the_connection_stays(
    asked: bytes, connection: bytes | None, server: Variant, scene: Scene
) -> None:
    body = form(LEAD)
    async with scene.connected() as (reader, writer):
        writer.write(f"POST /hooks/crm/{TOKEN} ".encode() + asked + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        head = await reader.readuntil(b"\r\n\r\n")
        version = asked[:8] if server is Variant.PLAIN else OK[:8]  # aiohttp repeats that of the request
        assert head.startswith(version + OK[8:])
        said = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        implied = server is Variant.PLAIN and (version, connection) == (b"HTTP/1.0", b"close")
        assert said.get(b"Connection") == (None if implied else connection)
        assert parsedate_to_datetime(said[b"Date"].decode())
        assert json.loads(await reader.readexactly(int(said[b"Content-Length"])))["events"] == 1
        writer.write(b"GET /other HTTP/1.1\r\nHost: relay\r\n\r\n")
        assert bool(await reader.read(1)) == (connection != b"close")


async def test_a_head_is_answered_without_a_body(scene: Scene) -> None:
    async with scene.connected() as (reader, writer):
        writer.write(b"HEAD /hooks/crm/x HTTP/1.1\r\nHost: relay\r\n\r\nGET /other HTTP/1.1\r\nHost: relay\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 Not Found\r\n")


async def test_answers_that_nobody_reads_do_not_pile_up(
    server: Variant, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = []
    kind: Any = Response if server is Variant.FAST else web.Response
    prepare = kind.prepare

    async def note(answer: Any, request: web.BaseRequest) -> Any:
        prepared = await prepare(answer, request)
        assert request.transport
        waiting.append(request.transport.get_write_buffer_size())
        return prepared

    monkeypatch.setattr(kind, "prepare", note)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, scene.relay.listening)
        asking = asyncio.create_task(loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n" * 60_000))
        answered = -1
        while answered < len(waiting):
            answered = len(waiting)
            await asyncio.sleep(0.2)
        asking.cancel()
    assert 0 < answered < 60_000
    assert max(waiting) < 200_000


async def test_a_client_that_never_reads_is_disconnected(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response, "UNREAD", 0.3)
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, scene.relay.listening)
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(40):
                while True:
                    await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n" * 10_000)
