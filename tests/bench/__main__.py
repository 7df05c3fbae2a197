"""`make bench`: which benches, how thoroughly -> one table on standard output, and its figures as JSON.

    python -m tests.bench                          all of them, about twenty minutes on two cores
    python -m tests.bench --quick --only acks      to try; its figures say little
    python -m tests.bench --only postgresql        PostgreSQL beside SQLite, which no other run has
    python -m tests.bench --profile                where the relay's time goes; what a webhook costs, by thread

Every figure is a ratio of two sides that took turns, A B A B, in this run on this machine; the table says how many
rounds and how far they lay apart. A round in which others had more than a tenth of the processors is put aside and
repeated, at most as often as there are rounds; if that does not help the table tells how much they had, instead of a
figure. What the relay could do on 1, 4 and 16 cores is computed, and says so (by_thread.py).
"""

import argparse
import asyncio
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import apsw
import psutil

from tests.bench import (
    acks,
    budget,
    by_thread,
    decoding,
    footprint,
    matching,
    peer,
    postgresql,
    profiles,
    rendering,
    through,
)
from tests.bench.rounds import LIMIT, Machine, Others, Plan
from tests.bench.table import Row, table
from tests.bench.wrk import BenchFailed, demand_wrk

Bench = Callable[[Plan], Awaitable[list[Row]]]


async def _backlogs(plan: Plan) -> list[Row]:
    if not importlib.util.find_spec("tests.bench.backlog"):
        print("backlog: skipped, tests/bench/backlog.py is not there", file=sys.stderr)
        return []
    from tests.bench import backlogs

    return await backlogs.measure(plan)


BENCHES: dict[str, Bench] = {
    "matching": matching.measure,
    "decoding": decoding.measure,
    "rendering": rendering.measure,
    "acks": acks.measure,
    "through": through.measure,
    "footprint": footprint.measure,
    "peer": peer.measure,
    "backlog": _backlogs,
    "postgresql": postgresql.measure,
}
BY_NAME_ALONE = {"postgresql"}
IN_PROCESS = {"matching", "decoding", "rendering"}
OTHERS = f"of the processors, which others may have in a round that counts; default: {LIMIT}"


def main() -> None:
    """Exit code 3 if a row has no figure because the machine was taken, 2 if a tool is missing, 1 if a bench failed."""
    options = _options(sys.argv[1:])
    try:
        if not IN_PROCESS.issuperset(options.only):
            demand_wrk()
    except BenchFailed as missing:
        print(missing, file=sys.stderr)
        sys.exit(2)
    with tempfile.TemporaryDirectory(prefix="relay-bench-", dir=options.folder) as folder:
        plan = Plan(
            folder=Path(folder),
            rounds=options.rounds,
            repeats=0 if options.quick else options.rounds,
            limit=options.others,
            seconds=options.seconds,
            quick=options.quick,
        )
        try:
            if options.profile:
                asyncio.run(_profile(plan))
            else:
                rows, machine = asyncio.run(_measure(plan, options.only))
                _tell(plan, rows, machine, options.json)
                sys.exit(3 if any(row.others.taken is not None for row in rows) else 0)
        except BenchFailed as failed:
            print(f"no figures: {failed}", file=sys.stderr)
            sys.exit(1)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="How fast the relay is, beside others.")
    usual = [name for name in BENCHES if name not in BY_NAME_ALONE]
    named = f"default: {', '.join(usual)}"
    parser.add_argument("--only", type=lambda text: text.split(","), default=usual, metavar="NAME,…", help=named)
    parser.add_argument("--json", type=Path, default=Path("bench.json"), metavar="FILE", help="default: bench.json")
    parser.add_argument("--folder", type=Path, help="where the stores are for as long as it takes")
    parser.add_argument("--quick", action="store_true", help="fewer, shorter rounds: to try, not to judge by")
    parser.add_argument("--rounds", type=int, help="default: 7, quick: 2")
    parser.add_argument("--seconds", type=int, help="of each load; default: 2, quick: 1")
    parser.add_argument("--others", type=float, default=LIMIT, metavar="SHARE", help=OTHERS)
    parser.add_argument("--profile", action="store_true", help="write where the time goes to tests/bench/output/")
    options = parser.parse_args(arguments)
    if unknown := set(options.only) - set(BENCHES):
        parser.error(f"--only: no bench {', '.join(sorted(unknown))} (known: {', '.join(BENCHES)})")
    options.rounds = options.rounds or (2 if options.quick else 7)
    options.seconds = options.seconds or (1 if options.quick else 2)
    return options


async def _measure(plan: Plan, names: Sequence[str]) -> tuple[list[Row], dict[str, Any]]:
    """What was measured, and where."""
    machine, start = _machine(), monotonic()
    rows: list[Row] = []
    print(_headline(machine, plan), flush=True)
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        whole = Machine()
        found = await BENCHES[name](plan)
        others = Others(limit=plan.limit, shares=[whole.others()])
        rows += [row if row.others.shares or not row.theirs else replace(row, others=others) for row in found]
    machine["load at the end"] = os.getloadavg()[0]
    machine["seconds it took"] = round(monotonic() - start)
    return rows, machine


def _tell(plan: Plan, rows: Sequence[Row], machine: dict[str, Any], written: Path) -> None:
    document = {"machine": machine, "rounds": plan.rounds, "seconds": plan.seconds, "quick": plan.quick}
    without = sum(row.others.taken is not None for row in rows)
    computed = by_thread.computed(rows)
    document |= {"rows without figures": without, "computed": computed, "rows": [row.document() for row in rows]}
    written.write_text(json.dumps(document, indent=1) + "\n")
    print("\n\n".join(filter(None, ["", table(rows), by_thread.told(computed)])))
    if without:
        print(f"\nNO FIGURES in {without} of {len(rows)} rows: others had more than {plan.limit:.0%} of the processors")
    took, busy = machine["seconds it took"], machine["load at the end"]
    print(f"\n{took} s, load {busy:.1f} at the end; every sample is in {written}")


async def _profile(plan: Plan) -> None:
    print(await budget.measure(plan), flush=True)
    for path in await profiles.profile(plan):
        print(f"{path}\n\n{path.read_text()}")


def _machine() -> dict[str, Any]:
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip() or None,
        "processors": psutil.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "load at the start": os.getloadavg()[0],
    }


def _headline(machine: dict[str, Any], plan: Plan) -> str:
    busy = machine["load at the start"]
    return (
        f"{machine['processors']} processors, Python {machine['python']}, SQLite {machine['sqlite']},"
        f" commit {machine['commit']}; {plan.rounds} rounds of {plan.seconds} s; load {busy:.1f} at the start"
        + (": others are at work here" if busy > 0.5 else "")
        + (" (quick: these figures say little)" if plan.quick else "")
    )


if __name__ == "__main__":
    main()
