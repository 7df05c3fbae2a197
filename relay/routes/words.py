"""Names in messages: quoted safely, listed, with a suggestion for a near miss and with the character nobody can see."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

from relay.printable import printable

SHOWN_CHARACTERS = 60
SHOWN_NAMES = 10
COMPARED_NAMES = 200  # difflib is slow; a longer list is listed, not searched

_LOOKALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеіјорсухѕһԁΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρ",
    "ABESIJKMHOPCTYXaeijopcyxshdABEZHIKMNOPTYXovp",
)
BRACES = "a variable is written ${NAME}, with braces"
_NO_BRACES = re.compile(r"\$([A-Z_][A-Z0-9_]{2,}|\([A-Z_][A-Z0-9_]*\))")
_WORD = re.compile(r"\w+")


def shortened(text: str) -> str:
    """`text` on one line and not too long, whatever is in it."""
    text = printable(text)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def quoted(text: str) -> str:
    """`'text'`, on one line."""
    return f"'{shortened(text)}'"


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word that `word` was probably meant to be; `cutoff` from 0, whichever, to 1, the same."""
    names = tuple(known)[:COMPARED_NAMES]
    looks = _as_it_looks(word[:SHOWN_CHARACTERS])
    return looks if looks in names else _nearest(looks, names, cutoff)


@lru_cache(maxsize=1024)  # one wrong name is often used by a thousand routes
def _nearest(word: str, known: tuple[str, ...], cutoff: float) -> str | None:
    return next(iter(get_close_matches(word, known, n=1, cutoff=cutoff)), None)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`(did you mean 'url'?)`, or else `(known: a, b)`; and what in it only looks like something else."""
    names = tuple(known)
    near = nearest(word, names)
    return (f"(did you mean {quoted(near)}?)" if near else f"(known: {listed(names)})") + stranger(word, near)


def stranger(text: str, meant: str | None = None) -> str:
    """`; U+043E CYRILLIC SMALL LETTER O is in it`, for what cannot be told by looking; else nothing.

    That is what `first_unseen` finds, and a letter of another alphabet among ASCII ones,
    or in a word that looks like `meant`.
    """
    found = first_unseen(text)
    if found is None and meant is not None and not text.isascii() and _as_it_looks(text) == meant:
        found = next(character for character in text if not character.isascii())
    found = found or next(filter(None, map(_foreign, _WORD.findall(text))), None)
    return "" if found is None else f"; {named(found)} is in it"


def oddity(written: str) -> str:
    """What may be the matter with a text that does not fit, as the file has it: `; a variable is written ${NAME}`."""
    return f"; {BRACES}" if without_braces(written) else stranger(written)


def without_braces(written: str) -> bool:
    """True for `Bearer $TOKEN` and `$(TOKEN)`, which stay as they are."""
    return _NO_BRACES.search(written) is not None


def first_unseen(text: str) -> str | None:
    """The first blank or invisible character that is not ASCII, or sign that is twice as wide as the ASCII one."""
    return None if text.isascii() else next(filter(_is_unseen, text), None)


def named(character: str) -> str:
    """`U+00A0 NO-BREAK SPACE`."""
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def _is_unseen(character: str) -> bool:
    if character.isascii():
        return False
    kind = unicodedata.category(character)
    return kind in ("Zs", "Zl", "Zp", "Cf") or (kind[0] == "P" and unicodedata.name(character).startswith("FULLWIDTH"))


def _foreign(word: str) -> str | None:
    """The first letter that is not ASCII in a word that has ASCII ones too."""
    if word.isascii() or not any(character.isascii() and character.isalnum() for character in word):
        return None
    return next((character for character in word if not character.isascii()), None)


def _as_it_looks(word: str) -> str:
    """With the ASCII letters that it seems to be made of, and without what is not seen."""
    if word.isascii():
        return word
    seen = "".join(character for character in word if not _is_unseen(character))
    return unicodedata.normalize("NFKC", seen).translate(_LOOKALIKES)


def listed(names: Iterable[str]) -> str:
    """`a, b, c`, cut after ten."""
    every = [shortened(name) for name in names]
    more = len(every) - SHOWN_NAMES
    return ", ".join(every[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "") or "none"
