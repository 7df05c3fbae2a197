"""Claim tokens: a new number for each claim; only the holder of the present one can settle (fencing)."""

TOKENS = 2**40  # of one incarnation: 34 years at 1,000 a second; and 8 million incarnations fit beside it


class Tokens:
    """Claim tokens of one incarnation of a relay, after the first `used`. `last` is the newest one.

    Used by one thread alone.
    """

    __slots__ = ("last",)

    def __init__(self, incarnation: int, used: int = 0) -> None:
        self.last = incarnation * TOKENS + used

    def new(self) -> int:
        """Return a number that was never a token before."""
        self.last += 1
        return self.last

    def range(self, size: int) -> int:
        """Take so many new tokens in a row; return the first."""
        first = self.last + 1
        self.last += size
        return first
