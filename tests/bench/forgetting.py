"""`relay forget --now` beside 100 webhooks a second: acks, how long it takes, and what is left of the person.

    python -m tests.bench.forgetting                         both stores, 200,000 webhooks: 15 minutes
    python -m tests.bench.forgetting --webhooks=5000 --kills=2 --store=postgresql

One webhook of 500 is about the person. The command is killed, -9, `--kills` times at moments spread over a run, and
repeated to its end, all beside the load. Ends with 1 if an ack took more than 2 s, or something of the person is left:
a byte in a file of SQLite's store, a live row of PostgreSQL.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import apsw
import psycopg

from relay.store.contract import Archive
from relay.store.postgres.erasure import REWRITTEN
from relay.store.postgres.store import PostgresStore
from relay.store.requests import KeepRequest
from relay.store.sqlite.store import SqliteStore
from tests.bench import leads
from tests.bench.askers import FOREVER, RATE
from tests.bench.database import serving
from tests.bench.questions import END, EVERY
from tests.bench.servers import Relay, paced, receiving, routes
from tests.bench.wrk import BenchFailed, Content
from tests.e2e.processes import RELAY, variables
from tests.store.conftest import to
from tests.store.test_erasure import FORD, PERSON, ZAPHOD, arrived

WITHIN = 2_000.0  # milliseconds for an ack
LOAD = 10.0  # seconds of one load; they follow each other
ONE_OF = 500
TOGETHER = 200
CANARIES = (b"Zaphod", b"Beeblebrox", b"123-45-67")
NOTE = "called twice, wants to be called again on Monday; " * 12

_DELIVERED = """
update deliveries set state = 'delivered', attempt = 1, due_at = null, settled_at = pending_since + 50
"""
_ATTEMPTS = """
insert into attempts (event, target, number, started_at, took_us, verdict, reason, status, detail, late)
select event, target, 1, pending_since + 5, 40000, 'delivered', '2xx', 200, '', 0 from deliveries
"""


@dataclass(slots=True)
class Acks:
    """What the loads said."""

    sent: int = 0
    p99s: list[float] = field(default_factory=list)
    longest: float = 0.0

    def __str__(self) -> str:
        return f"{self.sent} acks, p99 of {LOAD:.0f} s at most {max(self.p99s):.0f} ms, longest {self.longest:.0f} ms"


async def measure(folder: Path, kind: str, webhooks: int, kills: int) -> bool:
    """Print what happened with a store of this kind; whether all is well."""
    with serving() as (server, on_disk):
        url = server.dsn(server.new_database()) if kind == "postgresql" else ""
        async with receiving() as receiver, _filled(on_disk, url, webhooks, receiver.urls(1)) as relay:
            content = leads.webhooks(folder)
            if not (left_in(url) if url else _bytes(relay.store)):
                raise BenchFailed("nothing of the person is found before")
            alone = await _loaded(relay, content, asyncio.sleep(LOAD))
            print(f"{kind}, {webhooks:,} webhooks, alone: {alone}", flush=True)
            acks = await _loaded(relay, content, _forgotten(relay, kills))
            left = left_in(url) if url else _bytes(relay.store)
        print(f"{kind}: beside it {acks}; left of the person: {', '.join(left) or 'nothing'}", flush=True)
        return acks.longest <= WITHIN and not left


@asynccontextmanager
async def _filled(folder: Path, url: str, webhooks: int, urls: Sequence[str]) -> AsyncIterator[Relay]:
    relay = Relay(folder, routes(urls) + FOREVER, store=url)
    begun = monotonic()
    if url:
        shared = PostgresStore(url, name="fill", emit=lambda _signal: None)
        await shared.ready()
        await _keep(shared, webhooks)
        with psycopg.connect(url, autocommit=True) as connection:
            for sql in (_DELIVERED, _ATTEMPTS, "vacuum analyze"):
                connection.execute(sql.encode())
    else:
        owner = SqliteStore.open(relay.store, now=END, emit=lambda _signal: None, failed=lambda: None)
        await _keep(owner, webhooks)
        with apsw.Connection(str(relay.store)) as file:
            file.execute(_DELIVERED + ";" + _ATTEMPTS)
    print(f"filled in {monotonic() - begun:.0f} s", file=sys.stderr)
    try:
        await relay.start()
        yield relay
    finally:
        await relay.kill()


async def _keep(store: Archive, webhooks: int) -> None:
    """A webhook each 10 s up to now, each about a person."""
    for first in range(0, webhooks, TOGETHER):
        kept = asyncio.get_running_loop().create_future()
        store.keep_many(
            [_webhook(number, webhooks) for number in range(first, min(first + TOGETHER, webhooks))], kept.set_result
        )
        if failed := [each for each in await kept if isinstance(each, Exception)]:
            raise BenchFailed(f"not filled: {failed[0]}")
    await store.close()


def _webhook(number: int, webhooks: int) -> KeepRequest:
    person = ZAPHOD if number % ONE_OF == 7 else {**FORD, "id": str(1_000 + number)}
    at = END - (webhooks - number) * EVERY
    return KeepRequest(*arrived(number, to("bot0"), at=at, contacts={"add": [{**person, "note": NOTE}]}))


# ---- the command, and the load beside it


async def _loaded(relay: Relay, content: Content, work: Any) -> Acks:
    acks, working = Acks(), asyncio.ensure_future(work)
    while not working.done():
        kept = await paced(relay, RATE, LOAD, content)
        acks.sent += kept["sent"]
        acks.p99s.append(kept["p99"])
        acks.longest = max(acks.longest, kept["max"])
    await working
    return acks


async def _forgotten(relay: Relay, kills: int) -> None:
    """Kill the command at moments that come later each time, and in the midst of a rewriting; then let it end."""
    for number in range(kills):
        await _killed(await _started(relay), asyncio.sleep(2.0**number))
        print(f"  killed after {2**number} s", flush=True)
    if relay.store_url.startswith("postgresql:") and kills:
        process = await _started(relay)
        await _killed(process, _rewrites(relay.store_url, process))
        print("  killed while events are rewritten", flush=True)
    begun = monotonic()
    process = await _started(relay)
    printed, complaint = await process.communicate()
    if process.returncode:
        raise BenchFailed(f"relay forget: {complaint.decode()[-500:]}")
    done = json.loads(printed)
    print(
        f"  ended after {monotonic() - begun:.1f} s: {sum(done['events'].values())} events in {done['webhooks']}"
        f" webhooks, waits for {done['waits_for'] or 'nobody'}",
        flush=True,
    )


async def _killed(process: asyncio.subprocess.Process, moment: Coroutine[Any, Any, None]) -> None:
    """BenchFailed if it has ended before."""
    await moment
    if process.returncode is not None:
        raise BenchFailed(f"it ended with {process.returncode} before it was killed: fewer kills, or more webhooks")
    process.kill()
    await process.communicate()


async def _rewrites(url: str, process: asyncio.subprocess.Process) -> None:
    """Wait until the command has `events` rewritten."""
    sql = b"select 1 from pg_stat_activity where query = 'vacuum full events' and state = 'active'"
    with psycopg.connect(url, autocommit=True) as connection:
        while process.returncode is None and not connection.execute(sql).fetchall():  # noqa: ASYNC110  the server
            await asyncio.sleep(0.02)


async def _started(relay: Relay) -> asyncio.subprocess.Process:
    asked = ("forget", f"--entity={PERSON.entity}", f"--id={PERSON.id}", "--now", "--json")
    return await asyncio.create_subprocess_exec(
        *RELAY,
        *asked,
        f"--store={relay.store_url}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=variables(RELAY_CONFIG=str(relay.routes)),
    )


# ---- what is left


def _bytes(store: Path) -> list[str]:
    """Files of the store with a canary in them."""
    return [
        f"{canary.decode()} in {path.name}"
        for path in sorted(store.parent.glob(f"{store.name}*"))
        for canary in CANARIES
        if canary in path.read_bytes()
    ]


def left_in(url: str) -> list[str]:
    """Tables of a database with a live row that has a canary, also in bytes."""
    found = []
    with psycopg.connect(url, autocommit=True) as connection:
        for table in REWRITTEN:
            for canary in CANARIES:
                patterns = [f"%{canary.decode()}%", f"%{canary.hex()}%"]
                sql = f"select count(*) from {table} t where t::text like any(%s::text[])"
                [(number,)] = connection.execute(sql.encode(), (patterns,)).fetchall()
                found += [f"{canary.decode()} in {number} rows of {table}"] if number else []
    return found


async def main(options: argparse.Namespace) -> int:
    """The exit code."""
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        well = [await measure(Path(folder), kind, options.webhooks, options.kills) for kind in options.store]
    return int(not all(well))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.forgetting", description="relay forget --now at load.")
    parser.add_argument("--store", type=lambda text: text.split(","), default=["sqlite", "postgresql"])
    parser.add_argument("--webhooks", type=int, default=200_000)
    parser.add_argument("--kills", type=int, default=4)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(_options(sys.argv[1:]))))
    except BenchFailed as failed:
        print(f"failed: {failed}", file=sys.stderr)
        sys.exit(1)
