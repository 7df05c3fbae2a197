"""Ids of the feed: 26 lower-case base-32 characters, a time and what grows within it."""

from random import Random

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class Ulids:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._last = (0, 0)

    def next(self, at: float) -> str:
        """An id of this time (Unix seconds); two of one millisecond grow."""
        milliseconds = int(at * 1000)
        before, tail = self._last
        tail = tail + self._random.randrange(1, 1 << 40) if before == milliseconds else self._random.getrandbits(76)
        self._last = (milliseconds, tail)
        return text(milliseconds, 10) + text(tail, 16)


def text(number: int, length: int) -> str:
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(length)))
