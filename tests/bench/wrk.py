"""A server, a body, a number of connections -> what wrk measured, and what the server's processor time was."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.bench.processor import cpu_by_thread, cpu_seconds, per_unit
from tests.e2e.processes import run

HERE = Path(__file__).parent
MISSING = "wrk is not installed; on Debian and Ubuntu: apt install wrk"
BODIES = HERE.parent / "amocrm" / "bodies"


class BenchFailed(Exception):
    """A figure that would not have been honest."""


class Server(Protocol):
    """What is measured: where it is posted to, and its processes."""

    @property
    def url(self) -> str:
        """Where webhooks go."""

    @property
    def pids(self) -> Sequence[int]:
        """All of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is posted: a file, see post.lua."""

    body: Path = BODIES / "pipeline-status.form"
    type: str = "application/x-www-form-urlencoded"
    more: Mapping[str, str] = field(default_factory=dict)


WEBHOOK = Content()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of one run. `p50`, `p99`: milliseconds; `cpu`, `threads`: the server's microseconds per request."""

    requests: int
    rate: float
    p50: float
    p99: float
    cpu: float
    threads: Mapping[str, float] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Requests per CPU-second."""
        return 1e6 / self.cpu


async def load(server: Server, *, connections: int, seconds: int, content: Content = WEBHOOK) -> Load:
    """As many requests as that many connections make, each waiting for its answer. BenchFailed if any was not 2xx."""
    start, threads = cpu_seconds(server.pids), cpu_by_thread(server.pids)
    command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s", "--timeout=10s"]
    variables = {"WRK_BODY": str(content.body), "WRK_TYPE": content.type, **content.more}
    code, printed, complaint = await run(*command, f"--script={HERE / 'post.lua'}", server.url, **variables)
    if code:
        raise BenchFailed(f"wrk: {complaint or printed}")
    found = json.loads(printed.splitlines()[-1])
    if found["refused"] or found["broken"] or not found["requests"]:
        raise BenchFailed(f"{server.url}: not all was answered 2xx: {found}")
    spent = cpu_seconds(server.pids) - start
    return Load(
        requests=found["requests"],
        rate=found["requests"] / found["seconds"],
        p50=found["p50"],
        p99=found["p99"],
        cpu=spent / found["requests"] * 1e6,
        threads=per_unit(threads, cpu_by_thread(server.pids), found["requests"]),
    )


def demand_wrk() -> None:
    """BenchFailed, with what to do, where there is none."""
    if not shutil.which("wrk"):
        raise BenchFailed(MISSING)
