"""A server, a body, a number of connections -> what wrk measured, and what the server's processor time was."""

import json
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import psutil

from tests.e2e.processes import run

HERE = Path(__file__).parent
MISSING = "wrk is not installed; on Debian and Ubuntu: apt install wrk"
BODIES = HERE.parent / "amocrm" / "bodies"

T = TypeVar("T")


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
class Plan:
    """How much is measured. `quick` is for trying: fewer cases too."""

    folder: Path
    rounds: int = 5
    seconds: int = 2
    quick: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is posted: a file, see post.lua."""

    body: Path = BODIES / "pipeline-status.form"
    type: str = "application/x-www-form-urlencoded"
    more: Mapping[str, str] = field(default_factory=dict)


WEBHOOK = Content()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of one run. `p50`, `p99`: milliseconds; `cpu`: microseconds of the server's per request."""

    requests: int
    rate: float
    p50: float
    p99: float
    cpu: float


async def load(server: Server, *, connections: int, seconds: int, content: Content = WEBHOOK) -> Load:
    """As many requests as that many connections make, each waiting for its answer. BenchFailed if any was not 2xx."""
    start = cpu_seconds(server.pids)
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
    )


async def alternating(rounds: int, **sides: Callable[[], Awaitable[T]]) -> dict[str, list[T]]:
    """A B A B …: each side's samples, the n-th of each from the same round."""
    samples: dict[str, list[T]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, sample in sides.items():
            samples[name].append(await sample())
    return samples


def cpu_seconds(pids: Sequence[int]) -> float:
    """Of the processor, of all threads there are: on Linux in nanoseconds, elsewhere in hundredths of a second."""
    return sum(map(_of_process, pids))


def _of_process(pid: int) -> float:
    try:
        return sum(_scheduled(task) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9
    except FileNotFoundError:  # no schedstat on this system
        times = psutil.Process(pid).cpu_times()
        return times.user + times.system


def _scheduled(task: Path) -> int:
    """Nanoseconds on a processor (Documentation/scheduler/sched-stats.rst)."""
    return int((task / "schedstat").read_bytes().split()[0])


def demand_wrk() -> None:
    """BenchFailed, with what to do, where there is none."""
    if not shutil.which("wrk"):
        raise BenchFailed(MISSING)
