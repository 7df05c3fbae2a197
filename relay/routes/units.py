"""Texts of the routes file -> durations, rates and shares: `2s`, `50/s`, `20%`.

Each raises `Unfit` with what it must be. The schema rejects values of another form earlier; the limits are here.
"""

import re
from datetime import timedelta

from relay.routes.diagnostics import Unfit

LONGEST = timedelta(days=365)
LONGEST_KEPT = timedelta(days=3650)
A_DAY = timedelta(days=1)
SHORTEST_SETTLING = timedelta(minutes=2)  # amoCRM's feed may show a change so late

DURATION = "([0-9]{1,9})(ms|s|m|h|d)"
_DURATION_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/([smh])")
_RATE_SECONDS = {"s": 1, "m": 60, "h": 3600}
_PERCENT = re.compile("([0-9]{1,3})%")


def duration(text: str) -> timedelta:
    """`200ms`, `2s`, `5m`, `1h`, `3d` -> above zero and at most a year."""
    span = _span(text)
    if span is None:
        raise Unfit("must be a duration like 200ms, 2s, 5m, 1h, 3d")
    if not timedelta() < span <= LONGEST:
        raise Unfit("must be above 0 and at most 365d")
    return span


def age(text: str) -> timedelta | None:
    """`30d` -> how long records are kept, at least a day; `forever` -> None."""
    if text == "forever":
        return None
    span = _span(text)
    if span is None or not A_DAY <= span <= LONGEST_KEPT:
        raise Unfit("must be from 1d to 3650d, or forever")
    return span


def window(text: str) -> timedelta:
    """`1h` -> the time within which equal bodies are one webhook: at most a day, the shortest retention."""
    span = duration(text)
    if span > A_DAY:
        raise Unfit("must be at most 1d")
    return span


def settling(text: str) -> timedelta:
    """`115m` -> how old a change is before its webhook counts as lost: from 2m to 1d."""
    span = duration(text)
    if not SHORTEST_SETTLING <= span <= A_DAY:
        raise Unfit("must be from 2m to 1d")
    return span


def _span(text: str) -> timedelta | None:
    parts = re.fullmatch(DURATION, text)
    return int(parts[1]) * _DURATION_UNITS[parts[2]] if parts else None


def rate(text: str) -> float:
    """`50/s`, `300/m`, `1000/h` -> attempts per second, above zero."""
    parts = _RATE.fullmatch(text)
    if not parts or not float(parts[1]):
        raise Unfit("must be a rate above 0 like 50/s, 300/m or 1000/h")
    return float(parts[1]) / _RATE_SECONDS[parts[2]]


def share(text: str) -> float:
    """`20%` -> 0.2."""
    parts = _PERCENT.fullmatch(text)
    if not parts or int(parts[1]) > 100:
        raise Unfit("must be a percentage from 0% to 100%, like 20%")
    return int(parts[1]) / 100
