"""`Date` headers of amoCRM's answers -> the time on its clock, and how sure that is. Pure.

A header has whole seconds and was written between request and answer, so one call tells the difference to within half a
second and half its round trip. The best of the last calls counts.
"""

from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

CALLS = 20
KNOWN_FOR = 3600.0  # seconds of the steady clock, after which the two clocks may have drifted apart
LEAST = 1.0  # seconds: nothing is told more exactly by whole seconds
MOST = 5.0  # seconds: less sure than that is not known


class ServerTime(NamedTuple):
    """The time on the server's clock, which may be off by `within`."""

    at: datetime
    within: timedelta


class _Sample(NamedTuple):
    within: float
    ahead: float  # seconds of the server's clock, less those of the steady one
    taken_at: float


class ServerClock:
    """What the last calls told. Times are seconds of a steady clock, which nobody sets."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=CALLS)

    def learn(self, date: str | None, *, sent_at: float, answered_at: float) -> None:
        """Learn from the `Date` of an answer; one that is none teaches nothing."""
        server = _seconds(date)
        if server is None:
            return
        within = max((answered_at - sent_at) / 2 + 0.5, LEAST)
        self._samples.append(_Sample(within, server + 0.5 - (sent_at + answered_at) / 2, answered_at))

    def at(self, steady: float) -> ServerTime | None:
        """Return the server's time at this instant; None if it is not known."""
        known = [each for each in self._samples if steady - each.taken_at <= KNOWN_FOR and each.within <= MOST]
        if not known:
            return None
        best = min(known, key=lambda each: each.within)
        return ServerTime(datetime.fromtimestamp(steady + best.ahead, UTC), timedelta(seconds=best.within))


def _seconds(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, OverflowError):
        return None
