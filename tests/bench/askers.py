"""Acks beside operators who ask: 100 webhooks a second, with ten askers and without, in rounds that take turns.

    python -m tests.bench.askers                             both stores, 1,000,000 deliveries: 15 minutes
    python -m tests.bench.askers --deliveries=20000 --rounds=2 --seconds=3     to try; its figures say little
    python -m tests.bench.askers --ask=pages --followers=64  pages of the console and live followers in place of the API

Judged is the p99 of the acks: the median of the rounds with askers by that of the rounds without must be at most 1.3,
and should be at most 1.1. With followers the memory must not grow by more than 20 MB either. Ends with 1 if it does,
with 3 if others had too much of the machine. Each asker asks one question a second, whatever the answer takes; one
follower never reads. Deliveries go on meanwhile, to a receiver.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from tests.bench import leads, questions
from tests.bench.database import serving
from tests.bench.footprint import MEGABYTE
from tests.bench.rounds import LIMIT, Others, Plan, alternating
from tests.bench.servers import Relay, paced, receiving, routes
from tests.bench.table import Goal, Row, table
from tests.bench.wrk import BenchFailed, Content
from tests.e2e.processes import variables

RATE = 100
ASKERS = 10
EVERY = 1.0
WARM = 2.0  # seconds of each load before what is measured
P99_GOAL = Goal(at_most=1.3, aim=1.1)
MEMORY_GOAL = Goal(at_most=20)
FOREVER = "retention: {delivered: forever, dead: forever, unrouted: forever, unparsed: forever}\n"

_A_WEEK_AGO = (
    f"since={questions.WEEK:%Y-%m-%dT%H:%M:%SZ}&until={questions.WEEK + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
)
API = [
    f"/api/v1{path}"
    for path in (
        "/status",
        "/deliveries",
        "/deliveries?id=4711",
        "/deliveries?state=dead",
        "/deliveries?state=pending",
        f"/deliveries?{_A_WEEK_AGO}",
        "/deliveries?source=crm&account=1",
        "/deliveries?account=2",
        "/deliveries?reason=5xx",
        "/deliveries?pipeline=99999",
        "/deliveries?target=nobody",
        "/entities/leads/4711/events",
        "/attempts",
        f"/attempts?{_A_WEEK_AGO}",
        "/attempts?failed=true",
        "/attempts?failed=true&target=nobody",
        "/unrouted",
        "/unrouted?by=type",
        "/refused",
        "/targets",
        "/events",
        "/events/{newest}",
        "/webhooks/{newest}",
        "/unparsed",
        "/audit",
    )
]
PAGES = ["/", "/deliveries", "/deliveries?state=dead", "/deliveries?id=4711", f"/deliveries?{_A_WEEK_AGO}"]
STREAM = "/api/v1/tail"
ASK = {"api": API, "pages": PAGES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Who asks: each of `askers` one of `paths` a second, while `followers` read the stream of `follow`."""

    paths: Sequence[str] = tuple(API)
    askers: int = ASKERS
    followers: int = 0
    follow: str = STREAM


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one side of a round: milliseconds to an ack, megabytes resident, milliseconds of each answer by path."""

    p50: float
    p99: float
    longest: float
    memory: float
    answers: dict[str, list[float]] = field(default_factory=dict)


# ---- one store


async def measure(plan: Plan, load: Load, kind: str, deliveries: int) -> list[Row]:
    """Print what each path took, and return the rows of a store of this kind; {newest} of a path is an event's id."""
    load = replace(load, paths=[each.replace("{newest}", f"e{deliveries // 2}") for each in load.paths])
    with serving() as (server, folder):
        url = server.dsn(server.new_database()) if kind == "postgresql" else ""
        async with receiving() as receiver, _filled(folder, url, deliveries, receiver.urls(1)) as relay:
            content = leads.webhooks(plan.folder)
            for asked in (False, True):
                await _sample(relay, content, load, WARM, asked=asked)
            sides = {
                name: partial(_sample, relay, content, load, plan.seconds, asked=name == "asked")
                for name in ("alone", "asked")
            }
            rounds = await alternating(plan, **sides)
    print(_by_path(kind, rounds.samples["asked"]), flush=True)
    return _rows(f"{kind}, {deliveries:,} deliveries", rounds.samples, rounds.others, load)


