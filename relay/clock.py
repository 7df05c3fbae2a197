"""Wall clock and steady clock -> the wall's time, and a call when the wall clock was set."""

from collections.abc import Callable
from datetime import datetime, timedelta

TOLERANCE = timedelta(seconds=1)
_TOLERANCE = TOLERANCE.total_seconds()  # a float: called many times for each event


class Clock:
    """Return the time; if the wall clock was set since the last call, call `was_set` with the difference first.

    `wall` is aware UTC; `steady` are monotonic seconds.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], datetime],
        steady: Callable[[], float],
        was_set: Callable[[timedelta, datetime], object],
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._was_set = was_set
        self._start = wall() - timedelta(seconds=steady())  # the wall's time at steady 0

    def __call__(self) -> datetime:
        """Return the present time, aware UTC."""
        now = self._wall()
        by = (now - self._start).total_seconds() - self._steady()  # `timestamp` takes twice as long
        if not -_TOLERANCE <= by <= _TOLERANCE:
            self._start += timedelta(seconds=by)
            self._was_set(timedelta(seconds=by), now)
        return now
