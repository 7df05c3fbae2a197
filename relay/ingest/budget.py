"""Webhooks that come in -> whether there is memory for them: what many large ones take together is bounded."""

from typing import Self

BESIDES = 4096  # bytes that a webhook takes beside its body
PER_EVENT = 5000  # bytes that an event takes until it is committed
LARGE = 64 * 1024  # bytes, more than any webhook that amoCRM is known to send


class Full(Exception):
    """There is no memory for more; the webhook must be sent again later."""


class Budget:
    """So many bytes, for all webhooks that are read or wait for their commit; `taken` are in use.

    Half of it is for small webhooks alone. Whoever finds some may take more than is left, for what a body comes to is
    known when it is there.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.taken = 0

    def place(self) -> "Reservation":
        """Memory for one webhook, which grows with it: for as long as the block lasts and, beyond, as it is held."""
        return Reservation(self)

    def take(self, size: int, *, large: bool) -> None:
        """Raises Full."""
        if self.taken >= (self._size // 2 if large else self._size):
            raise Full
        self.taken += size

    def give_back(self, size: int) -> None:
        """What was taken."""
        self.taken -= size


class Reservation:
    """What one webhook takes. `with` it, and `hold` it for whoever may need the webhook for longer."""

    __slots__ = ("_holders", "_memory", "taken")

    def __init__(self, memory: Budget) -> None:
        self._memory = memory
        self._holders = 0
        self.taken = 0

    def take(self, size: int) -> None:
        """So many bytes more; raises Full."""
        taken = self.taken + size
        self._memory.take(size, large=taken > LARGE)
        self.taken = taken

    def hold(self) -> None:
        """It is needed until as many `let_go`."""
        self._holders += 1

    def let_go(self) -> None:
        """The last one gives the memory back."""
        self._holders -= 1
        if not self._holders:
            self._memory.give_back(self.taken)
            self.taken = 0

    def __enter__(self) -> Self:
        self.hold()
        return self

    def __exit__(self, *_error: object) -> None:
        self.let_go()
