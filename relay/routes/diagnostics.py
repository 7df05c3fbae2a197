"""Problems and warnings of a routes file: where they are, and the names in them quoted, listed and corrected."""

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

from relay.errors import Problem
from relay.printable import printable
from relay.routes.stray_characters import as_it_looks, confusable

Where = tuple[str | int, ...]
"""A path in the document: `("routes", 2, "to")`."""

Mark = tuple[int, int]
"""Line and column, both from 1."""

Finding = tuple[Where, str]
"""A path, and the message about it."""

MAX_SHOWN_CHARACTERS = 60
MAX_SHOWN_NAMES = 10
MAX_COMPARED_NAMES = 200  # difflib is slow: of a longer list only the first names are compared


class Unfit(Exception):
    """A value cannot be used; the text says what it must be, and never what it is."""


class Problems:
    """Problems found so far. A later stage checks `touch` and skips what an earlier one refused."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}
        self._touched: set[Where] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def found(self) -> list[Problem]:
        """Every problem once, in file order."""
        return sorted(self._found)

    def add(self, where: Where, mark: Mark, message: str) -> None:
        """Record a problem with the value at `where`."""
        line, column = mark
        self._found[Problem(line, column, path_text(where), message)] = None
        self._touched.update(where[:end] for end in range(len(where) + 1))

    def touch(self, where: Where) -> bool:
        """True if the value at `where`, or something in it, has a problem."""
        return where in self._touched


# ---- names in messages


def path_text(where: Where) -> str:
    """`("routes", 2, "to")` -> `routes[2].to`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{shortened(part)}" for part in where)
    return "".join(parts).removeprefix(".")


def shortened(text: str) -> str:
    """`text` on one line, with unprintable characters escaped, cut after 60 characters."""
    text = printable(text)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[: MAX_SHOWN_CHARACTERS - 1] + "…"


def quoted(text: str) -> str:
    """`'text'`, on one line."""
    return f"'{shortened(text)}'"


def listed(names: Iterable[str]) -> str:
    """`a, b, c`, cut after ten."""
    every = [shortened(name) for name in names]
    more = len(every) - MAX_SHOWN_NAMES
    return ", ".join(every[:MAX_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "") or "none"


def suggestion(word: str, known: Iterable[str]) -> str:
    """`(did you mean 'url'?)`, or else `(known: a, b)`; and the character in `word` that only looks right."""
    names = tuple(known)
    near = nearest(word, names)
    return (f"(did you mean {quoted(near)}?)" if near else f"(known: {listed(names)})") + confusable(word, near)


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word that `word` was probably meant to be; `cutoff` is difflib's ratio, 1 for equal words only."""
    names = tuple(known)[:MAX_COMPARED_NAMES]
    looks = as_it_looks(word[:MAX_SHOWN_CHARACTERS])
    return looks if looks in names else _nearest(looks, names, cutoff)


@lru_cache(maxsize=1024)  # one wrong name is often used by a thousand routes
def _nearest(word: str, known: tuple[str, ...], cutoff: float) -> str | None:
    return next(iter(get_close_matches(word, known, n=1, cutoff=cutoff)), None)
