"""`relay.http.fast_connection`: what one read of the socket does; `test_client` has the rest, over real sockets."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from relay.http.fast_connection import FastConnection

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
    assert connection.head()[0] == 200
    assert connection.end() is not bool(after), "kept only if nothing came after it"


async def test_what_is_said_to_no_request_ends_the_connection(target: Target) -> None:
    connection = FastConnection(asyncio.get_running_loop())
    connection.connection_made(target)
    connection.ask(b"POST")
    connection.data_received(OK)
    connection.head()
    assert connection.end()
    connection.data_received(b"H")
    assert target.aborted
