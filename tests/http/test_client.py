"""`relay.http.client` at both its ends: the bytes a target gets, and what it may answer. The servers are real."""

import asyncio
import gc
import re
import socket
import ssl
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme
import uvloop
from aiohttp import ClientOSError, ServerDisconnectedError, TCPConnector
from aiohttp.connector import Connection

from relay.delivery.send import Sender
from relay.http.client import Client
from relay.http.fast_client import FastClient
from relay.http.request import Request
from relay.model import Outcome, Reason, Tls
from relay.tls import client_context
from tests.delivery.conftest import Talk, read_request, serving

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
NO = b"HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno"
LARGE = bytes(30_000_000)  # more than the sockets between take for a target that reads no more
DATA_SEGMENTS_IN = 152  # where Linux's tcp_info has it

Run = Callable[[Coroutine[Any, Any, None]], None]
on_either_loop = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


NewClient = Callable[[], Client]


@asynccontextmanager
async def sending(new_client: NewClient) -> AsyncIterator[Sender]:
    sender = Sender(clock=lambda: datetime.now(UTC), new_client=new_client)
    yield sender
    await sender.close()


@asynccontextmanager
async def posting(new_client: NewClient) -> AsyncIterator[Client]:
    client = new_client()
    yield client
    await client.close()


async def send(
    sender: Sender, port: int, body: bytes = b"{}", *, seconds: float = 5.0, tls: Tls | None = None, **headers: str
) -> Outcome:
    url = f"https://localhost:{port}/in" if tls else f"http://127.0.0.1:{port}/in"
    return await sender.send(Request(url=url, headers=headers, body=body), timeout=timedelta(seconds=seconds), tls=tls)


def answering(answer: bytes, heads: list[bytes]) -> Talk:
    """To every request; `heads` are theirs, with a `b""` before those of each connection."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        heads.append(b"")
        while True:
            heads.append((await read_request(reader))[0])
            writer.write(answer)

    return talk


# ---- what a target gets


@pytest.mark.parametrize(
    ("url", "host", "line"),
    [
        ("http://bot.example", "bot.example", "POST / HTTP/1.1"),
        ("http://bot.example:80/", "bot.example", "POST / HTTP/1.1"),
        ("https://bot.example:443/", "bot.example", "POST / HTTP/1.1"),
        ("https://bot.example:80/a?b=c", "bot.example:80", "POST /a?b=c HTTP/1.1"),
        ("http://[::1]:8080/", "[::1]:8080", "POST / HTTP/1.1"),
        ("http://[2001:db8::1]/", "[2001:db8::1]", "POST / HTTP/1.1"),
        ("http://бот.example/", "xn--90a0am.example", "POST / HTTP/1.1"),
        ("http://bot.example/вх%20?к=%2F+#x", "bot.example", "POST /%D0%B2%D1%85%20?%D0%BA=/+ HTTP/1.1"),
    ],
)
async def test_the_first_lines_are_those_of_the_url(url: str, host: str, line: str) -> None:
    client = FastClient()
    endpoint = client.endpoint(url, None)
    assert (endpoint.headers["host"], endpoint.line) == (host, line)
    await client.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_request_goes_out_by_its_method(sender: Sender, method: str) -> None:
    heads: list[bytes] = []
    async with serving(answering(OK, heads)) as port:
        for each in ("POST", method):
            request = Request(url=f"http://127.0.0.1:{port}/in", headers={}, body=b"{}", method=each)
            assert (await sender.send(request, timeout=timedelta(seconds=5))).reason is Reason.OK
    assert [head.partition(b" ")[0].decode() for head in heads if head] == ["POST", method]
    assert heads.count(b"") == 1, "one connection for both"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_no_method_is_repeated_but_once_for_a_connection_that_was_closed(sender: Sender, method: str) -> None:
    """aiohttp's own client repeats a PUT, which is idempotent to HTTP; here an attempt is one request."""
    heads: list[bytes] = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        heads.append((await read_request(reader))[0])
        if len(heads) == 1:
            writer.write(OK)
            heads.append((await read_request(reader))[0])
        writer.transport.abort()

    async with serving(talk) as port:
        request = Request(url=f"http://127.0.0.1:{port}/in", headers={}, body=b"{}", method=method)
        sent = [await sender.send(request, timeout=timedelta(seconds=5)) for _ in range(3)]
    assert [each.reason for each in sent] == [Reason.OK, Reason.DISCONNECTED, Reason.DISCONNECTED]
    assert [b"connection: close" in head.lower() for head in heads] == [False, False, True, False]


