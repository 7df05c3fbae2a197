"""What a relay costs that has nothing to do, and one with 10 events a second; what it costs to import and to start.

Shares of one core by the kernel's count of processor time; memory is what is resident, in millions of bytes.
"""

import asyncio
import sys
from time import monotonic

import psutil

from tests.bench.acks import NOWHERE
from tests.bench.processor import cpu_seconds
from tests.bench.rounds import Plan, alternating
from tests.bench.servers import Relay, listening, made, paced, receiving, relaying
from tests.bench.table import Goal, Row
from tests.bench.wrk import BenchFailed
from tests.e2e.processes import RELAY, run

RATE = 10
IDLE_GOAL = Goal(at_most=0.5)
MEMORY_GOAL = Goal(at_most=80)
MEGABYTE = 1_000_000


async def measure(plan: Plan) -> list[Row]:
    """All four."""
    seconds = plan.seconds if plan.quick else 20
    async with receiving() as receiver, relaying(plan.folder / "footprint", receiver.urls(1)) as relay:
        await asyncio.sleep(min(3, seconds))  # what a start leaves to be done
        rows = _rows("idle", relay, await _share(relay, asyncio.sleep(seconds), seconds), IDLE_GOAL, MEMORY_GOAL)
        busy = min(seconds, 15)
        rows += _rows(f"{RATE} events/s", relay, await _share(relay, paced(relay, RATE, busy), busy))
        await receiver.has(RATE * busy)
    return [*rows, *await _starts(plan)]


async def _share(relay: Relay, meanwhile: object, seconds: float) -> float:
    """Percent of a core."""
    start, spent = monotonic(), cpu_seconds(relay.pids)
    await meanwhile  # type: ignore[misc]
    took = monotonic() - start
    if took < 0.9 * seconds:
        raise BenchFailed(f"it was watched for {took:.1f} s instead of {seconds:.1f} s")
    return (cpu_seconds(relay.pids) - spent) / took * 100


def _rows(what: str, relay: Relay, share: float, goal: Goal | None = None, memory: Goal | None = None) -> list[Row]:
    resident = psutil.Process(relay.pids[0]).memory_info().rss / MEGABYTE
    return [
        Row(bench="footprint", what=f"{what}, processor", unit="% of a core", ours=[share], goal=goal),
        Row(bench="footprint", what=f"{what}, memory", unit="MB", ours=[resident], goal=memory),
    ]


async def _starts(plan: Plan) -> list[Row]:
    rounds = await alternating(
        plan,
        python=lambda: _wall(sys.executable, "-c", "pass"),
        version=lambda: _wall(*RELAY, "--version"),
        imports=lambda: _wall(sys.executable, "-c", "import relay.cli.run, relay.daemon.wiring"),
        ready=lambda: _ready(plan),
    )
    samples, others = rounds.samples, rounds.others
    python = {
        "bench": "footprint",
        "unit": "s",
        "beside": "python -c pass",
        "theirs": samples["python"],
        "others": others,
    }
    return [
        Row(what="relay --version", ours=samples["version"], **python),
        Row(what="import of the daemon", ours=samples["imports"], **python),
        Row(bench="footprint", what="start until /readyz", unit="s", ours=samples["ready"], others=others),
    ]


async def _wall(*command: str) -> float:
    start = monotonic()
    code, _, complaint = await run(*command)
    if code:
        raise BenchFailed(f"{command}: {complaint}")
    return monotonic() - start


async def _ready(plan: Plan) -> float:
    """From its start until it says that it can commit; the store is there, as after any restart."""
    relay = made(plan.folder / "starts", NOWHERE)
    try:
        start = monotonic()
        await relay.spawn()
        assert relay.process
        await listening(relay.process, relay.admin_port)
        await relay.get("/readyz")
        return monotonic() - start
    finally:
        await relay.kill()
