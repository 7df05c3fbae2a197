"""A complete small POST is answered the same, byte for byte, whether `receive` takes it or aiohttp's task serves it."""

import asyncio
import gc
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.http import response
from relay.http.machine_limits import MAX_HEAD, Limits
from relay.http.post import SMALL, Post
from relay.http.response import Response
from tests.http.wire import PEER, QUIET, Echo, Seen, Wire, connected, connections, converse, turn


def post(body: bytes = b"a=1", *, address: bytes = b"/x", version: bytes = b"1.1", headers: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST %b HTTP/%b\r\nHost: relay\r\n%b%b\r\n%b" % (address, version, headers, length, body)


TAKEN = {
    "plain": post(),
    "query": post(address=b"/x?y=%20z"),
    "not ASCII": post(headers=b"X-A: \xff\xfe\r\n"),
    "last": post(headers=b"Connection: close\r\n"),
    "expected": post(headers=b"Expect: 100-continue\r\n"),
    "compressed": post(headers=b"Content-Encoding: gzip\r\n"),
    "largest": post(b"x" * SMALL),
    "a fault": post(address=b"/fault"),
}
SERVED = {
    "declined": post(address=b"/declined"),
    "empty": post(b""),
    "too large": post(b"x" * (SMALL + 1)),
    "GET": b"GET /x HTTP/1.1\r\nHost: relay\r\n\r\n",
    "HEAD": b"HEAD /x HTTP/1.1\r\nHost: relay\r\n\r\n",
    "PUT": post().replace(b"POST", b"PUT"),
    "HTTP/1.0": post(version=b"1.0"),
    "HTTP/1.0 kept": post(version=b"1.0", headers=b"Connection: keep-alive\r\n"),
    "chunked": b"POST /x HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n0\r\n\r\n",
    "upgrade": post(headers=b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
}
MALFORMED = {
    "an address not ASCII": post(address="/ы?я".encode()),
    "no host": b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\na=1",
    "no length": post().replace(b"Length: 3", b"Length: many"),
    "two lengths": post(headers=b"Content-Length: 4\r\n"),
    "long line": post(address=b"/" + b"x" * 9_000),
    "noise": b"\x16\x03\x01\x02\x00\x01",
    "a body too long": post(headers=b"").replace(b"a=1", b"a=1&b=2"),
}
REQUESTS = TAKEN | SERVED | MALFORMED


async def both(pieces: Sequence[bytes], *, turns: int = 0, pause: int | None = None) -> tuple[Seen, Seen, int]:
    """What is seen if posts are offered, what if not, and how many were taken."""
    offered, ordinary = Echo(turns), Echo(turns)
    async with connections(offered, offered=True) as new:
        one = await converse(new, offered, pieces, pause=pause)
    async with connections(ordinary, offered=False) as new:
        other = await converse(new, ordinary, pieces, pause=pause)
    assert not ordinary.taken
    return one, other, offered.taken


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_is_answered_the_same_by_both_ways(name: str) -> None:
    one, other, taken = await both([REQUESTS[name]])
    assert one == other
    assert taken == (name in TAKEN)
    assert one.written.startswith(b"HTTP/1.")


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("pause", [0, 2, None], ids=["at once", "soon", "later"])
async def test_a_request_between_two_posts_is_answered_in_its_turn(name: str, pause: int | None) -> None:
    pieces = [post(address=b"/first"), REQUESTS[name], post(address=b"/third")]
    one, other, taken = await both(pieces, pause=pause, turns=3)
    assert one == other
    assert taken
    together, aiohttps, _ = await both([b"".join(pieces)], turns=3)
    assert together == aiohttps


@pytest.mark.parametrize(("count", "taken"), [(20, 20), (100, 0)], ids=["few", "more than aiohttp's queue takes"])
async def test_pipelined_posts_are_answered_in_their_order(count: int, taken: int) -> None:
    many = b"".join(post(address=b"/%d" % number) for number in range(count))
    one, other, were_taken = await both([many], turns=2)
    assert one == other
    assert were_taken == taken
    assert [address for _, address, _ in one.served] == [f"/{number}" for number in range(count)]
    assert one.written.count(b"HTTP/1.1 200 OK") == count


async def test_posts_one_by_one_leave_room_in_the_queue_of_the_parser() -> None:
    one_by_one = [post(address=b"/%d" % number) for number in range(40)]  # aiohttp's queue holds 32
    one, other, taken = await both([*one_by_one, post(address=b"/40") + post(address=b"/41")], turns=1)
    assert one == other
    assert taken == len(one.served) == 42


@pytest.mark.parametrize("name", TAKEN)
async def test_a_body_that_comes_after_its_head_is_awaited_by_aiohttp(name: str) -> None:
    head, blank, body = TAKEN[name].partition(b"\r\n\r\n")
    one, other, taken = await both([head + blank, body])
    assert one == other
    assert not taken
    if name != "expected":
        whole, _, _ = await both([TAKEN[name]])
        assert one == whole


@settings(max_examples=300, deadline=None)
@given(
    names=st.lists(st.sampled_from(sorted(REQUESTS)), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    turns=st.integers(0, 4),
    pause=st.sampled_from([0, 1, 3, None]),
)
def test_any_requests_in_any_pieces_are_answered_the_same(
    names: list[str], cuts: list[int], turns: int, pause: int | None
) -> None:
    stream = b"".join(REQUESTS[name] for name in names)
    places = [0, *sorted({cut for cut in cuts if cut < len(stream)}), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(places)]
    one, other, _ = asyncio.run(both(pieces, turns=turns, pause=pause))
    assert one == other


# ---- while a post waits for its response


async def test_a_connection_is_evictable_but_while_a_response_is_due() -> None:
    echo = Echo(turns=5)
    async with connections(echo, offered=True) as new:
        connection, wire = await connected(new)
        assert connection.evictable
        connection.data_received(post())
        assert not connection.evictable
        await turn(QUIET)
        assert (wire.written[:15], connection.evictable) == (b"HTTP/1.1 200 OK", True)


@pytest.mark.parametrize("offered", [True, False])
async def test_an_idle_connection_is_closed_and_one_that_waits_is_not(
    offered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo = Echo()
    gate = asyncio.Event()

    async def held(*_what: object) -> response.Response:
        await gate.wait()
        return response.Response({})

    monkeypatch.setattr(echo, "_serve", held)
    async with connections(echo, offered=offered, limits=Limits(idle=0.05)) as new:
        connection, wire = await connected(new)
        connection.data_received(post())
        await asyncio.sleep(0.2)
        assert not wire.closed
        gate.set()
        await turn(QUIET)
        assert b" 200 OK" in wire.written
        assert not wire.closed
        await asyncio.sleep(0.2)
        assert wire.closed, "the timer runs anew after the response"


async def test_a_peer_that_left_is_not_written_to_and_its_post_is_served() -> None:
    echo = Echo(turns=5)
    async with connections(echo, offered=True) as new:
        connection, wire = await connected(new)
        connection.data_received(post() + post(address=b"/next"))
        wire.closed = True
        connection.connection_lost(None)
        await turn(QUIET)
    assert (echo.served, wire.written) == ([("POST", "/x", b"a=1")], b"")


@pytest.mark.parametrize("offered", [True, False])
async def test_the_address_of_a_peer_that_left_is_still_known(offered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    echo, remotes = Echo(), list[str | None]()

    async def answer(request: Any) -> Response:
        await turn(QUIET)
        remotes.append(request.remote)
        return Response({})

    def receive(post: Post) -> bool:
        asyncio.get_running_loop().create_task(answer(post))
        return True

    monkeypatch.setattr(echo, "answer", answer)
    monkeypatch.setattr(echo, "receive", receive)
    async with connections(echo, offered=offered) as new:
        connection, wire = await connected(new)
        connection.data_received(post())
        await turn(3)
        wire.closed = True
        connection.connection_lost(None)
        await turn(2 * QUIET)
    assert remotes == [PEER[0]]


class Resetting(Wire):
    """The peer resets the connection as the response is written."""

    connection: Any

    def write(self, data: Any) -> None:
        super().write(data)
        if not self.closed:
            self.abort()
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, ConnectionResetError())


@pytest.mark.parametrize("unread", [True, False])
async def test_a_connection_that_is_lost_by_its_response_wakes_nobody_for_the_next_request(unread: bool) -> None:
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, fault: faults.append(fault))
    echo = Echo()
    async with connections(echo, offered=True) as new:
        connection, wire = new(), Wire() if unread else Resetting()
        if isinstance(wire, Resetting):
            wire.connection = connection
        connection.connection_made(wire)
        await turn(2)
        if unread:
            connection.pause_writing()
        connection.data_received(post() + post(address=b"/declined"))
        await turn(QUIET)
        if unread:  # it was half closed, and then reads: asyncio reports both in one call
            wire.closed = True
            connection.resume_writing()
            connection.connection_lost(None)
        await turn(QUIET)
        del connection, wire
        gc.collect()
    assert [address for _, address, _ in echo.served] == ["/x"]
    assert not faults


async def test_a_response_during_a_drain_is_the_last_one() -> None:
    echo = Echo(last=True)
    async with connections(echo, offered=True) as new:
        seen = await converse(new, echo, [post() + post(address=b"/next")])
    assert b"\r\nConnection: close\r\n" in seen.written
    assert (seen.closed, [address for _, address, _ in seen.served]) == (True, ["/x"])


@pytest.mark.parametrize("offered", [True, False])
async def test_a_post_in_progress_is_answered_while_the_server_shuts_down(offered: bool) -> None:
    echo = Echo(turns=20)
    async with connections(echo, offered=offered) as new:
        connection, wire = await connected(new)
        connection.data_received(post() + post(address=b"/next"))
        await turn(3)
    assert wire.written.count(b"HTTP/1.1 200 OK") == 1
    assert [address for _, address, _ in echo.served] == ["/x"], "one that had not begun is not served"
    assert wire.closed


@pytest.mark.parametrize("offered", [True, False])
async def test_a_connection_that_is_to_be_closed_ends_with_the_response_in_progress(offered: bool) -> None:
    echo = Echo(turns=5)
    async with connections(echo, offered=offered) as new:
        connection, wire = await connected(new)
        connection.data_received(post() + post(address=b"/next"))
        await turn(3)
        connection.close()  # as aiohttp does before it shuts down
        await turn(QUIET + echo.turns)
        assert wire.closed
        assert [address for _, address, _ in echo.served] == ["/x"]


@pytest.mark.parametrize("offered", [True, False])
async def test_a_connection_that_shuts_down_takes_no_more_posts(offered: bool) -> None:
    echo = Echo()
    async with connections(echo, offered=offered) as new:
        connection, wire = await connected(new)
        shutdown = asyncio.create_task(connection.shutdown(0.1))
        await turn(1)
        connection.data_received(post())
        await shutdown
    assert (echo.served, wire.written) == ([], b"")


@pytest.mark.parametrize("offered", [True, False])
@pytest.mark.parametrize("last", [True, False], ids=["its last", "kept"])
async def test_a_peer_that_does_not_read_is_served_no_more_and_aborted(
    offered: bool, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response, "UNREAD", 0.1)
    echo = Echo(last=last)
    async with connections(echo, offered=offered) as new:
        connection, wire = await connected(new)
        connection.pause_writing()
        connection.data_received(post() + post(address=b"/next"))
        await turn(QUIET)
        assert [address for _, address, _ in echo.served] == ["/x"]
        assert connection.evictable
        assert not wire.aborted
        await asyncio.sleep(0.2)
        assert wire.aborted
        connection.connection_lost(None)
        assert connection._unread is None, "no timer holds a connection that is gone"
        await turn(QUIET)
    assert len(echo.served) == 1


@pytest.mark.parametrize("offered", [True, False])
async def test_a_peer_that_reads_in_time_is_served_further(offered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response, "UNREAD", 0.1)
    echo = Echo()
    async with connections(echo, offered=offered) as new:
        connection, wire = await connected(new)
        connection.pause_writing()
        connection.data_received(post() + post(address=b"/next"))
        await turn(QUIET)
        connection.resume_writing()
        await turn(QUIET)
        await asyncio.sleep(0.2)
        assert (len(echo.served), wire.aborted) == (2, False)


async def test_a_head_is_limited_after_a_post_as_before_it() -> None:
    endless = [b"X-%d: %b\r\n" % (number, b"y" * 4_000) for number in range(2 * MAX_HEAD // 4_000)]
    one, other, taken = await both([post(), b"POST /x HTTP/1.1\r\nHost: relay\r\n", *endless])
    assert one == other
    assert (taken, one.closed) == (1, True)
    assert b"HTTP/1.1 431 " in one.written


@pytest.mark.parametrize("offered", [True, False])
async def test_a_response_that_cannot_be_written_ends_its_connection(
    offered: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo = Echo()

    async def unwritable(*_request: object) -> response.Response:
        return response.Response({"error": "\udcff"}, status=503)

    monkeypatch.setattr(echo, "_serve", unwritable)
    async with connections(echo, offered=offered) as new:
        seen = await converse(new, echo, [post() + post(address=b"/next")])
    assert (seen.written, seen.closed) == (b"", True)
    [record] = caplog.records
    assert record.message == "Unhandled exception"


async def test_a_fault_of_receive_is_answered_500_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Echo):
        def receive(self, post: object) -> bool:
            raise ZeroDivisionError

    echo = Broken()
    async with connections(echo, offered=True) as new:
        seen = await converse(new, echo, [post()])
    assert seen.written.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert seen.closed
    [record] = caplog.records
    assert record.getMessage() == "a fault of the relay: a request from 192.0.2.1"
    assert record.__dict__["request"] and b'"request":"-"' in seen.written
    assert record.exc_info
    assert isinstance(record.exc_info[1], ZeroDivisionError)
