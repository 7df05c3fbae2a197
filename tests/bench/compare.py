"""Two commits in turn, A B A B: what a webhook costs of the processor, until its ack and until its delivery.

    make bench-compare BASE=f576889                     this tree beside that commit, in about four minutes
    make bench-compare BASE=f576889 ARGS='--head main'  main beside it
    make bench-compare BASE=f576889 ARGS=--quick        to try; nothing is judged

Both sides run on this .venv, with bodies of a thousand leads (leads.py), each in processes of its own that are all
there all the time and take turns at being asked. What is judged is the kernel's count of processor time for a webhook;
the ratio of each pair, the median of those, and from where to where they lie. If they lie far apart it says that the
two are not distinguishable, not that they are as good. Rates and latencies are told and not judged: they move with
the other load of the machine, which is printed; above a limit (rounds.py) they are left out. Processor time is judged
all the same: both sides run the same kind of code. The exit code is 1 if a webhook costs more than before.
"""

import argparse
import asyncio
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import leads
from tests.bench.acks import NOWHERE, demand_stored
from tests.bench.rounds import Others, Plan, Rounds, alternating
from tests.bench.servers import Receiver, Relay, receiving, routes
from tests.bench.table import Row, figure, table
from tests.bench.through import CONNECTIONS, Post, Through, delivered
from tests.bench.wrk import BenchFailed, Content, Load, demand_wrk, load
from tests.e2e.processes import run

ROOT = Path(__file__).parents[2]
ACKS = (16, 64)  # connections
THROUGH = (1, CONNECTIONS)  # connections
DEARER = 0.05  # share by which a webhook may cost more
SPREAD = 0.1  # between the least and the greatest ratio, up to which there is something to be told
PAIRS = 7
FEWEST = 5  # pairs, for a verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A relay's code: the folder that `relay/` is in, and what to call it."""

    name: str
    folder: Path


class Verdict(StrEnum):
    """What the ratios of new to old say of a cost."""

    AS_GOOD = f"within {DEARER:.0%}, or cheaper"
    DEARER = f"DEARER by more than {DEARER:.0%}"
    UNCLEAR = "not distinguishable"


def judge(ratios: Sequence[float]) -> Verdict:
    """Ratios that lie far apart tell nothing, unless each of them is too great."""
    if len(ratios) < FEWEST:
        return Verdict.UNCLEAR
    if min(ratios) > 1 + DEARER:
        return Verdict.DEARER
    if max(ratios) - min(ratios) > SPREAD:
        return Verdict.UNCLEAR
    return Verdict.DEARER if median(ratios) > 1 + DEARER else Verdict.AS_GOOD


# ---- the two sides


def checked_out(ref: str, folder: Path) -> Code:
    """The relay of a commit, in a folder that is there for nothing else."""
    name = _git("rev-parse", "--short", "--verify", "--quiet", f"{ref}^{{commit}}").decode().strip()
    if not name:
        raise BenchFailed(f"no commit {ref!r} here")
    with tarfile.open(fileobj=io.BytesIO(_git("archive", name, "relay"))) as archive:
        archive.extractall(folder, filter="data")
    return Code(name=name, folder=folder)


def this_tree() -> Code:
    """The files as they are."""
    return Code(name=_git("describe", "--always", "--dirty").decode().strip() or "this tree", folder=ROOT)


def _git(*arguments: str) -> bytes:
    """What it says; nothing if there is none, or if it fails."""
    try:
        return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False).stdout
    except FileNotFoundError:
        return b""


class Side(Relay):
    """A relay that runs other code than this; its own commands, too, for its store is of its own kind."""

    def __init__(self, code: Code, folder: Path, url: str) -> None:
        folder.mkdir(parents=True)
        self._code = code
        # -P: the working directory has a relay, too
        super().__init__(
            folder,
            routes([url], CONNECTIONS),
            command=(sys.executable, "-P", "-m", "relay"),
            PYTHONPATH=str(code.folder),
        )

    async def demand_code(self) -> None:
        """BenchFailed if it is another code that would run."""
        _, printed, complaint = await run(*self._command[:2], "-c", "import relay; print(relay.__file__)", **self._more)
        if not Path(printed.strip() or ".").is_relative_to(self._code.folder):
            raise BenchFailed(f"{self._code.name} is not what would run: {printed or complaint}")


@asynccontextmanager
async def _running(code: Code, folder: Path, url: str) -> AsyncIterator[Side]:
    side = Side(code, folder, url)
    try:
        await side.demand_code()
        await side.start()
        yield side
    finally:
        await side.kill()


