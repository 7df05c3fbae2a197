"""Wall clock and steady clock -> the wall's time, and a call when the wall clock was set."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(seconds=1)
_TOLERANCE = TOLERANCE.total_seconds()
_from_seconds = datetime.fromtimestamp


class Clock:
    """Return the time; if the wall clock was set since the last call, call `was_set` with the difference first.

    `wall` are seconds since 1970, `steady` monotonic seconds: floats, because every event has the time read several
    times, and to compare datetimes takes as long as to read them.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float],
        steady: Callable[[], float],
        was_set: Callable[[timedelta, datetime], object],
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._was_set = was_set
        self._start = wall() - steady()  # the wall's time at steady 0

    def __call__(self) -> datetime:
        """Return the present time, aware UTC."""
        seconds = self._wall()
        by = seconds - self._steady() - self._start
        now = _from_seconds(seconds, UTC)
        if not -_TOLERANCE <= by <= _TOLERANCE:
            self._start += by
            self._was_set(timedelta(seconds=by), now)
        return now
