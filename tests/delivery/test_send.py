"""`relay.delivery.send` against targets that do whatever targets do; every server here is real and on loopback."""

import asyncio
import random
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from relay.delivery.request import render
from relay.delivery.retry import decide
from relay.delivery.send import MAX_ANSWER, MAX_DETAIL, Sender
from relay.http.client import Client
from relay.http.request import Request
from relay.model import Dead, Outcome, Reason, Secret
from tests.clients import outcomes
from tests.delivery.conftest import NOON, Talk, delivery, read_request, serving, target

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
CANARY = "canary-token"
SOON = timedelta(seconds=20)
"""After the deadline of a part of a second, on a busy machine too. Without one nothing ends."""


async def send(
    sender: Sender,
    port: int,
    *,
    scheme: str = "http",
    host: str = "127.0.0.1",
    seconds: float = 5.0,
    body: bytes = b"{}",
    **headers: str,
) -> Outcome:
    url = f"{scheme}://{host}:{port}/in?token={CANARY}"
    request = Request(url=url, headers={"content-type": "application/json"} | headers, body=body)
    sent = await sender.send(request, timeout=timedelta(seconds=seconds))
    assert CANARY not in sent.detail, "a URL may hold a secret"
    assert len(sent.detail) <= MAX_DETAIL
    return sent


def saying(answer: bytes) -> Talk:
    """Say this to one request, and hang up."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    return talk


def repeating(*answers: bytes, every: float = 0.0) -> Talk:
    """Say the first once, and the last again and again until nobody listens."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await read_request(reader)
        for answer in answers[:-1]:
            writer.write(answer)
        while not writer.is_closing():
            writer.write(answers[-1])
            await writer.drain()
            await asyncio.sleep(every)

    return talk


async def silence(reader: StreamReader, _writer: StreamWriter) -> None:
    await reader.read()


# ---- answers


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, Reason.OK),
        (204, Reason.OK),
        (299, Reason.OK),
        (301, Reason.REDIRECT),
        (400, Reason.CLIENT_ERROR),
        (408, Reason.CLIENT_ERROR),
        (429, Reason.TOO_MANY),
        (500, Reason.SERVER_ERROR),
        (599, Reason.SERVER_ERROR),
        (0, Reason.OTHER_STATUS),
        (101, Reason.OTHER_STATUS),
        (600, Reason.OTHER_STATUS),
        (999, Reason.OTHER_STATUS),
    ],
)
async def test_the_status_decides(sender: Sender, status: int, reason: Reason) -> None:
    async with serving(saying(b"HTTP/1.1 %03d Whatever\r\ncontent-length: 0\r\n\r\n" % status)) as port:
        sent = await send(sender, port)
    assert (sent.status, sent.reason) == (status, reason)


async def test_the_start_of_the_answer_is_kept_as_text(sender: Sender) -> None:
    answer = "нет ".encode() * 1000 + b"\xff"
    head = b"HTTP/1.1 503 No\r\ncontent-length: %d\r\nretry-after: 7\r\n\r\n" % len(answer)
    async with serving(saying(head + answer)) as port:
        sent = await send(sender, port)
    assert sent.detail == ("нет " * 1000)[:MAX_DETAIL]
    assert sent.retry_after == timedelta(seconds=7)


