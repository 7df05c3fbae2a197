"""Names in messages: quoted safely, listed, and with a suggestion for a near miss."""

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

SHOWN_CHARACTERS = 60
SHOWN_NAMES = 10
COMPARED_NAMES = 200  # difflib is slow; a longer list is listed, not searched


def shortened(text: str) -> str:
    """`text` on one line and not too long, whatever is in it."""
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def quoted(text: str) -> str:
    """`'text'`, on one line."""
    return f"'{shortened(text)}'"


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word that `word` was probably meant to be; `cutoff` from 0, whichever, to 1, the same."""
    return _nearest(word[:SHOWN_CHARACTERS], tuple(known)[:COMPARED_NAMES], cutoff)


@lru_cache(maxsize=1024)  # one wrong name is often used by a thousand routes
def _nearest(word: str, known: tuple[str, ...], cutoff: float) -> str | None:
    return next(iter(get_close_matches(word, known, n=1, cutoff=cutoff)), None)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`(did you mean 'url'?)`, or else `(known: a, b)`."""
    names = tuple(known)
    near = nearest(word, names)
    return f"(did you mean {quoted(near)}?)" if near else f"(known: {listed(names)})"


def listed(names: Iterable[str]) -> str:
    """`a, b, c`, cut after ten."""
    every = [shortened(name) for name in names]
    more = len(every) - SHOWN_NAMES
    return ", ".join(every[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "") or "none"
