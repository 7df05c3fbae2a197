"""What is wrong with a routes file: noted place by place, so that nothing is said twice of one place."""

from relay.errors import Problem
from relay.routes.words import shortened

Where = tuple[str | int, ...]
"""A place in the document: `("routes", 2, "to")`."""

Mark = tuple[int, int]
"""Line and column, both from 1."""


Finding = tuple[Where, str]
"""A place, and what is to be said of it."""


class Unfit(Exception):
    """A value that cannot be used; the text says what it must be, and never what it is."""


def path_text(where: Where) -> str:
    """`("routes", 2, "to")` -> `routes[2].to`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{shortened(part)}" for part in where)
    return "".join(parts).removeprefix(".")


class Problems:
    """The problems found so far. A later stage asks `touch` and leaves alone what an earlier one refused."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}
        self._touched: set[Where] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def found(self) -> list[Problem]:
        """Every problem once, in file order."""
        return sorted(self._found)

    def add(self, where: Where, mark: Mark, message: str) -> None:
        """Note what is wrong with the value at `where`."""
        line, column = mark
        self._found[Problem(line, column, path_text(where), message)] = None
        self._touched.update(where[:end] for end in range(len(where) + 1))

    def touch(self, where: Where) -> bool:
        """True if the value at `where`, or something in it, has a problem."""
        return where in self._touched
