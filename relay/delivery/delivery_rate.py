"""Totals at instants -> how many a second within the last minute. Pure."""

from collections import deque

WITHIN = 60.0  # seconds


class DeliveryRate:
    """Is fed by each report; before the first minute is over it is the rate since the start."""

    def __init__(self) -> None:
        self._totals: deque[tuple[float, int]] = deque()

    def update(self, at: float, total: int) -> float:
        """Return the rate at `at`, in seconds of a steady clock, to two digits: a change of it is to be a change."""
        totals = self._totals
        totals.append((at, total))
        while len(totals) > 2 and totals[1][0] <= at - WITHIN:
            totals.popleft()
        since, before = totals[0]
        return round((total - before) / (at - since), 2) if at > since else 0.0
