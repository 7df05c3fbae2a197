"""Wall time that tells when it was set: it is held against time that only ever goes on."""

from collections.abc import Callable
from datetime import datetime, timedelta

TOLERANCE = timedelta(seconds=1)
_TOLERANCE = TOLERANCE.total_seconds()  # floats: it is called many times for each event


class Clock:
    """Call it for the time; if it was set since the last call, `was_set` hears by how much before the caller does.

    `wall` is aware UTC; `steady` are seconds that nobody sets.
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
        self._start = wall().timestamp() - steady()  # of `steady`, by the wall

    def __call__(self) -> datetime:
        """Now."""
        now = self._wall()
        by = now.timestamp() - self._steady() - self._start
        if not -_TOLERANCE <= by <= _TOLERANCE:
            self._start += by
            self._was_set(timedelta(seconds=by), now)
        return now
