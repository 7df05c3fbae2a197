"""A PostgreSQL of the bench's own, and what a relay on it costs: its own processor time and the server's.

It has fsync on, and PostgreSQL's default settings; stores of SQLite are beside it on its disk.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.bench.processor import cpu_seconds
from tests.bench.rounds import Others, Plan
from tests.bench.servers import Relay
from tests.bench.table import Row
from tests.bench.wrk import BenchFailed, Content, load
from tests.postgres import Cluster, cluster, installations

MISSING = "PostgreSQL is not installed; on Debian and Ubuntu: apt install postgresql"
SETTINGS = {"shared_buffers": "128MB", "max_wal_size": "1GB", "min_wal_size": "80MB"}
"""PostgreSQL's defaults; the tests' own clusters have less."""


@contextmanager
def serving() -> Iterator[tuple[Cluster, Path]]:
    """The server, and a folder on its disk. BenchFailed, with what to do, where there is none."""
    if not installations():
        raise BenchFailed(MISSING)
    with cluster(durable=True, **SETTINGS) as server, TemporaryDirectory(dir=server.folder) as folder:
        yield server, Path(folder)


def database_seconds(server: Cluster) -> float:
    """Seconds of the processor of all its processes so far; of those that have ended in hundredths of a second."""
    if not (processes := server.processes()):
        return 0.0
    spent = 0.0
    for each in processes:
        with suppress(FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):  # one that has just ended
            spent += cpu_seconds([each.pid])
    times = processes[0].cpu_times()
    return spent + times.children_user + times.children_system


def transactions(server: Cluster) -> int:
    """Committed so far, in all databases; some are told only when their session is idle for a second."""
    with server.admin() as connection:
        found = connection.execute("select sum(xact_commit)::bigint from pg_stat_database").fetchone()
    assert found
    return int(found[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one load: webhooks or deliveries a second, microseconds of the processor for each, milliseconds to an ack."""

    rate: float
    relay: float
    database: float
    p50: float = 0.0
    p99: float = 0.0

    @property
    def both(self) -> float:
        """The relay's and PostgreSQL's."""
        return self.relay + self.database


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all of it is measured with: `folder` is on the disk of `server`, `content` what is posted."""

    plan: Plan
    server: Cluster
    folder: Path
    content: Content

    def url(self) -> str:
        """A store's, in an empty database."""
        return self.server.dsn(self.server.new_database())

    def spent(self, relay: Relay) -> float:
        """Seconds of PostgreSQL's processor so far, if that is the relay's store."""
        return database_seconds(self.server) if relay.store_url.startswith("postgresql:") else 0.0


async def acked(bench: Bench, relay: Relay, connections: int) -> Figures:
    """Measure one load of a relay whose target is paused."""
    start = bench.spent(relay)
    found = await load(relay, connections=connections, seconds=bench.plan.seconds, content=bench.content)
    database = (bench.spent(relay) - start) / found.requests * 1e6
    return Figures(rate=found.rate, relay=found.cpu, database=database, p50=found.p50, p99=found.p99)


# ---- rows


def rows_of(
    bench: str, what: str, names: dict[str, tuple[str, str]], samples: dict[str, list[Figures]], others: Others
) -> list[Row]:
    """A row for each of these figures; what only PostgreSQL has stands beside nothing."""

    def of(side: str, name: str) -> list[float]:
        return [getattr(each, name) for each in samples[side]]

    return [
        Row(
            bench=bench,
            what=f"{what}, {told}",
            unit=unit,
            ours=of("postgresql", name),
            beside="" if name == "database" else "SQLite",
            theirs=[] if name == "database" else of("sqlite", name),
            others=others,
        )
        for name, (told, unit) in names.items()
    ]


def costs(per: str) -> dict[str, tuple[str, str]]:
    """Names of `Figures`, for `rows_of`: what they are called, and their unit."""
    return {
        "relay": ("processor, relay", f"µs/{per}"),
        "database": ("processor, PostgreSQL", f"µs/{per}"),
        "both": ("processor, both", f"µs/{per}"),
    }


def number_of(connections: int) -> str:
    """For the table."""
    return f"{connections} connection{'s'[: connections != 1]}"
