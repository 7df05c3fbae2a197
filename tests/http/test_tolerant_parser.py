"""A legible status decides: answers whose head can be read and whose rest is odd, as servers out there send them."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import psutil
import pytest

from relay.delivery.send import Sender
from relay.http.request import Request
from relay.http.tolerant_parser import MAX_HEAD
from relay.model import Outcome, Reason
from tests.clients import outcomes
from tests.delivery.conftest import Talk, read_request, serving

PHP = "Заявка принята".encode()  # 27 bytes, which mb_strlen counts as 14
FIELDS = b"content-length: 2\r\n\r\nok"
CHUNKED = b"transfer-encoding: chunked\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + FIELDS

ODD = {
    "shorter length": b"content-length: 14\r\n\r\n" + PHP,
    "shorter length, like an answer": b"content-length: 2\r\n\r\nokHTTP/1.1 500 O",
    "shorter length, by one byte": b"content-length: 2\r\n\r\nokH",
    "longer length": b"content-length: 28\r\n\r\n" + PHP,
    "header over 8 KB": b"x: " + b"y" * 9_000 + b"\r\n" + FIELDS,
    "header of 60 KB": b"x: " + b"y" * 60_000 + b"\r\n" + FIELDS,
    "130 headers": b"x: y\r\n" * 130 + FIELDS,
    "two equal lengths": b"content-length: 2\r\n" + FIELDS,
    "two lengths": b"content-length: 3\r\n" + FIELDS,
    "a list of lengths": b"content-length: 2, 2\r\n\r\nok",
    "length of none": b"content-length: \r\n\r\nok",
    "negative length": b"content-length: -5\r\n\r\nok",
    "length and chunks": CHUNKED + b"content-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "junk line": b"PHP Warning  in /var/www/hook.php on line 3\r\n" + FIELDS,
    "blank in a name": b"x y: z\r\n" + FIELDS,
    "no name": b": z\r\n" + FIELDS,
    "NUL": b"x: a\0b\r\n" + FIELDS,
    "not UTF-8": b"x: \xff\xfe\r\nx\xff: y\r\n" + FIELDS,
    "junk line, LF alone": b"PHP Warning\ncontent-length: 2\n\nok",
    "bad chunk size": CHUNKED + b"\r\nZZ\r\nok\r\n0\r\n\r\n",
    "a chunk cut short": CHUNKED + b"\r\n5\r\nok",
    "a body cut short": b"content-length: 100\r\n\r\nok",
}


async def send(sender: Sender, port: int, *, seconds: float = 5.0) -> Outcome:
    request = Request(url=f"http://127.0.0.1:{port}/in", headers={}, body=b"{}")
    return await sender.send(request, timeout=timedelta(seconds=seconds))


Cut = Callable[[bytes], Iterator[bytes]]


def whole(answer: bytes) -> Iterator[bytes]:
    yield answer


def bytewise(answer: bytes) -> Iterator[bytes]:
    """Up to where that would take long."""
    for start in range(min(len(answer), 400)):
        yield answer[start : start + 1]
    yield answer[400:]


def at_the_end_of_the_head(answer: bytes) -> Iterator[bytes]:
    head, blank, body = answer.partition(b"\r\n\r\n")
    yield head + blank
    yield body


class Target:
    """Says the same to every request, in pieces, each a packet; `kept`: then waits for the next request."""

    def __init__(self, answer: bytes, cut: Cut = whole, *, kept: bool = True) -> None:
        self.pieces = [*cut(answer)]
        self.kept = kept
        self.requests: list[int] = []
        """How many came over each connection."""

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        number = len(self.requests)
        self.requests.append(0)
        with suppress(ConnectionError):
            while True:
                await read_request(reader)
                self.requests[number] += 1
                for piece in self.pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if not self.kept:
                    return


@pytest.mark.parametrize("cut", [whole, bytewise, at_the_end_of_the_head])
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "closed"])
@pytest.mark.parametrize("name", ODD)
async def test_a_legible_2xx_is_delivered_and_its_connection_dropped(
    sender: Sender, client: str, name: str, kept: bool, cut: Cut
) -> None:
    target = Target(b"HTTP/1.1 201 Created\r\n" + ODD[name], cut, kept=kept)
    async with serving(target.talk) as port:
        sent = [await send(sender, port, seconds=0.4) for _ in range(2)]
    assert {each.reason for each in sent} <= outcomes(client, name, at_once=cut is whole)
    assert {each.status for each in sent if each.reason is Reason.OK} <= {201}
    assert sum(target.requests) == 2, "and nothing was sent twice"
    if client == "fast":
        assert target.requests == [1, 1]


@pytest.mark.parametrize("fields", [b"content-length: 2\r\n\r\n", b"\r\n", CHUNKED + b"\r\n2\r\n"])
@pytest.mark.parametrize("cut", [whole, bytewise, at_the_end_of_the_head])
async def test_a_204_with_a_body_is_delivered(sender: Sender, client: str, fields: bytes, cut: Cut) -> None:
    """What comes after its head in a later packet may meet the next request: that goes out anew."""
    target = Target(b"HTTP/1.1 204 No Content\r\n" + fields + b"ok", cut)
    async with serving(target.talk) as port:
        sent = [await send(sender, port) for _ in range(3)]
    assert {each.reason for each in sent} <= outcomes(client, "204 with a body", at_once=cut is whole)
    assert {each.status for each in sent if each.reason is Reason.OK} <= {204}


@pytest.mark.parametrize("status", [200, 301, 400, 404, 410, 429, 503, 999])
async def test_whatever_the_status_says_is_so(sender: Sender, client: str, status: int) -> None:
    head = b"HTTP/1.1 %d X\r\njunk\r\nRetry-After: 7\r\ncontent-length: 9\r\n\r\nnot today" % status
    async with serving(Target(head).talk) as port:
        sent = await send(sender, port)
    if client == "plain":
        assert {sent.reason} == outcomes(client, "junk line")
    else:
        assert (sent.status, sent.detail, sent.retry_after) == (status, "not today", timedelta(seconds=7))


@pytest.mark.parametrize("news", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\njunk\r\n\r\n"])
@pytest.mark.parametrize("cut", [whole, bytewise])
async def test_news_before_an_odd_answer_are_not_the_answer(sender: Sender, client: str, news: bytes, cut: Cut) -> None:
    answer = news * 3 + b"HTTP/1.1 201 Created\r\njunk\r\n" + FIELDS
    async with serving(Target(answer, cut).talk) as port:
        sent = await send(sender, port)
    assert {sent.reason} == outcomes(client, "junk line")
    assert sent.status == (201 if sent.reason is Reason.OK else None)


async def test_nobody_waits_for_a_body_of_which_nobody_knows_the_end(sender: Sender) -> None:
    """The places of `concurrency` are for those that wait for a target."""
    for rest in (ODD["two lengths"], ODD["shorter length"], ODD["bad chunk size"]):
        async with serving(Target(b"HTTP/1.1 500 Oops\r\n" + rest, at_the_end_of_the_head).talk) as port:
            took = min([(await send(sender, port)).took for _ in range(3)])  # other work on the machine only adds to it
            assert took < timedelta(seconds=0.9), "a second is what a body may take"


# ---- bounds


def endless(start: bytes, more: bytes) -> Talk:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await read_request(reader)
        writer.write(start)
        with suppress(ConnectionError):
            while True:
                writer.write(more)
                await writer.drain()

    return talk


@pytest.mark.parametrize(
    "talk",
    [
        endless(b"HTTP/1.1 200 OK\r\njunk\r\n", b"x: y\r\n" * 10_000),
        endless(b"HTTP/1.1 200 OK\r\njunk\r\nx: ", b"y" * 60_000),
        endless(b"", b"HTTP/1.1 103 Early Hints\r\njunk\r\n\r\n" * 1_000),
        endless(b"HTTP/1.1 103 Early Hints\r\njunk\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1_000),
        endless(b"HTTP/1.1 103 Early Hints\r\njunk\r\n\r\n", b"x" * 60_000),
    ],
    ids=["headers", "header", "odd news", "news", "garbage"],
)
async def test_an_odd_head_without_end_is_read_no_further_than_its_limit(sender: Sender, talk: Talk) -> None:
    before = psutil.Process().memory_info().rss
    async with serving(talk) as port:
        sent = await send(sender, port, seconds=20)
    assert sent.reason is Reason.PROTOCOL
    assert sent.detail
    assert psutil.Process().memory_info().rss - before < 30_000_000


async def test_a_head_larger_than_the_limit_is_refused_however_it_comes(sender: Sender) -> None:
    answer = b"HTTP/1.1 200 OK\r\nx: " + b"y" * MAX_HEAD + b"\r\n" + FIELDS
    for cut in (whole, bytewise):
        async with serving(Target(answer, cut).talk) as port:
            assert (await send(sender, port)).reason is Reason.PROTOCOL


async def test_a_head_within_the_parsers_own_limits_may_be_larger(sender: Sender) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: %b\r\n" % (n, b"y" * 4_000) for n in range(100)) + FIELDS
    target = Target(answer)
    async with serving(target.talk) as port:
        assert [(await send(sender, port)).status for _ in range(2)] == [200, 200]
    assert target.requests == [2]


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\njunk\r\n",
        b"HTTP/1.1 200 OK\r\njunk\r\nx: y\r\n",
    ],
)
async def test_a_head_that_breaks_off_delivers_nothing(sender: Sender, start: bytes) -> None:
    async with serving(Target(start, kept=False).talk) as port:
        sent = await send(sender, port)
    assert sent.status is None
    assert sent.reason in {Reason.PROTOCOL, Reason.DISCONNECTED}
    assert sent.detail


async def test_a_head_that_stops_in_the_middle_ends_at_the_deadline(sender: Sender, client: str) -> None:
    async with serving(Target(b"HTTP/1.1 200 OK\r\njunk\r\n").talk) as port:
        assert {(await send(sender, port, seconds=0.3)).reason} == outcomes(client, "junk line", Reason.TIMEOUT)


# ---- the next request of a connection


@pytest.mark.parametrize("left", [b"and more", b"\xd0\xbd\xd1\x8f\xd1\x82\xd0\xb0", b"\x00"])
async def test_what_is_left_of_one_answer_is_not_the_answer_to_the_next(sender: Sender, left: bytes) -> None:
    """It comes so late that the connection is in use again: the request goes out once more, on a new one."""
    requests = 0

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal requests
        requests += 1
        await read_request(reader)
        writer.write(OK)
        await reader.read(1)
        writer.write(left)
        await reader.read()

    async with serving(talk) as port:
        assert [(await send(sender, port)).status for _ in range(2)] == [200, 200]
    assert requests == 2


async def test_garbage_from_a_new_connection_is_not_asked_for_twice(sender: Sender) -> None:
    target = Target(b"?\r\n\r\n")
    async with serving(target.talk) as port:
        assert (await send(sender, port)).reason is Reason.PROTOCOL
    assert target.requests == [1]


async def test_an_ordinary_answer_leaves_its_connection_to_the_next_however_it_comes(sender: Sender) -> None:
    for cut in (whole, bytewise, at_the_end_of_the_head):
        target = Target(OK, cut)
        async with serving(target.talk) as port:
            for _ in range(5):
                assert (await send(sender, port)).detail == "ok"
        assert target.requests == [5]
