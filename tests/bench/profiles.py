"""Where the relay's time goes: py-spy beside the load of acks.py and of through.py -> tables by function.

Written to tests/bench/output/: `<name>.txt`, the table, and `<name>.folded`, stacks as flame graph tools read them.
`self` is time in the function itself, `total` with what it calls, both as shares of all samples of a busy thread.
"""

import asyncio
import subprocess
from collections import Counter
from pathlib import Path

from tests.bench.acks import NOWHERE
from tests.bench.rounds import Plan
from tests.bench.servers import Relay, receiving, relaying
from tests.bench.tools import tool
from tests.bench.wrk import HERE, BenchFailed, load

OUTPUT = HERE / "output"
CONNECTIONS = 64
PER_SECOND = 200
SHOWN = 40


async def profile(plan: Plan) -> list[Path]:
    """The tables that were written: intake alone, and with deliveries."""
    OUTPUT.mkdir(exist_ok=True)
    async with relaying(plan.folder / "profile-acks", NOWHERE) as relay:
        await relay.pause()
        acks = await _recorded(plan, relay, "acks")
    async with receiving() as receiver:
        folder = plan.folder / "profile-through"
        async with relaying(folder, receiver.urls(1), at_once=CONNECTIONS) as relay:
            through = await _recorded(plan, relay, "through")
    return [acks, through]


async def _recorded(plan: Plan, relay: Relay, name: str) -> Path:
    seconds = max(2 * plan.seconds, 2)
    folded = OUTPUT / f"{name}.folded"
    options = ["--format=raw", f"--output={folded}", f"--rate={PER_SECOND}", f"--duration={seconds}", "--threads"]
    command = [str(tool("py-spy")), "record", f"--pid={relay.pids[0]}", *options]
    spy = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    await load(relay, connections=CONNECTIONS, seconds=seconds + 1)
    _, complaint = await spy.communicate()
    if spy.returncode:
        raise BenchFailed(f"py-spy: {complaint.decode()[-500:]}")
    written = OUTPUT / f"{name}.txt"
    written.write_text(shares(folded.read_text()))
    return written


def shares(folded: str) -> str:
    """`thread;outer;inner 7` a line -> a table of functions, those with most time of their own first."""
    alone: Counter[str] = Counter()
    together: Counter[str] = Counter()
    threads: Counter[str] = Counter()
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        thread, *frames = map(_function, stack.split(";"))
        threads[thread] += int(count)
        if frames:
            alone[frames[-1]] += int(count)
        for each in set(frames):
            together[each] += int(count)
    total = threads.total() or 1
    lines = ["thread", *(f"{count / total:7.1%}  {name}" for name, count in threads.most_common())]
    lines += ["", "   self    total  function"]
    lines += [
        f"{alone[each] / total:7.1%}  {together[each] / total:7.1%}  {each}" for each, _ in alone.most_common(SHOWN)
    ]
    lines += ["", "   self    total  function, by total"]
    lines += [
        f"{alone[each] / total:7.1%}  {together[each] / total:7.1%}  {each}" for each, _ in together.most_common(SHOWN)
    ]
    return "\n".join(lines) + "\n"


def _function(frame: str) -> str:
    """`_take (relay/ingest/endpoint.py:107)` -> without its line: one function is one row."""
    head, colon, number = frame.rpartition(":")
    return f"{head})" if colon and number.rstrip(")").isdigit() else frame
