"""Durable acks: a relay whose one target is paused ÷ a bare handler. Rates, latencies, processor time per webhook.

The processor time is that of the server's process, all threads of it (schedstat); wrk's is not counted, but it has its
share of the processors, and so of the rates. Each body is of another of a thousand leads (leads.py), on both sides.
Paused, so that the figure is intake alone: decode, match, commit with synchronous=FULL, answer. Also over disks whose
fsync takes 5 and 20 ms longer (slow_fsync.c, preloaded; the bare handler has no disk and stays as it is).
wrk asks again only once it is answered: the latencies are those of a closed loop.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from tests.bench import leads
from tests.bench.by_thread import rows_by_thread
from tests.bench.rounds import Others, Plan, alternating
from tests.bench.servers import NAMED, Relay, other, relaying
from tests.bench.table import Goal, Row
from tests.bench.wrk import HERE, BenchFailed, Load, Server, load

CONNECTIONS = (1, 16, 64)
DELAYS = (5, 20)
THREADS_AT = 64
"""Connections at which the processor time is told by thread."""
GOALS = {16: Goal(at_least=0.38, aim=0.45), 64: Goal(at_least=0.5, aim=0.6)}
P99_GOALS = {64: Goal(at_most=2.5, aim=2)}
CPU_GOALS = {64: Goal(at_most=1.8, aim=1.5)}
NOWHERE = ["http://127.0.0.1:9/"]  # a paused target is never asked


async def measure(plan: Plan, connections: Sequence[int] = CONNECTIONS, delays: Sequence[int] = DELAYS) -> list[Row]:
    """Each number of connections with each disk."""
    async with AsyncExitStack() as stack:
        bare = await stack.enter_async_context(other("bare"))
        relays = {}
        for delay in (0, *_possible(delays, plan.folder)):
            relays[delay] = await stack.enter_async_context(
                relaying(plan.folder / f"acks-{delay}", NOWHERE, command=NAMED, **_slowed(plan.folder, delay))
            )
            await relays[delay].pause()
            await _demand_slow(relays[delay], delay)
        rows = [row for number in connections for row in await _at(plan, number, bare, relays)]
        for relay in relays.values():
            await demand_stored(relay)
        return rows


async def _at(plan: Plan, connections: int, bare: Server, relays: dict[int, Relay]) -> list[Row]:
    content = leads.webhooks(plan.folder)
    sides: dict[str, Server] = {"bare": bare, **{str(delay): relay for delay, relay in relays.items()}}
    rounds = await alternating(
        plan,
        **{
            name: partial(load, server, connections=connections, seconds=plan.seconds, content=content)
            for name, server in sides.items()
        },
    )
    rows = []
    for delay in relays:
        rows += _rows(connections, delay, rounds.samples[str(delay)], rounds.samples["bare"], rounds.others)
    if connections == THREADS_AT:
        rows += rows_by_thread(f"acks, {connections} connections", rounds.samples["0"], rounds.others)
    return rows


async def demand_stored(relay: Relay) -> None:
    """A webhook that no route takes, or that is not kept, would be answered sooner."""
    accepted = await relay.accepted()
    await asyncio.sleep(1.5)  # the backlog's gauge is up to a second late
    pending = await relay.pending()
    if not 0 < accepted <= pending:
        raise BenchFailed(f"{accepted} webhooks were accepted, and {pending} deliveries are stored")


def _rows(connections: int, delay: int, ours: list[Load], theirs: list[Load], others: Others) -> list[Row]:
    def row(what: str, unit: str, name: str, goal: Goal | None = None) -> Row:
        return Row(
            bench="durable acks",
            what=f"{connections} connection{'s'[: connections != 1]}{f', fsync + {delay} ms' if delay else ''}, {what}",
            unit=unit,
            ours=[getattr(each, name) for each in ours],
            beside="bare handler",
            theirs=[getattr(each, name) for each in theirs],
            goal=None if delay else goal,
            others=others,
        )

    return [
        row("acks", "/s", "rate", GOALS.get(connections)),
        row("p50", "ms", "p50"),
        row("p99", "ms", "p99", P99_GOALS.get(connections)),
        row("processor", "µs/ack", "cpu", CPU_GOALS.get(connections)),
        row("acks per CPU-second", "/CPU s", "per_second"),
    ]


# ---- slow disks


def _possible(delays: Sequence[int], folder: Path) -> Sequence[int]:
    if not delays:
        return ()
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler or not sys.platform.startswith("linux"):
        print("durable acks: no gcc, so no slow disk; on Debian and Ubuntu: apt install gcc", file=sys.stderr)
        return ()
    source, shim = str(HERE / "slow_fsync.c"), str(_shim(folder))
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", shim, source, "-ldl"], check=True)
    return delays


def _shim(folder: Path) -> Path:
    return folder / "slow_fsync.so"


def _slowed(folder: Path, delay: int) -> dict[str, str]:
    if not delay:
        return {}
    preloaded = os.pathsep.join(filter(None, [str(_shim(folder)), os.environ.get("LD_PRELOAD")]))
    return {"LD_PRELOAD": preloaded, "SLOW_FSYNC_MS": str(delay)}


async def _demand_slow(relay: Relay, delay: int) -> None:
    """A shim that is not preloaded would give a figure that is too good."""
    one = await load(relay, connections=1, seconds=1)
    if one.p50 < delay:
        raise BenchFailed(f"an ack takes {one.p50:.1f} ms over a disk that was to take {delay} ms longer")