async def test_a_request_is_these_bytes_and_one_segment(sender: Sender) -> None:
    got, segments = bytearray(), 0

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal segments
        while not got.endswith(b"{}"):
            got.extend(await reader.read(65_536))
        known = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
        (segments,) = struct.unpack_from("I", known, DATA_SEGMENTS_IN)
        writer.write(OK)

    async with serving(talk) as port:
        await send(sender, port, **{"content-type": "application/json", "x-name": "Ольга\t&", "accept": "a/b"})
    assert got.decode() == (
        f"POST /in HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\naccept: a/b\r\ncontent-type: application/json\r\n"
        "x-name: Ольга\t&\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert segments == 1


@pytest.mark.parametrize("header", [("x", "a\r\nb: c"), ("x", "\x7f"), ("x\r\ny", "z"), ("x", "\x00")])
async def test_nobody_is_asked_with_a_header_that_http_cannot_carry(sender: Sender, header: tuple[str, str]) -> None:
    heads: list[bytes] = []
    async with serving(answering(OK, heads)) as port:
        sent = await send(sender, port, **dict([header]))
    assert (sent.reason, heads) == (Reason.REQUEST, [])


async def test_a_url_that_cannot_be_parsed_is_reported_without_its_secrets(sender: Sender) -> None:
    request = Request(url="http://canary-token:x@a／b/", headers={}, body=b"")
    sent = await sender.send(request, timeout=timedelta(seconds=1))
    assert (sent.reason, sent.detail) == (Reason.REQUEST, "not a URL that a request can be sent to")


async def test_only_the_connection_that_replaces_another_is_to_be_closed(sender: Sender) -> None:
    heads: list[bytes] = []

    async def once(reader: StreamReader, writer: StreamWriter) -> None:
        heads.append((await read_request(reader))[0])
        writer.write(OK)
        await reader.read(1)

    async with serving(once) as port:
        for _ in range(2):
            assert (await send(sender, port)).reason is Reason.OK
    assert [b"connection: close" in head.lower() for head in heads] == [False, True]


async def test_no_request_follows_one_that_asked_for_the_connection_to_be_closed(sender: Sender) -> None:
    """RFC 9112 §9.6, whatever the response says: the target may close once it is written."""
    requests: list[list[bool]] = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        requests.append([])
        while True:
            head, _ = await read_request(reader)
            if requests == [[False]]:
                writer.transport.abort()
                return
            requests[-1].append(b"connection: close" in head.lower())
            writer.write(OK)

    async with serving(talk) as port:
        for _ in range(4):
            assert (await send(sender, port)).reason is Reason.OK
    assert requests == [[False], [True], [False, False]]


# ---- what it may answer


async def three(sender: Sender, answer: bytes) -> tuple[list[Outcome], int]:
    """What comes of three attempts that are answered so, and over how many connections they went."""
    heads: list[bytes] = []
    async with serving(answering(answer, heads)) as port:
        sent = [await send(sender, port) for _ in range(3)]
    return sent, heads.count(b"")


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (OK, "ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, "ok"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 1_000 + OK, "ok"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nsum: 1\r\n\r\n", "ok"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnone", "none"),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
    ],
    ids=["plain", "100", "many-103", "trailers", "encoded", "1.0-kept", "204"],
)
async def test_an_answer_that_ends_leaves_its_connection_to_the_next(
    sender: Sender, answer: bytes, detail: str
) -> None:
    sent, connections = await three(sender, answer)
    assert {(each.reason, each.detail) for each in sent} == {(Reason.OK, detail)}
    assert connections == 1


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 101 Other\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", ""),
        (OK + OK, "ok"),
    ],
    ids=["1.0", "close", "101", "two"],
)
async def test_after_any_other_answer_the_next_request_has_a_new_connection(
    sender: Sender, answer: bytes, detail: str
) -> None:
    sent, connections = await three(sender, answer)
    assert {(each.status, each.detail) for each in sent} <= {(200, detail), (101, detail)}
    assert connections == 3


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_answer_without_a_length_lasts_until_the_target_hangs_up(sender: Sender, version: bytes) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await read_request(reader)
        for piece in (b"HTTP/" + version + b" 503 No\r\n\r\n", b"not ", b"now"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    async with serving(talk) as port:
        sent = await send(sender, port)
    assert (sent.status, sent.detail) == (503, "not now")


async def test_what_a_target_says_after_its_answer_is_not_understood_and_soon_not_read(
    sender: Sender, client: str
) -> None:
    """The plain client looks every 50 ms, and aborts the connection; the fast one aborts it at once."""
    said = 0

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal said
        await read_request(reader)
        writer.write(OK)
        await asyncio.sleep(0.1)  # until our side has heard that, and listens no more
        with suppress(ConnectionError):
            while True:
                writer.write(OK * 1_000)
                await writer.drain()
                said += 1_000 * len(OK)

    async with serving(talk) as port:
        assert (await send(sender, port)).reason is Reason.OK
        before = psutil.Process().memory_info().rss
        await asyncio.sleep(1)
        assert said < 10_000_000, "no more than what the sockets take"
        assert psutil.Process().memory_info().rss - before < {"fast": 20_000_000, "plain": 60_000_000}[client]
        assert (await send(sender, port)).reason is Reason.OK


# ---- a body that is not wanted


@asynccontextmanager
async def unwilling(answer: bytes, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a target that says `answer` to the head of a request, and reads no more of it."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's reads, too
        writer.write(answer)
        await asyncio.sleep(20)

    async with serving(talk, tls=tls) as port:
        yield port


async def until_none_is_open(port: int) -> None:
    """No connection of ours to there, be it only to write what was not read."""
    us = psutil.Process()
    async with asyncio.timeout(30):
        while any(each.raddr and each.raddr.port == port for each in us.net_connections("tcp")):  # noqa: ASYNC110  the system tells nobody
            await asyncio.sleep(0.01)


@on_either_loop
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_an_answer_before_the_body_was_written_is_one_and_ends_the_writing(
    run: Run, new_client: NewClient, secure: bool, tmp_path: Path
) -> None:
    async def scenario() -> None:
        server, tls = secured(tmp_path) if secure else (None, None)
        async with unwilling(NO, tls=server) as port, sending(new_client) as sender:
            for _ in range(2):
                sent = await send(sender, port, LARGE, tls=tls)
                assert (sent.status, sent.detail) == (413, "no")
                await until_none_is_open(port)

    run(scenario())


@on_either_loop
def test_a_body_that_nobody_reads_is_written_no_more_after_the_deadline(run: Run, new_client: NewClient) -> None:
    async def scenario() -> None:
        async with unwilling(b"") as port, sending(new_client) as sender:
            before = asyncio.all_tasks()
            sent = await send(sender, port, LARGE, seconds=0.2)
            assert sent.reason is Reason.TIMEOUT
            await until_none_is_open(port)
            assert not [
                task for task in asyncio.all_tasks() - before if re.search("_write_rest|write_bytes", repr(task))
            ]

    run(scenario())


@on_either_loop
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_of_a_large_body_no_more_waits_in_memory_than_the_target_takes(
    run: Run, new_client: NewClient, secure: bool, tmp_path: Path
) -> None:
    async def scenario() -> None:
        server, tls = secured(tmp_path) if secure else (None, None)
        url = f"{'https' if secure else 'http'}://localhost:{{port}}/"
        async with unwilling(NO, tls=server) as port, posting(new_client) as client:
            endpoint = client.endpoint(url.format(port=port), client_context(tls) if tls else None)
            response = await client.post(endpoint, Request(url=url, headers={}, body=LARGE))
            await asyncio.sleep(0.1)
            holder: Any = getattr(response, "connection", response)
            transport = holder.transport
            assert transport.get_write_buffer_size() < len(LARGE) / 10
            response.end()

    run(scenario())


@on_either_loop
@pytest.mark.parametrize(
    ("leave", "reason"),
    [
        (StreamWriter.close, Reason.DISCONNECTED),
        (lambda writer: writer.transport.abort(), Reason.DISCONNECTED),
        (lambda writer: writer.write(b"SSH-2.0-OpenSSH_9.6\r\n"), Reason.PROTOCOL),
    ],
    ids=["close", "reset", "garbage"],
)
def test_what_goes_wrong_while_it_is_written_to_is_an_outcome_and_no_more(
    run: Run, new_client: NewClient, leave: Callable[[StreamWriter], None], reason: Reason
) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's reads, too
        await asyncio.sleep(0.1)
        leave(writer)
        await asyncio.sleep(1)

    async def scenario() -> None:
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        async with serving(talk) as port, sending(new_client) as sender:
            assert (await send(sender, port, LARGE)).reason is reason
            await asyncio.sleep(0.1)
        gc.collect()
        assert complaints == []

    run(scenario())


# ---- what came before it was asked for


@pytest.fixture
def hesitant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is given out only once the target has had time to speak, or to leave."""
    connect = TCPConnector.connect

    async def connect_late(connector: TCPConnector, *whom: Any, **how: Any) -> Connection:
        connection = await connect(connector, *whom, **how)
        await asyncio.sleep(0.1)
        return connection

    monkeypatch.setattr(TCPConnector, "connect", connect_late)


@on_either_loop
@pytest.mark.usefixtures("hesitant")
def test_an_answer_to_no_question_has_the_connection_ended(run: Run, new_client: NewClient) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(OK)
        await reader.read()

    async def scenario() -> None:
        async with serving(talk) as port, posting(new_client) as client:
            url = f"http://127.0.0.1:{port}/"
            response = await client.post(client.endpoint(url, None), Request(url=url, headers={}, body=LARGE))
            response.end()
            await until_none_is_open(port)

    run(scenario())


@on_either_loop
@pytest.mark.usefixtures("hesitant")
def test_a_connection_that_closes_before_it_is_used_is_reported_as_that(run: Run, new_client: NewClient) -> None:
    async def talk(_reader: StreamReader, writer: StreamWriter) -> None:
        writer.transport.abort()

    async def scenario() -> None:
        async with serving(talk) as port, posting(new_client) as client:
            url = f"http://127.0.0.1:{port}/"
            with pytest.raises((ServerDisconnectedError, ClientOSError)):
                await client.post(client.endpoint(url, None), Request(url=url, headers={}, body=b""))

    run(scenario())


def secured(folder: Path) -> tuple[ssl.SSLContext, Tls]:
    """A target's context, and whom to trust."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return context, Tls(ca=folder / "ca.pem")