@asynccontextmanager
async def _filled(folder: Path, url: str, deliveries: int, urls: Sequence[str]) -> AsyncIterator[Relay]:
    """A relay on a store with this history; it forgets nothing of it."""
    relay = Relay(folder, routes(urls) + FOREVER, store=url)
    if url:
        await (await questions.postgres(url, deliveries // 2)).close()
    else:
        await (await questions.sqlite(relay.store, deliveries // 2)).close()
    try:
        await relay.start()
        yield relay
    finally:
        await relay.kill()


async def _sample(relay: Relay, content: Content, load: Load, seconds: float, *, asked: bool) -> Figures:
    asking = asyncio.create_task(_answers(relay, load, seconds)) if asked else None
    kept = await paced(relay, RATE, seconds, content)
    answers = await asking if asking else {}
    memory = psutil.Process(relay.pids[0]).memory_info().rss / MEGABYTE
    return Figures(p50=kept["p50"], p99=kept["p99"], longest=kept["max"], memory=memory, answers=answers)


async def _answers(relay: Relay, load: Load, seconds: float) -> dict[str, list[float]]:
    """The milliseconds of each answer, by path; BenchFailed if one was no 2xx."""
    asked: dict[str, Any] = {
        "base": relay.admin,
        "paths": [*load.paths],
        "askers": load.askers,
        "every": EVERY,
        "seconds": seconds,
        "follow": load.follow,
        "followers": load.followers,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.asking"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=variables(),
    )
    try:
        printed, complaint = await process.communicate(json.dumps(asked).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise BenchFailed(f"asking: {complaint.decode()[-500:]}")
    answers: dict[str, list[float]] = json.loads(printed)["took"]
    return answers


# ---- rows


def _rows(store: str, samples: dict[str, list[Figures]], others: Others, load: Load) -> list[Row]:
    def row(what: str, unit: str, name: str, goal: Goal | None = None) -> Row:
        asked, alone = ([getattr(each, name) for each in samples[side]] for side in ("asked", "alone"))
        return Row(
            bench=f"acks beside {load.askers} askers and {load.followers} followers, {store}",
            what=what,
            unit=unit,
            ours=[median(asked)] if goal else asked,
            beside="alone",
            theirs=[median(alone)] if goal else alone,
            goal=goal,
            others=others,
        )

    grown = median(each.memory for each in samples["asked"]) - median(each.memory for each in samples["alone"])
    return [
        row("p50", "ms", "p50"),
        row("p99", "ms", "p99"),
        row("p99, medians", "ms", "p99", P99_GOAL),
        row("longest", "ms", "longest"),
        row("memory", "MB", "memory"),
        Row(
            bench=f"acks beside {load.askers} askers and {load.followers} followers, {store}",
            what="memory, grown by",
            unit="MB",
            ours=[grown],
            goal=MEMORY_GOAL if load.followers else None,
            others=others,
        ),
    ]


def _by_path(kind: str, rounds: Sequence[Figures]) -> str:
    took: dict[str, list[float]] = defaultdict(list)
    for each in rounds:
        for path, answers in each.answers.items():
            took[path] += answers
    lines = []
    for path, answers in took.items():
        answers.sort()
        p50, p99 = answers[len(answers) // 2], answers[len(answers) * 99 // 100]
        lines.append(f"{kind:10} {path:75} {len(answers):4} p50 {p50:6.1f} p99 {p99:6.1f} ms")
    return "\n".join(lines)


# ---- by hand


async def main(options: argparse.Namespace) -> int:
    """Print the table; the exit code."""
    load = Load(paths=ASK[options.ask], askers=options.askers, followers=options.followers, follow=options.follow)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        plan = Plan(
            folder=Path(folder),
            rounds=options.rounds,
            repeats=options.rounds,
            limit=options.others,
            seconds=options.seconds,
        )
        for kind in options.store:
            rows += await measure(plan, load, kind, options.deliveries)
    print(table(rows))
    if any(row.others.taken is not None for row in rows):
        return 3
    return int(not all(row.goal.met(row.judged) for row in rows if row.goal))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.askers", description="Acks beside who asks.")
    parser.add_argument("--store", type=lambda text: text.split(","), default=["sqlite", "postgresql"])
    parser.add_argument("--deliveries", type=int, default=questions.DELIVERIES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=15, help="of each side of a round")
    parser.add_argument("--ask", choices=ASK, default="api")
    parser.add_argument("--askers", type=int, default=ASKERS)
    parser.add_argument("--followers", type=int, default=0)
    parser.add_argument("--follow", default=STREAM, metavar="PATH")
    parser.add_argument(
        "--others", type=float, default=LIMIT, metavar="SHARE", help="of the processors, others' at most"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(_options(sys.argv[1:]))))
    except BenchFailed as failed:
        print(f"no figures: {failed}", file=sys.stderr)
        sys.exit(1)
