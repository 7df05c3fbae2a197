"""When the next request to one account may go out. Pure: `now` is seconds of a monotonic clock.

amoCRM serves 7 requests a second of one integration, and blocks accounts that go on above that ("Recommendations",
2026). Requests leave at 5 a second, after a rest two at once. Besides, fewer than 7 are under way or were answered
within the last second: each arrives between the two, so however long the way is, no second has more than 7 arrivals.
"""

from collections import deque

RATE = 5.0
BURST = 2
SECOND = 1.05  # with some room for the other clock
MOST_A_SECOND = 7  # arrivals
INSTANT = 1e-6  # seconds that are none: floats
LONGEST_PAUSE = 60.0  # seconds, unless an answer asks for more


class Pace:
    """What was sent and answered lately."""

    def __init__(self) -> None:
        self._tokens = float(BURST)
        self._counted_at = 0.0
        self._under_way = 0
        self._answered_at: deque[float] = deque()
        self._paused_until = 0.0
        self._pauses = 0

    def wait(self, now: float) -> float | None:
        """Seconds until the next request may go out; None: not before one that is under way is answered."""
        self._forget(now)
        missing = self._under_way + len(self._answered_at) - MOST_A_SECOND + 1
        if missing > len(self._answered_at):
            return None
        window = self._answered_at[missing - 1] + SECOND - now if missing > 0 else 0.0
        wait = max(window, self._paused_until - now, (1.0 - self._tokens_at(now)) / RATE)
        return wait if wait > INSTANT else 0.0

    def take(self, now: float) -> None:
        """Count a request that goes out now."""
        self._tokens, self._counted_at = self._tokens_at(now) - 1.0, now
        self._under_way += 1

    def answered(self, now: float) -> None:
        """Count the end of a request, whether it was answered or given up."""
        self._under_way -= 1
        self._answered_at.append(now)

    def served(self) -> None:
        """Note an answer other than 429: the next pause is a short one."""
        self._pauses = 0

    def limited(self, now: float, asked: float | None) -> float:
        """Pause after a 429, as long as it asked for, or else 1 s, 2, 4 … 60; return for how long."""
        pause = asked if asked is not None else min(2.0**self._pauses, LONGEST_PAUSE)
        self._pauses = min(self._pauses + 1, 10)
        self._paused_until = max(self._paused_until, now + pause)
        self._tokens, self._counted_at = 1.0, self._paused_until  # then one, to see whether it is served
        return pause

    def _tokens_at(self, now: float) -> float:
        return min(self._tokens + (now - self._counted_at) * RATE, float(BURST))

    def _forget(self, now: float) -> None:
        while self._answered_at and self._answered_at[0] + SECOND < now:
            self._answered_at.popleft()