async def test_an_answer_that_repeats_a_secret_is_kept_without_it(sender: Sender) -> None:
    said = b"x" * (MAX_DETAIL - 20) + b" bad token s3cr3t-0, Bearer s3cr3t-0"
    async with serving(saying(b"HTTP/1.1 401 No\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said))) as port:
        secrets = ("Bearer s3cr3t-0", "s3cr3t-0")
        request = Request(url=f"http://127.0.0.1:{port}/", headers={}, body=b"", secrets=secrets)
        outcome = await sender.send(request, timeout=timedelta(seconds=1))
    assert outcome.detail.lstrip("x") == " bad token ***, ***"


async def test_the_request_arrives_as_it_was_made(sender: Sender) -> None:
    got = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        got.append(await read_request(reader))
        writer.write(OK)

    async with serving(talk) as port:
        await send(sender, port, body=b"\x00" * 3_000_000, **{"webhook-id": "e1"})
    [(head, body)] = got
    assert head.startswith(b"POST /in?token=canary-token HTTP/1.1\r\n")
    lines = head.lower().split(b"\r\n")
    assert {b"content-length: 3000000", b"content-type: application/json", b"webhook-id: e1"} < set(lines)
    assert not [line for line in lines if line.startswith((b"accept-encoding", b"transfer-encoding", b"cookie"))]
    assert body == b"\x00" * 3_000_000


# ---- 2xx is delivered at the headers


@pytest.mark.parametrize(
    "rest",
    [
        b"content-length: 100\r\n\r\ntruncated",
        b"transfer-encoding: chunked\r\n\r\n5\r\ntrunc",
        b"content-encoding: gzip\r\ncontent-length: 7\r\n\r\nnotgzip",
        b"\r\nuntil the end",
    ],
    ids=["length", "chunked", "gzip", "close"],
)
async def test_a_2xx_is_delivered_whatever_becomes_of_its_body(sender: Sender, rest: bytes) -> None:
    async with serving(saying(b"HTTP/1.1 200 OK\r\n" + rest)) as port:
        assert (await send(sender, port)).reason is Reason.OK


async def test_a_2xx_whose_body_turns_to_garbage_is_delivered(sender: Sender) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)  # in a segment of its own: the headers have been understood
        writer.write(b"5\r\nhello\r\nZZ\r\n")

    async with serving(talk) as port:
        assert (await send(sender, port)).reason is Reason.OK


async def test_a_2xx_whose_body_hangs_is_delivered_before_the_deadline_is_over(sender: Sender) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await reader.read()

    async with serving(talk) as port:
        sent = await send(sender, port, seconds=0.3)
    assert (sent.reason, sent.detail) == (Reason.OK, "half")
    assert sent.took < SOON


async def test_of_an_endless_body_only_the_start_is_read(sender: Sender) -> None:
    talk = repeating(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)
    async with serving(talk) as port:
        sent = await send(sender, port)
    assert (sent.reason, sent.detail) == (Reason.OK, "x" * MAX_DETAIL)
    assert sent.took < timedelta(seconds=2.5), "it stops reading; it does not wait for the deadline"


async def test_a_long_answer_is_not_taken_from_the_target(sender: Sender) -> None:
    taken = 0

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal taken
        await read_request(reader)
        writer.write(b"HTTP/1.1 500 No\r\ncontent-length: 1000000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * MAX_ANSWER)
            await writer.drain()
            taken += MAX_ANSWER

    async with serving(talk) as port:
        await send(sender, port)
    assert taken < 20_000_000, "more than the sockets' own buffers"


# ---- targets that do not speak HTTP, or too much of it


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000 + b"\r\n",
    ],
    ids=["ssh", "http2", "long-status", "no-status", "long-header", "many-headers"],
)
async def test_what_is_not_http_is_a_protocol_error(sender: Sender, answer: bytes) -> None:
    async with serving(saying(answer)) as port:
        sent = await send(sender, port)
    assert (sent.reason, sent.status) == (Reason.PROTOCOL, None)
    assert sent.detail


async def test_no_garbage_gets_past_an_outcome(sender: Sender) -> None:
    luck = random.Random(4)
    pieces = [b"HTTP/1.1 ", b"200 OK", b"\r\n", b"\r\n\r\n", b"content-length: 3", b"transfer-encoding: chunked", b"ff"]
    for _ in range(200):
        noise = [luck.choice([*pieces, luck.randbytes(luck.randrange(40))]) for _ in range(luck.randrange(12))]
        async with serving(saying(b"".join(noise))) as port:
            assert isinstance(await send(sender, port, seconds=0.5), Outcome)


async def test_headers_that_drip_end_at_the_deadline(sender: Sender) -> None:
    async with serving(repeating(b"HTTP/1.1 200 OK\r\n", b"x", every=0.02)) as port:
        sent = await send(sender, port, seconds=0.3)
    assert sent.reason is Reason.TIMEOUT
    assert timedelta(seconds=0.29) < sent.took < SOON


async def test_100_continue_and_nothing_else_ends_at_the_deadline(sender: Sender) -> None:
    async with serving(repeating(b"HTTP/1.1 100 Continue\r\n\r\n", every=0.02)) as port:
        sent = await send(sender, port, seconds=0.3)
    assert sent.reason is Reason.TIMEOUT
    assert sent.took < SOON


