"""The relays that live -> which part of a target's concurrency and rate is this one's. Pure.

Each relay works it out by itself, from what its own heartbeat shows. So that the parts never add up to more than the
whole, one grows only after two beats, when all others must have seen the same, and shrinks at once.
"""

from collections.abc import Collection
from hashlib import blake2b

BEATS = 2  # with the same relays, before a share grows
NOTHING = 2**20  # parts: of any concurrency that is 0


class Shares:
    """The parts of one relay. Alone from the start it has all; beside others it begins with nothing."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._living: list[str] = []
        self._left = 0  # beats until the parts are those of `living`
        self._most = NOTHING  # until then: relays that somebody may believe to share

    def seen(self, living: Collection[str]) -> None:
        """Take over the names of the relays that live, as of one heartbeat, this one included."""
        now = sorted({*living, self._name})
        if now == self._living:
            self._left = max(self._left - 1, 0)
            return
        if self._living or len(now) > 1:
            before = len(self._living) if self._living and not self._left else self._most
            self._most = max(before, len(now))
            self._left = BEATS
        self._living = now

    def leads(self) -> bool:
        """Whether this is the relay that does what one alone may do: the first by name of those that live."""
        return not self._left and self._living[:1] == [self._name]

    def part(self, target: str) -> tuple[int, int]:
        """Return this relay's part of a target, from 1, and how many parts there are."""
        if self._left:
            return self._most, self._most  # the smallest part there is
        if len(self._living) < 2:
            return 1, 1
        rank = self._living.index(self._name) + int.from_bytes(blake2b(target.encode(), digest_size=4).digest())
        return rank % len(self._living) + 1, len(self._living)
