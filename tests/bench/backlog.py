"""How a relay works with a backlog: `python -m tests.bench.backlog 10000 100000 1000000`, on a quiet machine.

A store with so many pending deliveries of one target, a relay process on it, a receiver that takes everything at once,
and a sender at a steady pace. Sender and receiver share the machine with the relay. Nothing is asserted here.
"""

import asyncio
import os
import sys
import tempfile
from asyncio import Protocol, Transport
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, perf_counter

import aiohttp
import apsw
import orjson
import psutil

from relay.model import Event, PlannedDelivery, RoutedEvent, Webhook
from relay.store.contract import SharedStore
from relay.store.requests import KeepRequest, Windows
from relay.store.sqlite import ingest
from relay.store.sqlite.store import SqliteStore
from tests.e2e.processes import RelayProcess, until
from tests.e2e.sender import ACCOUNT, body, headers, lead

SECONDS = 20.0
PER_SECOND = 50
BATCH = 20_000
MOST = 256  # webhooks of one transaction of a server
MEBIBYTE = 1024 * 1024

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
targets: {{bot: {{url: "{bot}"}}}}
routes: [{{name: all, match: {{entity: leads}}, to: bot}}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was seen. Seconds, bytes, deliveries per second; `scrapes` are the seconds that /metrics took."""

    pending: int
    ready: float
    memory: int
    acks: list[float]
    rate: float
    scrapes: list[float]

    @property
    def ack(self) -> float:
        """Its 99th percentile."""
        return sorted(self.acks)[len(self.acks) * 99 // 100]

    def __str__(self) -> str:
        return (
            f"{self.pending:>9} pending: ready after {self.ready:4.1f} s, {self.memory / MEBIBYTE:4.0f} MiB,"
            f" ack p50 {sorted(self.acks)[len(self.acks) // 2] * 1000:4.0f} p99 {self.ack * 1000:4.0f} ms,"
            f" drains {self.rate:5.0f}/s, scrape at most {max(self.scrapes) * 1000:4.0f} ms"
        )


def fill(path: Path, pending: int) -> None:
    """A store that owes so many deliveries, an hour old: written as the relay writes them, but for the fsyncs.

    It is on the disk in the end, and not in the kernel's memory: a relay may start after the machine did.
    """
    path.parent.mkdir(exist_ok=True)
    start = datetime.now(UTC) - timedelta(hours=1)

    async def make() -> None:
        await SqliteStore.open(path, now=start, emit=lambda _: None, failed=lambda: None).close()

    asyncio.run(make())
    connection = apsw.Connection(str(path))
    connection.pragma("synchronous", "off")
    cursor = connection.cursor()
    windows = Windows(dated=timedelta(hours=3))
    for first in range(0, pending, BATCH):
        with connection:
            for number in range(first, min(first + BATCH, pending)):
                at = start + timedelta(milliseconds=number)
                request = KeepRequest(_webhook(number, at), [_routed(number, at)], None, windows)
                ingest.keep_all(None, cursor, [request])
    connection.close()
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def fill_store(store: SharedStore, pending: int) -> None:
    """As `fill`, by what any store has: so many deliveries, an hour old. The store is closed in the end."""
    await store.ready()
    start = store.clock() - timedelta(hours=1)
    for first in range(0, pending, MOST):
        requests = []
        for number in range(first, min(first + MOST, pending)):
            at = start + timedelta(milliseconds=number)
            requests.append(KeepRequest(_webhook(number, at), [_routed(number, at)], None, Windows()))
        done: asyncio.Future[Sequence[object]] = asyncio.get_running_loop().create_future()
        store.keep_many(requests, done.set_result)
        assert not any(isinstance(each, Exception) for each in await done)
    await store.close()


def _webhook(number: int, at: datetime) -> Webhook:
    data = lead(number, f"m{number:07}", 1) | {"last_modified": 1764000600}
    return Webhook(id=_id(at, 0, number), source="crm", received_at=at, body=body("leads[status][0]", data))


def _routed(number: int, at: datetime) -> RoutedEvent:
    data = lead(number, f"m{number:07}", 1) | {"last_modified": 1764000600}
    event = Event(
        id=_id(at, 1, number), source="crm", received_at=at, account=ACCOUNT, entity="leads", action="status", data=data
    )
    payload = {"id": event.id, "type": event.type, "timestamp": at, "source": "crm", "account": ACCOUNT}
    content = orjson.dumps(payload | {"entity": event.entity, "action": event.action, "data": data})
    return RoutedEvent(event=event, payload=content, planned=(PlannedDelivery(target="bot", routes=("all",)),))


def _id(at: datetime, kind: int, number: int) -> str:
    """Ordered by time, as UUIDv7 are."""
    return f"{int(at.timestamp() * 1000):012x}-7{kind:03x}-8000-{number:012x}"


class Receiver(Protocol):
    """Takes whatever comes and answers 200 at once, with as little work as can be."""

    def __init__(self, taken: list[int]) -> None:
        self._taken = taken
        self._rest = b""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        head, found, content = self._rest.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(content) >= length:
            self._rest = content[length:]
            self._taken[0] += 1
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[str, list[int]]]:
    """Its URL, and how many it has taken."""
    taken = [0]
    server = await asyncio.get_running_loop().create_server(lambda: Receiver(taken), "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", taken


@dataclass(slots=True)
class Watch:
    """What is measured while it drains."""

    acks: list[float] = field(default_factory=list)
    scrapes: list[float] = field(default_factory=list)
    memory: int = 0


async def measure(folder: Path, pending: int, seconds: float = SECONDS, *, store: str = "") -> Figures:
    """Start a relay on a store in `folder` that owes so many, and watch it drain for so long, or until it has."""
    async with receiving() as (url, taken):
        relay = RelayProcess(folder, ROUTES.format(bot=url), store=store)
        try:
            ready = await relay.start()
            assert relay.process
            watch, begun, start = Watch(), taken[0], monotonic()
            async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
                ends = start + seconds
                group.create_task(_send(session, relay, watch, ends))
                group.create_task(_scrape(session, relay, watch, ends, psutil.Process(relay.process.pid)))
                await until(lambda: monotonic() >= ends or taken[0] >= pending, seconds + 5)
                rate = (taken[0] - begun) / (monotonic() - start)
            assert not relay.faults()
            return Figures(
                pending=pending, ready=ready, memory=watch.memory, acks=watch.acks, rate=rate, scrapes=watch.scrapes
            )
        finally:
            await relay.kill()


async def _send(session: aiohttp.ClientSession, relay: RelayProcess, watch: Watch, ends: float) -> None:
    number = 10**7
    while monotonic() < ends:
        number += 1
        start = perf_counter()
        content = body("leads[status][0]", lead(number, "fresh", 1))
        async with session.post(relay.hook, data=content, headers=headers()) as answer:
            assert answer.status == 200, await answer.text()
        watch.acks.append(perf_counter() - start)
        await asyncio.sleep(max(1 / PER_SECOND - (perf_counter() - start), 0))


async def _scrape(
    session: aiohttp.ClientSession, relay: RelayProcess, watch: Watch, ends: float, process: psutil.Process
) -> None:
    while monotonic() < ends:
        start = perf_counter()
        async with session.get(f"{relay.admin}/metrics") as answer:
            await answer.read()
        watch.scrapes.append(perf_counter() - start)
        watch.memory = max(watch.memory, process.memory_info().rss)
        await asyncio.sleep(1.0)


def main() -> None:
    for pending in map(int, sys.argv[1:] or ["10000", "100000", "1000000"]):
        with tempfile.TemporaryDirectory(prefix="relay-backlog-") as folder:
            start = monotonic()
            fill(Path(folder) / "relay.db", pending)
            print(f"filled in {monotonic() - start:.0f} s", file=sys.stderr)
            print(asyncio.run(measure(Path(folder), pending)), flush=True)


if __name__ == "__main__":
    main()