async def test_a_flood_of_100_continue_is_read_no_further_than_a_thousand(sender: Sender, client: str) -> None:
    before = psutil.Process().memory_info().rss
    async with serving(repeating(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)) as port:
        sent = await send(sender, port, seconds=2.0)
    assert {sent.reason} == outcomes(client, "interim responses without end", Reason.PROTOCOL)
    assert psutil.Process().memory_info().rss - before < 30_000_000
    if client == "fast":
        assert sent.detail == "1000 interim responses (1xx) without a final one"


async def test_silence_ends_at_the_deadline(sender: Sender) -> None:
    async with serving(silence) as port:
        sent = await send(sender, port, seconds=0.2)
    assert sent.reason is Reason.TIMEOUT
    assert sent.took < SOON


# ---- targets that are not there, or leave


async def test_a_target_that_hangs_up_is_disconnected(sender: Sender) -> None:
    async with serving(saying(b"")) as port:
        assert (await send(sender, port)).reason is Reason.DISCONNECTED


async def test_a_head_that_is_cut_short_is_not_kept_as_text(sender: Sender) -> None:
    """It may repeat a secret in an escaped form, which no mask fits."""
    key = "s3cr3t'\\0"

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 500 Oops\r\nx-key: %b\r\n" % key.encode())

    async with serving(talk) as port:
        request = Request(url=f"http://127.0.0.1:{port}/", headers={}, body=b"", secrets=(key,))
        outcome = await sender.send(request, timeout=timedelta(seconds=5))
    assert outcome.reason is Reason.DISCONNECTED
    assert outcome.detail == "the connection was closed within the head of the response"


async def test_a_target_that_resets_is_disconnected(sender: Sender) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await read_request(reader)
        writer.transport.abort()

    async with serving(talk) as port:
        assert (await send(sender, port)).reason is Reason.DISCONNECTED


async def test_nobody_there_is_a_connect_error(sender: Sender) -> None:
    with create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    sent = await send(sender, port)
    assert sent.reason is Reason.CONNECT
    assert "127.0.0.1" in sent.detail


async def test_nobody_who_takes_the_connection_is_a_timeout_that_does_not_tell_the_url(
    monkeypatch: pytest.MonkeyPatch, client: str, new_client: Callable[[], Client]
) -> None:
    monkeypatch.setattr(f"relay.http.{client}_client.CONNECT_TIMEOUT", 0.2)
    sender = Sender(clock=lambda: datetime.now(UTC), new_client=new_client)
    with create_server(("127.0.0.1", 0), backlog=0) as listening, ExitStack() as crowd:
        for _ in range(4):  # it has room for one or two
            waiting = crowd.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        sent = await send(sender, listening.getsockname()[1])
    await sender.close()
    assert (sent.reason, sent.detail) == (Reason.TIMEOUT, "no connection within 0.2 s")


async def test_an_unknown_name_is_a_connect_error(sender: Sender) -> None:
    sent = await send(sender, 80, host="bot.northwind.invalid")
    assert sent.reason in (Reason.CONNECT, Reason.TIMEOUT), "TIMEOUT where the resolver itself does not answer"


# ---- TLS


async def test_tls_to_a_plain_port_is_a_tls_error(sender: Sender) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(talk) as port:
        assert (await send(sender, port, scheme="https")).reason is Reason.TLS


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
async def test_a_certificate_that_nobody_vouches_for_is_refused(sender: Sender, tmp_path: Path) -> None:
    async with serving(saying(OK), tls=self_signed(tmp_path)) as port:
        sent = await send(sender, port, scheme="https", host="localhost")
    assert sent.reason is Reason.TLS
    assert "certificate" in sent.detail


def self_signed(folder: Path) -> ssl.SSLContext:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    command += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


# ---- requests that cannot be made


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0b"])
async def test_a_header_that_http_cannot_carry_makes_the_delivery_dead(sender: Sender, value: str) -> None:
    async with serving(saying(OK)) as port:
        sent = await send(sender, port, authorization=value)
    assert sent.reason is Reason.REQUEST
    assert isinstance(decide(delivery(), sent, target(), now=NOON, roll=0.0), Dead)


@pytest.mark.parametrize("url", ["http://:bad/", "http://[x/", "ftp://bot.example/", "http:///in", "in"])
async def test_a_url_that_is_none_is_not_repeated_nor_printed(sender: Sender, url: str) -> None:
    sent = await sender.send(Request(url=url, headers={}, body=b""), timeout=timedelta(seconds=1))
    assert sent.reason is Reason.REQUEST
    assert url not in sent.detail


