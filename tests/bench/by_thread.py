"""Processor time by thread -> rows; and, COMPUTED from it, webhooks a second on 1, 4 and 16 cores.

The model. A webhook takes L µs of the loop's thread and T µs of all threads, as measured at 64 connections.
One core runs all threads: 1 s / T. With more cores the threads overlap as far as the interpreter's lock allows:

- at least 1 s / T: every thread holds the lock whenever it runs, so that no two run at once;
- at most 1 s / max(L, T ÷ cores): the others run without the lock (SQLite and the disk do), and the loop, which is one
  thread, is always busy. That is why 16 cores are no better than 4.

It leaves out what the disk makes wait, what the lock's change of hands costs, and whoever posts and receives.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from statistics import median
from typing import Any, Protocol

from tests.bench.processor import LOOP, THREADS
from tests.bench.rounds import Others
from tests.bench.table import Row, figure

CORES = (1, 4, 16)
BUSY = "processor by thread: "
WAITING = "processor by thread, mostly waiting: "
"""One connection keeps no thread busy, so that no bound follows from it."""


class ByThread(Protocol):
    """Microseconds for each webhook."""

    @property
    def threads(self) -> Mapping[str, float]:
        """By their names in processor.py."""


def rows_by_thread(what: str, samples: Sequence[ByThread], others: Others, bench: str = BUSY) -> list[Row]:
    """One for each thread; none where the kernel does not count them."""
    known = [name for name in THREADS if all(name in each.threads for each in samples)]
    return [
        Row(
            bench=bench + what,
            what=name,
            unit="µs/webhook",
            ours=[each.threads[name] for each in samples],
            others=others,
        )
        for name in known
    ]


def bounds(loop: float, total: float, cores: int) -> tuple[float, float]:
    """At least and at most so many webhooks a second, by the model above, of these microseconds."""
    return 1e6 / total, 1e6 / max(loop, total / cores)


def computed(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For the JSON: of each bench that was measured by thread, and has figures, the bounds for CORES."""
    found = []
    for bench, of_bench in groupby((row for row in rows if row.bench.startswith(BUSY)), key=lambda row: row.bench):
        of_thread = {row.what: median(row.ours) for row in of_bench if row.others.taken is None}
        if LOOP in of_thread:
            loop, total = of_thread[LOOP], sum(of_thread.values())
            of_cores = {str(cores): bounds(loop, total, cores) for cores in CORES}
            found.append({"what": bench.removeprefix(BUSY), "loop": loop, "total": total, "cores": of_cores})
    return found


def told(found: Sequence[Mapping[str, Any]]) -> str:
    """For people."""
    return "\n".join(line for each in found for line in _lines(each))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"COMPUTED, not measured, from processor time by thread ({found['what']}: L = {figure(found['loop'])} µs of the"
        f" loop, T = {figure(found['total'])} µs of all threads):"
    )
    for cores, (low, high) in found["cores"].items():
        a_second = figure(high) if low == high else f"{figure(low)} – {figure(high)}"
        yield f"  {cores:>2} {'core' if cores == '1' else 'cores':<5}  {a_second} webhooks/s"
    yield "  from 1 s ÷ T: no two threads run at once, because each holds the interpreter's lock"
    yield "  to 1 s ÷ max(L, T ÷ cores): only the loop's thread holds it"
