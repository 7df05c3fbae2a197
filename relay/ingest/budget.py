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
        self._size = size
        self.used = 0

    def reservation(self) -> "Reservation":
        """Return an empty reservation for one webhook."""
        return Reservation(self)

    def reserve(self, size: int, *, large: bool) -> None:
        """Reserve bytes, or raise BudgetExceeded."""
        if self.used >= (self._size // 2 if large else self._size):
            raise BudgetExceeded
        self.used += size

    def free(self, size: int) -> None:
        """Give reserved bytes back."""
        self.used -= size


class Reservation:
    """The memory of one webhook, counted by reference: freed when the last holder has released it.

    A `with` block is one holder; whoever needs the webhook for longer calls `acquire` and later `release`.
    """

    __slots__ = ("_budget", "_holders", "_size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._holders = 0
        self._size = 0

    def grow(self, size: int) -> None:
        """Reserve more bytes, or raise BudgetExceeded."""
        total = self._size + size
        self._budget.reserve(size, large=total > LARGE)
        self._size = total

    def acquire(self) -> None:
        """Add a holder."""
        self._holders += 1

    def release(self) -> None:
        """Remove a holder; the last one frees the memory."""
        self._holders -= 1
        if not self._holders:
            self._budget.free(self._size)
            self._size = 0

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()
