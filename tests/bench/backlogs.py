"""A relay on 10,000, 100,000 and 1,000,000 pending deliveries: start, memory, acks while it drains, drain rate.

Each store is filled once (backlog.py) and copied for every round. The cost must be flat: the drain rate of each is
compared with that of the fewest in the same round.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from tests.bench import backlog
from tests.bench.footprint import MEGABYTE
from tests.bench.rounds import Others, Plan, alternating
from tests.bench.table import Goal, Row

NUMBERS = (10_000, 100_000, 1_000_000)
SECONDS = 6.0


async def measure(plan: Plan, numbers: Sequence[int] = NUMBERS) -> list[Row]:
    """Each of them in every round."""
    numbers = numbers[:1] if plan.quick else numbers
    for number in numbers:
        folder = _folder(plan, number)
        folder.mkdir()
        await asyncio.to_thread(backlog.fill, folder / "relay.db", number)  # it has a loop of its own
    sides: dict[str, Callable[[], Awaitable[backlog.Figures]]] = {
        str(number): partial(_round, plan, number) for number in numbers
    }
    rounds = await alternating(plan, **sides)
    fewest = rounds.samples[str(numbers[0])]
    return [
        row
        for number in numbers
        for row in _rows(number, rounds.samples[str(number)], fewest, numbers[0], rounds.others)
    ]


async def _round(plan: Plan, number: int) -> backlog.Figures:
    folder = plan.folder / "backlog"
    shutil.copytree(_folder(plan, number), folder)
    try:
        return await backlog.measure(folder, number, SECONDS)
    finally:
        shutil.rmtree(folder)


def _folder(plan: Plan, number: int) -> Path:
    return plan.folder / f"backlog-{number}"


def _rows(
    number: int, ours: list[backlog.Figures], theirs: list[backlog.Figures], fewest: int, others: Others
) -> list[Row]:
    def row(what: str, unit: str, samples: list[float], at_most: float) -> Row:
        goal = Goal(at_most=at_most) if number == 1_000_000 else None
        return Row(bench="backlog", what=f"{number:,} pending, {what}", unit=unit, ours=samples, goal=goal)

    return [
        row("ready after", "s", [each.ready for each in ours], 2),
        row("memory", "MB", [each.memory / MEGABYTE for each in ours], 250),
        row("ack p99 while draining", "ms", [each.ack * 1e3 for each in ours], 100),
        Row(
            bench="backlog",
            what=f"{number:,} pending, drained",
            unit="events/s",
            ours=[each.rate for each in ours],
            beside=f"{fewest:,} pending" if number != fewest else "",
            theirs=[each.rate for each in theirs] if number != fewest else (),
            goal=Goal(at_least=0.8) if number == 1_000_000 else None,
            others=others,
        ),
    ]
