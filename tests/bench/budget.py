"""What a webhook costs at 1, 16 and 64 connections, end to end: processor, waits, fsyncs, writes -> one table.

By thread: microseconds of the processor, and how often it slept until something woke it (voluntary context switches).
The calls are counted in a run of its own, under strace, which stops the relay at these calls only; where strace is not
installed they are left out. Written to tests/bench/output/budget.txt.
"""

import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench import leads
from tests.bench.processor import THREADS, tasks, thread_name
from tests.bench.rounds import Plan
from tests.bench.servers import NAMED, Receiver, Relay, receiving, relaying, routes
from tests.bench.table import figure
from tests.bench.through import CONNECTIONS, Post, delivered
from tests.bench.wrk import HERE

OUTPUT = HERE / "output" / "budget.txt"
NUMBERS = (1, 16, 64)
CALLS = ("fsync", "fdatasync", "pwrite64")
SWITCHES = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)", re.MULTILINE)
CALL = re.compile(rf"\b({'|'.join(CALLS)})\(")  # one that was interrupted is resumed without the parenthesis


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of a webhook: milliseconds until its ack, microseconds and waits of each thread."""

    p50: float
    spent: Mapping[str, float]
    waits: Mapping[str, float]


class Traced(Relay):
    """Runs under strace, which writes a line for each of CALLS."""

    @property
    def trace(self) -> Path:
        """Those lines."""
        return self.store.with_name("trace")

    @property
    def arguments(self) -> list[str]:
        trace = [
            "--follow-forks",
            "--seccomp-bpf",
            "--quiet=all",
            f"--trace={','.join(CALLS)}",
            f"--output={self.trace}",
        ]
        return ["strace", *trace, *super().arguments]

    @property
    def pids(self) -> list[int]:
        """What strace runs: it would survive strace's end."""
        return [child.pid for child in psutil.Process(super().pids[0]).children()]

    async def kill(self) -> None:
        """And strace ends with it."""
        if self.process and self.process.returncode is None:
            for pid in self.pids:
                psutil.Process(pid).kill()
            await self.process.wait()


async def measure(plan: Plan, numbers: Sequence[int] = NUMBERS) -> str:
    """The table, which is written, too."""
    content = leads.webhooks(plan.folder)
    posts = [Post(content=content, connections=number) for number in numbers]
    async with receiving() as receiver:
        urls = receiver.urls(1)
        async with relaying(plan.folder / "budget", urls, at_once=CONNECTIONS, command=NAMED) as relay:
            await delivered(plan, relay, receiver, posts[0])
            costs = [await _cost(plan, relay, receiver, post) for post in posts]
        calls = await _calls(plan, receiver, posts)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(told(numbers, costs, calls))
    return f"{OUTPUT}\n\n{OUTPUT.read_text()}"


async def _cost(plan: Plan, relay: Relay, receiver: Receiver, post: Post) -> Cost:
    accepted, waits = await relay.accepted(), _waits(relay)
    found = await delivered(plan, relay, receiver, post)
    events = await relay.accepted() - accepted
    waited = {name: (count - waits[name]) / events for name, count in _waits(relay).items()}
    return Cost(p50=found.p50, spent=found.threads, waits=waited)


def _waits(relay: Relay) -> Counter[str]:
    counted: Counter[str] = Counter()
    for task in tasks(relay.pids[0]):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            [number] = SWITCHES.findall((task / "status").read_text())
            counted[thread_name(task, relay.pids[0])] += int(number)
    return counted


async def _calls(plan: Plan, receiver: Receiver, posts: Sequence[Post]) -> list[Mapping[str, float]]:
    if not shutil.which("strace"):
        return []
    folder = plan.folder / "traced"
    folder.mkdir()
    relay = Traced(folder, routes(receiver.urls(1), CONNECTIONS))
    try:
        await relay.start()
        return [await _counted(plan, relay, receiver, post) for post in posts]
    finally:
        await relay.kill()


async def _counted(plan: Plan, relay: Traced, receiver: Receiver, post: Post) -> Mapping[str, float]:
    before, accepted = calls(relay.trace.read_text()), await relay.accepted()
    await delivered(plan, relay, receiver, post)
    after, events = calls(relay.trace.read_text()), await relay.accepted() - accepted
    return {name: (after[name] - before[name]) / events for name in CALLS}


def calls(trace: str) -> Counter[str]:
    """How many of each there are in strace's lines; one that is interrupted by another thread's has two of them."""
    return Counter(CALL.findall(trace))


def told(numbers: Sequence[int], costs: Sequence[Cost], calls: Sequence[Mapping[str, float]]) -> str:
    """A column for each number of connections, a row for each figure of a webhook."""
    rows = [("connections", *map(str, numbers)), ("p50 of an ack, ms", *(figure(cost.p50) for cost in costs))]
    names = [name for name in THREADS if name in costs[0].spent]
    rows.append(("processor, all threads, µs", *(figure(sum(cost.spent.values())) for cost in costs)))
    rows += [(f"  {name}", *(figure(cost.spent[name]) for cost in costs)) for name in names]
    rows.append(("waits, all threads", *(figure(sum(cost.waits.values())) for cost in costs)))
    rows += [(f"  {name}", *(figure(cost.waits[name]) for cost in costs)) for name in names]
    rows += [(name, *(figure(counted[name]) for counted in calls)) for name in CALLS if calls]
    wide = max(len(row[0]) for row in rows)
    return "".join(f"{row[0]:<{wide}}{''.join(f'{cell:>10}' for cell in row[1:])}\n" for row in rows)
