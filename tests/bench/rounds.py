"""Sides that take turns, A B A B -> samples of rounds in which nobody else used the machine, and what others had."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Generic, TypeVar

import psutil

T = TypeVar("T")

LIMIT = 0.1
"""Share of all processors that others may have in a round; above it the round has no figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured. `quick` is for trying: fewer cases too.

    A round in which others had more than `limit` is repeated, up to `repeats` rounds in all.
    """

    folder: Path
    rounds: int = 7
    repeats: int = 0
    limit: float = LIMIT
    seconds: int = 2
    quick: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """Shares of all processors that others had: in rounds that count, and in rounds put `aside` and repeated."""

    limit: float = 1.0
    shares: Sequence[float] = ()
    aside: Sequence[float] = ()

    @property
    def taken(self) -> float | None:
        """The greatest share of a round that counts, if it is above the limit: there is no figure."""
        worst = max(self.shares, default=0.0)
        return worst if worst > self.limit else None

    def document(self) -> dict[str, Any]:
        """For the JSON."""
        return {"limit": self.limit, "shares": list(self.shares), "aside": list(self.aside), "taken": self.taken}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds(Generic[T]):
    """Each side's samples, the n-th of each from the same round."""

    samples: dict[str, list[T]]
    others: Others


async def alternating(plan: Plan, **sides: Callable[[], Awaitable[T]]) -> Rounds[T]:
    """Run `plan.rounds` rounds that count."""
    samples: dict[str, list[T]] = {name: [] for name in sides}
    shares: list[float] = []
    aside: list[float] = []
    while len(shares) < plan.rounds:
        machine = Machine()
        found = {name: await sample() for name, sample in sides.items()}
        share = machine.others()
        if share > plan.limit and len(aside) < plan.repeats:
            print(f"a round is repeated: others had {share:.0%} of the processors", file=sys.stderr, flush=True)
            aside.append(share)
            continue
        shares.append(share)
        for name, sample in found.items():
            samples[name].append(sample)
    return Rounds(samples=samples, others=Others(limit=plan.limit, shares=shares, aside=aside))


class Machine:
    """The processors, from now on: how much of them others use than this process and all that it started."""

    def __init__(self) -> None:
        self._start = monotonic(), _busy(), processor_time()

    def others(self) -> float:
        """Share of all processors; stolen time of a virtual machine is others', too."""
        at, busy, ours = self._start
        spent = (_busy() - busy) - (processor_time() - ours)
        return max(spent, 0.0) / ((monotonic() - at) * (psutil.cpu_count() or 1))


def _busy() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


def processor_time() -> float:
    """Of this process and its descendants, those that ended among them."""
    this = psutil.Process()
    return sum(map(_spent, (this, *this.children(recursive=True))))


def _spent(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system
    return 0.0
