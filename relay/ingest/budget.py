"""Sizes -> reserved memory, or BudgetExceeded: the memory of all webhooks together is bounded."""

from typing import Self

from relay.http.post import SMALL

OVERHEAD = 4096  # bytes that a webhook takes beside its body
PER_EVENT = 5000  # bytes that an event takes until it is committed
LARGE = SMALL  # bytes, above which a webhook is larger than any that amoCRM is known to send


class BudgetExceeded(Exception):
    """No memory is left for this webhook; it must be sent again later."""


class Budget:
    """Bytes for all webhooks that are being read or wait for their commit; `used` are reserved.

    Half of it is for small webhooks alone. A reservation is granted as long as anything is left, so one webhook may
    overdraw the budget: its size is known only once it is read.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0

    def reservation(self) -> "Reservation":
        """Return an empty reservation for one webhook."""
        return Reservation(self)


class Reservation:
    """The memory of one webhook. The stage that has the webhook last releases it, once: the committer at the latest.

    A `with` block releases it at its end, unless it was handed over.
    """

    __slots__ = ("_budget", "_handed_over", "_size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._handed_over = False
        self._size = 0

    def grow(self, size: int) -> None:
        """Reserve more bytes, or raise BudgetExceeded."""
        budget, total = self._budget, self._size + size
        if budget.used >= (budget.size // 2 if total > LARGE else budget.size):
            raise BudgetExceeded
        budget.used += size
        self._size = total

    def hand_over(self) -> None:
        """Leave the release to the next stage."""
        self._handed_over = True

    def release(self) -> None:
        """Free the memory."""
        self._budget.used -= self._size
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if not self._handed_over:
            self.release()
