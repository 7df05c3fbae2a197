"""A steady pace: `python -m tests.bench.pace URL BODY RATE SECONDS` posts a webhook every 1/RATE s, answered or not.

wrk waits for an answer before it asks again, so that a slow server is asked less; this does not (an open loop). Prints
JSON: `sent`, `rate` as it was, `p50` and `p99` in milliseconds from when each was due until its answer.
"""

import asyncio
import json
import sys
from asyncio import Future, Protocol, Transport
from pathlib import Path
from urllib.parse import urlsplit

import uvloop


class Connection(Protocol):
    """One request at a time; `free` takes it back once it is answered."""

    def __init__(self, free: list["Connection"]) -> None:
        self._free = free
        self._answered: Future[None] | None = None
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
            self._rest = body[length:]
            if head.startswith(b"HTTP/1.1 2"):
                self._answered.set_result(None)
            else:
                self._answered.set_exception(RuntimeError(head.decode()))
            self._free.append(self)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._answered and not self._answered.done():
            self._answered.set_exception(ConnectionError("closed before it answered"))


class RateLimiter:
    """Requests that are due at their own time."""

    def __init__(self, url: str, body: bytes) -> None:
        place = urlsplit(url)
        self._address = (place.hostname, place.port)
        self._free: list[Connection] = []
        head = (
            f"POST {place.path} HTTP/1.1\r\nhost: {place.netloc}\r\ncontent-length: {len(body)}\r\n"
            "content-type: application/x-www-form-urlencoded\r\n\r\n"
        )
        self._request = head.encode() + body
        self.took: list[float] = []

    async def keep(self, rate: float, seconds: float) -> float:
        """Requests a second, as it came out."""
        loop = asyncio.get_running_loop()
        start, wanted = loop.time(), round(rate * seconds)
        async with asyncio.TaskGroup() as group:
            for number in range(wanted):
                due = start + number / rate
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                group.create_task(self._post(due))
            return wanted / (loop.time() - start)

    async def _post(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        if not self._free:
            _, connection = await loop.create_connection(lambda: Connection(self._free), *self._address)
        else:
            connection = self._free.pop()
        await connection.ask(self._request)
        self.took.append(loop.time() - due)


async def main(url: str, body: bytes, rate: float, seconds: float) -> None:
    pace = RateLimiter(url, body)
    kept = await pace.keep(rate, seconds)
    took = sorted(pace.took)
    print(
        json.dumps(
            {
                "sent": len(took),
                "rate": kept,
                "p50": took[len(took) // 2] * 1e3,
                "p99": took[len(took) * 99 // 100] * 1e3,
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes(), float(sys.argv[3]), float(sys.argv[4])))
