"""`rate` -> when the next attempt may begin. Pure: `now` is seconds of a monotonic clock."""

CATCH_UP = 0.05  # seconds: timers fire late, and the next attempts may make up for so much


class RateLimiter:
    """Evenly spaced slots for attempts, `rate` a second; without a rate nothing waits."""

    def __init__(self) -> None:
        self._next = 0.0

    def wait(self, rate: float | None, *, now: float) -> float:
        """Seconds until the next slot; 0 if it is there."""
        return max(self._next - now, 0.0) if rate else 0.0

    def take(self, rate: float | None, *, now: float) -> None:
        """Use the slot. A slot that was awaited but is not taken stays there for the next attempt."""
        if rate:
            self._next = max(self._next, now - CATCH_UP) + 1 / rate
