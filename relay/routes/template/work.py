"""Counts what one rendering does, and ends it: Jinja2 cannot be interrupted, and no clock says the same twice."""

from relay.errors import TemplateFailed

MAX_WORK = 4_000_000
"""Characters that filters and operators read or make; an iteration of a loop counts `STEP` for each of its parts."""
STEP = 16


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
