"""Text -> a hint at characters in it that were hardly meant, without showing the text, which may be secret.

Copied and exported values bring them along: quotes, blanks at the ends, a byte order mark, invisible characters, and
letters of other alphabets that look like ASCII ones (confusables, Unicode TR 39).
"""

import re
import unicodedata

BYTE_ORDER_MARK = "\ufeff"
BRACES = "a variable is written ${NAME}, with braces"

_NO_BRACES = re.compile(r"\$([A-Z_][A-Z0-9_]{2,}|\([A-Z_][A-Z0-9_]*\))")
_QUOTED = re.compile(r"""(?:.*\s)?(?P<quote>["'])[^"']*(?P=quote)""", re.DOTALL)
_WORD = re.compile(r"\w+")
_LOOKALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеіјорсухѕһԁΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρ",
    "ABESIJKMHOPCTYXaeijopcyxshdABEZHIKMNOPTYXovp",
)


def copying_mistake(value: str, written: str) -> str | None:
    """What was copied into a value by mistake: `has quotes in it …`.

    `written` is the text in the file with its variables unresolved: what stands there is meant.
    """
    if BYTE_ORDER_MARK in value:
        return "has a byte order mark in it (U+FEFF): save what it comes from without one"
    quoted = _QUOTED.fullmatch(value)
    if quoted and (value[0] == quoted["quote"] or quoted["quote"] not in written):
        return "has quotes in it, which are a part of it: docker's --env-file keeps them, so write it without"
    if value != value.strip():
        return f"{'begins' if value[0].isspace() else 'ends'} with a blank: remove it"
    if "  " in value and "  " not in written:
        return "has two blanks in it: remove the one that a variable has at its end"
    if value.isascii():
        return None
    place = next(place for place, character in enumerate(value, 1) if not character.isascii())
    return f"is not ASCII, which servers read differently: character {place} is {_kind(value[place - 1])}"


def written_mistake(written: str) -> str:
    """What may be wrong in a text of the file: `; a variable is written ${NAME}, with braces`, or nothing."""
    return f"; {BRACES}" if lacks_braces(written) else confusable(written)


def lacks_braces(written: str) -> bool:
    """True for `Bearer $TOKEN` and `$(TOKEN)`, which are not expanded."""
    return _NO_BRACES.search(written) is not None


def confusable(text: str, meant: str | None = None) -> str:
    """`; U+043E CYRILLIC SMALL LETTER O is in it` for a character that cannot be told by looking; else nothing.

    Found are what `first_invisible` finds, and a letter that is not ASCII in a word that has ASCII ones, or that looks
    like `meant`.
    """
    found = first_invisible(text)
    if found is None and meant is not None and not text.isascii() and as_it_looks(text) == meant:
        found = next(character for character in text if not character.isascii())
    found = found or next(filter(None, map(_foreign_letter, _WORD.findall(text))), None)
    return "" if found is None else f"; {character_name(found)} is in it"


def first_invisible(text: str) -> str | None:
    """The first blank or invisible character that is not ASCII, or fullwidth form of an ASCII sign."""
    return None if text.isascii() else next(filter(_is_invisible, text), None)


def character_name(character: str) -> str:
    """`U+00A0 NO-BREAK SPACE`."""
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def as_it_looks(word: str) -> str:
    """Replace confusable letters by the ASCII ones they look like, and drop invisible characters."""
    if word.isascii():
        return word
    seen = "".join(character for character in word if not _is_invisible(character))
    return unicodedata.normalize("NFKC", seen).translate(_LOOKALIKES)


def _kind(character: str) -> str:
    """Name a character; of a letter or digit only its script, for it may be a secret's."""
    if character.isalnum():
        return f"a {unicodedata.name(character, 'OTHER').split()[0].capitalize()} letter"
    return character_name(character)


def _is_invisible(character: str) -> bool:
    if character.isascii():
        return False
    kind = unicodedata.category(character)
    return kind in ("Zs", "Zl", "Zp", "Cf") or (kind[0] == "P" and unicodedata.name(character).startswith("FULLWIDTH"))


def _foreign_letter(word: str) -> str | None:
    """The first character that is not ASCII in a word that has ASCII letters or digits."""
    if word.isascii() or not any(character.isascii() and character.isalnum() for character in word):
        return None
    return next((character for character in word if not character.isascii()), None)
