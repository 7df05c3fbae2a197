"""Samples of the relay and of what stands beside it -> rows -> one table, one JSON document."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Any

from tests.bench.rounds import Others


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a ratio, or a figure that has nothing beside it, must reach; `aim` is better, and need not be reached."""

    at_least: float = 0.0
    at_most: float = float("inf")
    aim: float | None = None

    def met(self, value: float) -> bool:
        """Whether it does."""
        return self.at_least <= value <= self.at_most

    def aim_met(self, value: float) -> bool:
        """Whether it is as good as the aim; False without one."""
        if self.aim is None:
            return False
        return value >= self.aim if self.at_least else value <= self.aim

    def verdict(self, value: float) -> str:
        """For the table."""
        return "AIM REACHED" if self.aim_met(value) else "reached" if self.met(value) else "MISSED"

    def __str__(self) -> str:
        must = f"≥ {self.at_least:g}" if self.at_least else f"≤ {self.at_most:g}"
        return must if self.aim is None else f"{must}, aim {self.aim:g}"


NOBODY = Others()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure, sampled once a round; `theirs` are the samples of `beside` in the same rounds, or nothing.

    The ratio is the median of the rounds' own ratios: a machine that slows down slows both sides of a round. There is
    no figure if others had too much of the machine meanwhile.
    """

    bench: str
    what: str
    unit: str
    ours: Sequence[float]
    beside: str = ""
    theirs: Sequence[float] = ()
    goal: Goal | None = None
    others: Others = NOBODY

    @property
    def ratios(self) -> list[float]:
        """Ours by theirs, round by round."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)] if self.theirs else []

    @property
    def judged(self) -> float:
        """What the goal is about."""
        return median(self.ratios or self.ours)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the most of what the goal is about."""
        judged = self.ratios or self.ours
        return min(judged), max(judged)

    def document(self) -> dict[str, Any]:
        """For the JSON: medians, unless there is no figure, and every sample."""
        taken = self.others.taken
        return {
            "bench": self.bench,
            "what": self.what,
            "unit": self.unit,
            "relay": None if taken else median(self.ours),
            "beside": self.beside or None,
            "other": median(self.theirs) if self.theirs and not taken else None,
            "ratio": self.judged if self.theirs and not taken else None,
            "goal": str(self.goal) if self.goal else None,
            "met": self.goal.met(self.judged) if self.goal and not taken else None,
            "aim met": self.goal.aim_met(self.judged) if self.goal and self.goal.aim and not taken else None,
            "others": self.others.document(),
            "samples": {"relay": list(self.ours), "other": list(self.theirs)},
        }


HEADS = ("", "unit", "relay", "beside it", "ratio", "from – to", "rounds", "goal", "")


def table(rows: Sequence[Row]) -> str:
    """All rows under the names of their benches, in columns."""
    lines: list[tuple[str, ...]] = [HEADS]
    for bench, of_bench in groupby(rows, key=lambda row: row.bench):
        lines.append((f"{bench}:",))
        lines.extend(_cells(row) for row in of_bench)
    widths = [max(len(line[column]) for line in lines if len(line) == len(HEADS)) for column in range(len(HEADS))]
    return "\n".join(_aligned(line, widths) for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    if row.others.taken is not None:
        why = f"others had {row.others.taken:.0%}"
        return (
            f"  {row.what}",
            row.unit,
            "",
            row.beside or "–",
            "",
            why,
            str(len(row.ours)),
            str(row.goal or ""),
            "NO FIGURE",
        )
    beside = f"{_with_spread(row.theirs)} {row.beside}" if row.theirs else "–"
    goal = (str(row.goal), row.goal.verdict(row.judged)) if row.goal else ("", "")
    return (
        f"  {row.what}",
        row.unit,
        _with_spread(row.ours),
        beside,
        figure(row.judged) if row.theirs else "–",
        " – ".join(map(figure, row.spread)),
        str(len(row.ours)),
        *goal,
    )


def _with_spread(values: Sequence[float]) -> str:
    """Median, and half of what lies between the least and the greatest as a share of it."""
    middle = median(values)
    return (
        f"{figure(middle)} ±{(max(values) - min(values)) / 2 / middle:.0%}"
        if len(values) > 1 and middle
        else figure(middle)
    )


def _aligned(line: tuple[str, ...], widths: Sequence[int]) -> str:
    if len(line) == 1:
        return line[0]
    return "  ".join(_padded(line, widths)).rstrip()


def _padded(line: tuple[str, ...], widths: Sequence[int]) -> Iterator[str]:
    for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
        yield cell.rjust(width) if column in (2, 4, 6) else cell.ljust(width)


def figure(value: float) -> str:
    """Three digits that count: 12,345 · 12.3 · 1.23 · 0.0123."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"
