"""Counts what one rendering does, and ends it: Jinja2 cannot be interrupted, and no clock says the same twice."""

from relay.errors import TemplateFailed

MAX_WORK = 10_000_000
"""Characters that filters and operators read or make, and `STEP` for each part of each iteration of a loop, `CALL` for
each filter: a quarter of a second at most."""
STEP = 16
CALL = 100
MAX_TEXT = 1_000_000
"""Characters of a text that is put together."""


class Work:
    """What is left for one rendering."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_WORK

    def spend(self, amount: int) -> None:
        """Count `amount` before it is done; TemplateFailed if there is not as much left."""
        self.left -= amount
        if self.left < 0:
            raise TemplateFailed("the template does too much with this event: fewer loops, or smaller texts in them")

    def join(self, size: int) -> None:
        """Count the characters of a text before it is put together."""
        self.spend(size)
        if size > MAX_TEXT:
            raise TemplateFailed(f"a text of over {MAX_TEXT:,} characters")