# ---- what is never done


async def test_a_redirect_is_not_followed(sender: Sender) -> None:
    heads = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        heads.append((await read_request(reader))[0])
        writer.write(b"HTTP/1.1 301 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")

    async with serving(talk) as port:
        sent = await send(sender, port)
    assert (sent.reason, len(heads)) == (Reason.REDIRECT, 1)


@pytest.mark.parametrize(
    ("head", "detail"),
    [
        (b"302 Found\r\nLocation: /elsewhere", "Location: /elsewhere moved"),
        (b"308 Permanent\r\nlocation:  https://bot.example/in?a=b ", "Location: https://bot.example/in?a=b moved"),
        (b"302 Found\r\nLocation: /\xd0\xb8/\xff", "Location: /\u0438/\ufffd moved"),
        (b"302 Found\r\nLocation: /in?token=canary-token", "Location: /in?token=*** moved"),
        (b"302 Found\r\njunk\r\nLocation: /odd", "Location: /odd moved"),
        (b"302 Found\r\nLocation: ", "moved"),
        (b"304 Same", ""),
        (b"201 Created\r\nLocation: /made", "moved"),
        (b"503 No\r\nLocation: /elsewhere", "moved"),
    ],
)
async def test_the_detail_of_a_redirect_says_where_to(sender: Sender, client: str, head: bytes, detail: str) -> None:
    async with serving(saying(b"HTTP/1.1 %b\r\ncontent-length: 5\r\n\r\nmoved" % head)) as port:
        request = Request(url=f"http://127.0.0.1:{port}/in", headers={}, body=b"", secrets=("canary-token",))
        sent = await sender.send(request, timeout=timedelta(seconds=1))
    kind = "junk line" if b"junk" in head else "304 with a body" if head.startswith(b"304") else ""
    if sent.reason is Reason.PROTOCOL:
        assert {sent.reason} == outcomes(client, kind)
    else:
        assert sent.detail == detail


@pytest.mark.parametrize("hexadecimal", [str.upper, str.lower])
async def test_where_a_redirect_repeats_what_it_was_asked_for_no_secret_is_shown(
    sender: Sender, hexadecimal: Callable[[str], str]
) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        head = (await read_request(reader))[0].decode()
        asked = head.split(" ")[1] + re.search(r"x-key: (\S+)", head)[1]
        encoded = re.sub("%..", lambda each: hexadecimal(each[0]), quote(asked, safe=""))
        writer.write(f"HTTP/1.1 302 Found\r\nlocation: /login?next={encoded}\r\ncontent-length: 0\r\n\r\n".encode())

    async with serving(talk) as port:
        url = f"http://127.0.0.1:{port}/in?key=canary%2Fquery"
        asking = target(url=url, headers={"X-Key": Secret("canary/header==")})
        sent = await sender.send(render(delivery(), asking, now=NOON), timeout=timedelta(seconds=1))
    assert sent.detail.startswith("Location: /login?next=")
    assert not re.search("query|header", sent.detail), sent.detail


async def test_cookies_are_not_sent_back(sender: Sender) -> None:
    heads = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            heads.append((await read_request(reader))[0])
            writer.write(b"HTTP/1.1 200 OK\r\nset-cookie: session=1; path=/\r\ncontent-length: 0\r\n\r\n")

    async with serving(talk) as port:
        for _ in range(3):
            await send(sender, port, host="localhost")
    assert len(heads) == 3
    assert not [head for head in heads if b"cookie" in head.lower()]


