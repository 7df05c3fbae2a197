"""Where events end: `python -m tests.bench.receiver PORT` counts each POST and answers 200 with as little as can be.

GET / tells, as JSON: how many were `taken`, `first` and `last` when (monotonic seconds). That is asked all the time and
costs nothing. GET /lags: the seconds from each event's timestamp until it came; it is cut to the millisecond, so
that they are up to one too long. DELETE / forgets all that.
"""

import asyncio
import sys
import time
from asyncio import Protocol, Transport
from dataclasses import dataclass, field
from datetime import datetime

import orjson
import uvloop

STAMP = b'"timestamp":"'


@dataclass(slots=True)
class Taken:
    """Since it was last told to forget; `stamps`: when each came, and the timestamp it had."""

    count: int = 0
    first: float = 0.0
    last: float = 0.0
    stamps: list[tuple[float, bytes]] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        self.count += 1
        self.last = time.monotonic()
        self.first = self.first or self.last
        at = body.find(STAMP)
        if at >= 0:
            at += len(STAMP)
            self.stamps.append((time.time(), body[at : at + 24]))

    def document(self) -> bytes:
        return orjson.dumps({"taken": self.count, "first": self.first, "last": self.last})

    def lags(self) -> bytes:
        return orjson.dumps([came - datetime.fromisoformat(stamp.decode()).timestamp() for came, stamp in self.stamps])


class Receiver(Protocol):
    """One connection; nobody pipelines."""

    taken = Taken()

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        head, found, body = self._rest.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(body) >= length:
            self._rest = body[length:]
            self._transport.write(_answer(self._told(head, body)))

    def _told(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"POST"):
            Receiver.taken.take(body)
        elif head.startswith(b"DELETE"):
            Receiver.taken = Taken()
        elif head.startswith(b"GET /lags "):
            return Receiver.taken.lags()
        else:
            return Receiver.taken.document()
        return b""


def _answer(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