# ---- measuring


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`judged` are what is, `told` what is not; `others`: which share of the processors others used, pair by pair."""

    judged: Sequence[Row]
    told: Sequence[Row]
    others: Sequence[float]

    def document(self) -> dict[str, Any]:
        """For the JSON."""
        verdicts = {row.what: judge(row.ratios) for row in self.judged}
        rows = [row.document() for row in (*self.judged, *self.told)]
        return {"verdicts": verdicts, "others": list(self.others), "rows": rows}


async def compare(plan: Plan, old: Code, new: Code) -> Comparison:
    """`plan.rounds` pairs, after one that warms both up."""
    content = leads.webhooks(plan.folder)
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        sides: dict[str, tuple[Side, Side]] = {}
        for name, code in {"old": old, "new": new}.items():
            folder = plan.folder / f"{name}-side"
            acking = await stack.enter_async_context(_running(code, folder / "acks", NOWHERE[0]))
            await acking.pause()
            through = await stack.enter_async_context(_running(code, folder / "through", receiver.urls(1)[0]))
            sides[name] = acking, through
        turn = {name: partial(_turn, plan, receiver, content, *pair) for name, pair in sides.items()}
        await alternating(replace(plan, rounds=1, repeats=0), **turn)
        rounds = await alternating(replace(plan, repeats=0), **turn)
        for acking, _ in sides.values():
            await demand_stored(acking)
    return _compared(old.name, rounds)


@dataclass(frozen=True, slots=True)
class _Turn:
    acks: dict[int, Load]
    through: dict[int, Through]


async def _turn(plan: Plan, receiver: Receiver, content: Content, acking: Relay, through: Relay) -> _Turn:
    acks = {number: await load(acking, connections=number, seconds=plan.seconds, content=content) for number in ACKS}
    posts = {number: Post(content=content, connections=number) for number in THROUGH}
    return _Turn(acks, {number: await delivered(plan, through, receiver, post) for number, post in posts.items()})


def _compared(beside: str, rounds: Rounds[_Turn]) -> Comparison:
    def row(what: str, unit: str, figures: Callable[[_Turn], float]) -> Row:
        judged = unit.startswith("µs")
        return Row(
            bench="judged, the processor's time" if judged else "told, and not judged",
            what=what,
            unit=unit,
            ours=[figures(turn) for turn in rounds.samples["new"]],
            beside=beside,
            theirs=[figures(turn) for turn in rounds.samples["old"]],
            others=Others() if judged else rounds.others,
        )

    def of_acks(number: int, unit: str, name: str) -> Row:
        what = f"acks, {number} connections{', p99' if name == 'p99' else ''}"
        return row(what, unit, lambda turn: getattr(turn.acks[number], name))

    def of_through(number: int, unit: str, name: str) -> Row:
        what = f"end to end, {number} connection{'s'[: number != 1]}"
        return row(what, unit, lambda turn: getattr(turn.through[number], name))

    return Comparison(
        judged=[
            *(of_acks(number, "µs/ack", "cpu") for number in ACKS),
            *(of_through(number, "µs/event", "cpu") for number in THROUGH),
        ],
        told=[
            *(of_acks(number, "/s", "rate") for number in ACKS),
            *(of_acks(number, "ms", "p99") for number in ACKS),
            *(of_through(number, "events/s", "rate") for number in THROUGH),
        ],
        others=rounds.others.shares,
    )


# ---- telling


def report(found: Comparison, old: Code, new: Code) -> str:
    """A table, and a line for each verdict."""
    lines = [table([*found.judged, *found.told]), ""]
    for row in found.judged:
        low, high = row.spread
        verdict = judge(row.ratios)
        few = f" ({_pairs(len(row.ratios))}; {FEWEST} are needed)" if len(row.ratios) < FEWEST else ""
        lines.append(f"{row.what}: × {figure(row.judged)} ({figure(low)} – {figure(high)}), {verdict}{few}")
    busy = f"{median(found.others):.0%} (at most {max(found.others):.0%})"
    lines += ["", f"{new.name} beside {old.name}; others used {busy} of the processors meanwhile"]
    return "\n".join(lines)


def _pairs(number: int) -> str:
    return f"{number} pair{'s'[: number != 1]}"


def main() -> None:
    """Exit code 2 where something is missing, 1 where a webhook costs more or a figure would not be honest."""
    options = _options(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="relay-compare-", dir=options.folder) as name:
        folder = Path(name)
        try:
            demand_wrk()
            old = checked_out(options.base, folder / "old")
            new = checked_out(options.head, folder / "new") if options.head else this_tree()
        except BenchFailed as missing:
            print(missing, file=sys.stderr)
            sys.exit(2)
        plan = Plan(folder=folder, rounds=options.pairs, seconds=options.seconds, quick=options.quick)
        print(f"{new.name} beside {old.name}: {_pairs(plan.rounds)} of {plan.seconds} s loads …", flush=True)
        try:
            found = asyncio.run(compare(plan, old, new))
        except BenchFailed as failed:
            print(f"no figures: {failed}", file=sys.stderr)
            sys.exit(1)
    print(report(found, old, new))
    if options.json:
        document = {"old": old.name, "new": new.name, "seconds": plan.seconds, **found.document()}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    sys.exit(any(judge(row.ratios) is Verdict.DEARER for row in found.judged))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.compare", description="What a webhook costs, and did.")
    parser.add_argument("base", metavar="BASE", help="a commit to compare with")
    parser.add_argument("--head", metavar="COMMIT", help="what is compared; default: the files as they are")
    parser.add_argument("--pairs", type=int, help=f"default: {PAIRS}, quick: 1")
    parser.add_argument("--seconds", type=int, help="of each load; default: 2, quick: 1")
    parser.add_argument("--quick", action="store_true", help="to try: nothing is judged")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every sample")
    parser.add_argument("--folder", type=Path, help="where checkouts and stores are for as long as it takes")
    options = parser.parse_args(arguments)
    options.pairs = options.pairs or (1 if options.quick else PAIRS)
    options.seconds = options.seconds or (1 if options.quick else 2)
    return options


if __name__ == "__main__":
    main()