async def test_a_proxy_of_the_environment_is_not_used(
    monkeypatch: pytest.MonkeyPatch, new_client: Callable[[], Client]
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    sender = Sender(clock=lambda: datetime.now(UTC), new_client=new_client)
    async with serving(saying(OK)) as port:
        assert (await send(sender, port)).reason is Reason.OK
    await sender.close()


# ---- connections that are kept


async def test_connections_are_used_again(sender: Sender) -> None:
    connections = 0

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            writer.write(OK)

    async with serving(talk) as port:
        for _ in range(20):
            await send(sender, port)
    assert connections == 1


@pytest.mark.parametrize("abort", [False, True], ids=["closed", "reset"])
async def test_a_kept_connection_that_was_closed_costs_no_attempt(sender: Sender, abort: bool) -> None:
    """The keep-alive race, made certain: the target hangs up when the second request is already on its way."""
    received = 0

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal received
        await read_request(reader)
        received += 1
        writer.write(OK)
        if await reader.read(1) and abort:
            writer.transport.abort()

    async with serving(talk) as port:
        reasons = {(await send(sender, port)).reason for _ in range(300)}
    assert reasons == {Reason.OK}
    assert received == 300, "and every request was received once"


async def test_a_fresh_connection_that_is_closed_is_not_tried_twice(sender: Sender) -> None:
    received = 0

    async def talk(reader: StreamReader, _writer: StreamWriter) -> None:
        nonlocal received
        await read_request(reader)
        received += 1

    async with serving(talk) as port:
        assert (await send(sender, port)).reason is Reason.DISCONNECTED
    assert received == 1


async def test_a_kept_connection_and_its_replacement_share_one_deadline(sender: Sender) -> None:
    connections = 0

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections > 1:
            await silence(reader, writer)
        await read_request(reader)
        writer.write(OK)
        await reader.read(1)

    async with serving(talk) as port:
        await send(sender, port)
        sent = await send(sender, port, seconds=0.3)
    assert (sent.reason, connections) == (Reason.TIMEOUT, 2)
    assert sent.took < SOON


@pytest.mark.parametrize("more", [b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 408 Bye\r\n\r\n", b"?"])
@pytest.mark.parametrize("loop_reads", [True, False])
async def test_what_was_said_after_an_answer_is_not_the_answer_to_the_next_request(
    sender: Sender, more: bytes, loop_reads: bool
) -> None:
    """The server is a thread, so that it can speak while our loop does not listen."""
    said = threading.Event()

    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as first:
            first.recv(65_536)
            first.sendall(OK)
            time.sleep(0.05)  # until the connection is among those that are kept
            first.sendall(more)
            said.set()
            with listener.accept()[0] as second:
                second.recv(65_536)
                second.sendall(OK)

    with create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,), daemon=True)
        server.start()
        port = listener.getsockname()[1]
        assert (await send(sender, port)).status == 200
        if loop_reads:
            await asyncio.to_thread(said.wait)
            await asyncio.sleep(0.05)
        else:
            said.wait()
        assert (await send(sender, port)).status == 200
        server.join()


async def test_a_408_for_goodbye_costs_no_attempt(sender: Sender) -> None:
    """Servers say it when a connection was idle for too long; it may cross a request."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await read_request(reader)
        writer.write(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")

    async with serving(talk) as port:
        assert [(await send(sender, port)).status for _ in range(5)] == [200] * 5


async def test_a_408_from_a_new_connection_is_an_answer(sender: Sender) -> None:
    async with serving(saying(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")) as port:
        assert (await send(sender, port)).status == 408


# ---- names


async def test_a_name_is_looked_up(sender: Sender) -> None:
    async with serving(saying(OK)) as port:
        assert (await send(sender, port, host="localhost")).reason is Reason.OK


async def test_names_are_looked_up_beside_each_other_and_one_that_hangs_delays_no_end(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's own lookup hangs for the names under .hangs; tests/chaos has a name server that does."""
    over, look_up = threading.Event(), socket.getaddrinfo

    def hang(host: str, *arguments: Any, **more: Any) -> Any:
        if host.endswith(".hangs"):
            over.wait(20)
        return look_up(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    hung = [asyncio.create_task(send(sender, 9, host=f"n{number}.hangs", seconds=3)) for number in range(40)]
    await asyncio.sleep(0)
    async with serving(saying(OK)) as port:
        assert (await send(sender, port, host="localhost", seconds=3)).reason is Reason.OK
    assert not any(task.done() for task in hung), "it waited for those that hang"
    assert {outcome.reason for outcome in await asyncio.gather(*hung)} == {Reason.TIMEOUT}
    assert all(t.daemon for t in threading.enumerate() if t.name == "relay-name"), "or the relay could not end"
    over.set()


async def test_a_name_that_cannot_be_one_is_an_outcome(sender: Sender) -> None:
    assert (await send(sender, 9, host="a" * 64 + ".example")).reason in {Reason.CONNECT, Reason.REQUEST}
