"""`rate` -> when the next attempt may begin. Pure: `now` is seconds of a clock that never goes back."""

CATCH_UP = 0.05  # seconds: timers ring late, and the next attempts may make up for so much


class RateLimiter:
    """Slots for attempts, `rate` a second and evenly; no rate, no waiting."""

    def __init__(self) -> None:
        self._next = 0.0

    def wait(self, rate: float | None, *, now: float) -> float:
        """Seconds until the next slot; it is there if they are none."""
        return max(self._next - now, 0.0) if rate else 0.0

    def take(self, rate: float | None, *, now: float) -> None:
        """Use the slot. One waited for, but not needed any more, is not taken: it is there for the next attempt."""
        if rate:
            self._next = max(self._next, now - CATCH_UP) + 1 / rate
