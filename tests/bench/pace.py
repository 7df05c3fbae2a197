"""A steady pace: `python -m tests.bench.pace URL BODY RATE SECONDS` posts a webhook every 1/RATE s, answered or not.

wrk waits for an answer before it asks again, so that a slow server is asked less; this does not (an open loop). The
lines of BODY take turns, and {id} and {now} are filled in as by post.lua. Connections are kept, and one that waits for
its next post is closed by the relay after its idle time-out, perhaps while that post is on its way: as HTTP clients do,
a post that got no byte of an answer on a kept connection is sent again on a new one. Prints JSON: `sent`, `resent` of
them, `rate` as it was, `p50`, `p99` and `max` in milliseconds from when each was due until its answer.
"""

import asyncio
import json
import sys
from asyncio import Future, Protocol, Transport
from collections.abc import Sequence
from pathlib import Path
from random import randrange
from time import perf_counter, time
from urllib.parse import urlsplit

import uvloop


class ClosedUnanswered(ConnectionError):
    """A connection that had answered before was closed without a byte of an answer."""


class Connection(Protocol):
    """One request at a time; it is in `free` while it is open and waits for the next one."""

    def __init__(self, free: list["Connection"]) -> None:
        self._free = free
        self._answered: Future[None] | None = None
        self._kept = False  # it has answered before
        self._rest = b""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def ask(self, request: bytes) -> Future[None]:
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answered

    def data_received(self, data: bytes) -> None:
        self._rest += data
        head, found, body = self._rest.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if found and len(body) >= length and self._answered:
            self._rest, self._kept = body[length:], True
            if head.startswith(b"HTTP/1.1 2"):
                self._answered.set_result(None)
            else:
                self._answered.set_exception(RuntimeError(head.decode()))
            self._free.append(self)

    def connection_lost(self, _error: Exception | None) -> None:
        if self in self._free:
            self._free.remove(self)
        if self._answered and not self._answered.done():
            unanswered = ClosedUnanswered if self._kept and not self._rest else ConnectionError
            self._answered.set_exception(unanswered("closed before it answered"))


class RateLimiter:
    """Requests that are due at their own time."""

    def __init__(self, url: str, bodies: Sequence[bytes]) -> None:
        self._place = urlsplit(url)
        self._bodies = bodies
        self._first = randrange(10**8, 10**9)
        self._free: list[Connection] = []
        self.took: list[float] = []
        self.resent = 0

    async def keep(self, rate: float, seconds: float) -> float:
        """Requests a second, as it came out."""
        start, wanted = perf_counter(), round(rate * seconds)
        async with asyncio.TaskGroup() as group:
            for number in range(wanted):
                due = start + number / rate
                if due > perf_counter():
                    await asyncio.sleep(due - perf_counter())
                group.create_task(self._post(due, self._request(number)))
            return wanted / (perf_counter() - start)

    def _request(self, number: int) -> bytes:
        body = self._bodies[number % len(self._bodies)]
        body = body.replace(b"{id}", b"%d" % (self._first + number)).replace(b"{now}", b"%d" % time())
        head = (
            f"POST {self._place.path} HTTP/1.1\r\nhost: {self._place.netloc}\r\ncontent-length: {len(body)}\r\n"
            "content-type: application/x-www-form-urlencoded\r\n\r\n"
        )
        return head.encode() + body

    async def _post(self, due: float, request: bytes) -> None:
        try:
            await (self._free.pop() if self._free else await self._connected()).ask(request)
        except ClosedUnanswered:
            self.resent += 1
            await (await self._connected()).ask(request)
        self.took.append(perf_counter() - due)

    async def _connected(self) -> Connection:
        address = self._place.hostname, self._place.port
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self._free), *address)
        return connection


async def main(url: str, bodies: Sequence[bytes], rate: float, seconds: float) -> None:
    pace = RateLimiter(url, bodies)
    kept = await pace.keep(rate, seconds)
    took = sorted(pace.took)
    print(
        json.dumps(
            {
                "sent": len(took),
                "resent": pace.resent,
                "rate": kept,
                "p50": took[len(took) // 2] * 1e3,
                "p99": took[len(took) * 99 // 100] * 1e3,
                "max": took[-1] * 1e3,
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes().splitlines(), float(sys.argv[3]), float(sys.argv[4])))
