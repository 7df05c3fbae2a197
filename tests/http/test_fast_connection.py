"""`relay.http.fast_connection`: what one read of the socket does; `test_client` has the rest, over real sockets."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.http import fast_connection
from relay.http.fast_connection import FastConnection
from relay.http.tolerant_parser import TolerantParser

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Target(asyncio.Transport):
    """A transport that can be aborted, and no more."""

    aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Into the void."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def target() -> Iterator[Target]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Target({"socket": ours})


@pytest.mark.parametrize("after", [b"", OK, OK * 3, b"HTTP/1.1 500", b"?"])
async def test_a_request_is_woken_by_the_read_that_brings_its_response(target: Target, after: bytes) -> None:
    connection = FastConnection(asyncio.get_running_loop())
    connection.connection_made(target)
    waiter = connection.ask(b"POST")
    assert waiter
    connection.data_received(OK + after)
    assert waiter.done()
    assert connection.head().status == 200
    assert connection.ended() is not bool(after), "kept only if nothing came after it"


async def test_what_is_said_to_no_request_ends_the_connection(target: Target) -> None:
    connection = FastConnection(asyncio.get_running_loop())
    connection.connection_made(target)
    connection.ask(b"POST")
    connection.data_received(OK)
    connection.head()
    assert connection.ended()
    connection.data_received(b"H")
    assert target.aborted


# ---- repetitions, which are not parsed

HEADS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 503 No\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 204 None\r\n\r\n",
        b"HTTP/1.1 304 Same\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\nx: a\rb\ncontent-length: 6\n\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 103 Hints\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\njunk\r\n\r\n",
    ]
)
BODIES = st.sampled_from([b"", b"ok", b"ok\r\n", b"\r\n\r\n\r\n", b"2\r\nok\r\n0\r\n\r\n", b"o", OK, b"HTTP/1.1 500"])
RESPONSES = st.lists(st.tuples(HEADS, BODIES).map(b"".join), min_size=1, max_size=2).map(b"".join)
ENDED = b"--"
"""Instead of a piece: the peer closes."""


@st.composite
def conversations(draw: st.DrawFn) -> list[list[bytes]]:
    """For each request the reads of its response; the responses repeat, and are cut anywhere."""
    responses, said = draw(st.lists(RESPONSES, min_size=1, max_size=2)), []
    for response in draw(st.lists(st.sampled_from(responses), min_size=1, max_size=5)):
        cut = draw(st.just(len(response)) | st.integers(0, len(response)))
        pieces = [piece for piece in (response[:cut], response[cut:]) if piece]
        said.append([*pieces, *draw(st.sampled_from([[], [], [ENDED], [b"\r\n"], [response], [b"H"]]))])
    return said


def read(connection: FastConnection, wire: Target, pieces: list[bytes]) -> tuple[Any, ...]:
    """Status, headers and body of a response, or the error; and whether the connection is kept."""
    waiter = connection.ask(b"POST")
    for piece in pieces:
        if piece == ENDED and connection.transport:
            connection.connection_lost(None)
        elif connection.transport and not wire.aborted:
            connection.data_received(piece)
    if waiter and not waiter.done():
        connection.connection_lost(None)
    try:
        response = connection.head()
        body = response.body if isinstance(response.body, bytes) else response.body.read_nowait()
    except aiohttp.ClientError as error:
        return repr(error), connection.ended()
    return response.status, [*response.headers.items()], body, connection.ended()


async def converse(conversation: list[list[bytes]]) -> list[tuple[Any, ...]]:
    """What a connection makes of the responses, until it is not kept."""
    connection, seen = FastConnection(asyncio.get_running_loop()), []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Target({"socket": ours})
        connection.connection_made(wire)
        for pieces in conversation:
            seen.append(read(connection, wire, pieces))
            if not seen[-1][-1]:
                break
    return seen


@given(conversation=conversations())
@example(conversation=[[OK], [OK, OK]])
@example(conversation=[[OK], [OK, b"\r\n"], [b"\r\n", OK]])
@example(conversation=[[OK], [b"HTTP/1.1 201 Created\r\nx: ", OK]])
@example(conversation=[[OK[:9], OK[9:]], [OK[9:]]])
@example(conversation=[[OK], [b"HTTP/1.1 201 Created\r\ncontent-length: %d\r\n\r\n" % len(OK), OK]])
@example(conversation=[[OK], [b"HTTP/1.1 103 Hints\r\n\r\n", OK], [OK]])
async def test_a_repetition_is_read_as_the_parser_would_read_it(conversation: list[list[bytes]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_connection, "MAX_REPEATED", -1)
        parsed = await converse(conversation)
    assert await converse(conversation) == parsed


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the parser is fed."""
    fed: list[bytes] = []
    feed = TolerantParser.feed_data

    def counting(parser: TolerantParser, data: bytes) -> Any:
        fed.append(data)
        return feed(parser, data)

    monkeypatch.setattr(TolerantParser, "feed_data", counting)
    return fed


async def test_of_equal_responses_only_the_first_is_parsed(parsed: list[bytes]) -> None:
    other = OK.replace(b"ok", b"no")
    seen = await converse([[OK], [OK], [OK], [other], [other], [OK[:9], OK[9:]], [OK]])
    assert [each[2] for each in seen] == [b"ok", b"ok", b"ok", b"no", b"no", b"ok", b"ok"]
    assert parsed == [OK, other, OK[:9], OK[9:], OK]


async def test_a_large_response_is_not_kept_in_memory_to_be_recognized(parsed: list[bytes]) -> None:
    body = bytes(fast_connection.MAX_REPEATED)
    large = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    assert [each[2] for each in await converse([[large]] * 2)] == [body] * 2
    assert parsed == [large] * 2
