"""Plain (unquoted) YAML scalar -> its value in YAML 1.2, or why it is ambiguous."""

import re
from decimal import Decimal

from relay.model import Json
from relay.routes.diagnostics import shortened

_LONGEST = 40
_WORDS: dict[str, Json] = {
    "true": True,
    "false": False,
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
}
_INTEGER = re.compile("-?(0|[1-9][0-9]{0,17})")  # 18 digits fit in 63 bits; more stay text, as does a leading +
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,18}")
_LEADING_ZERO = re.compile("[+-]?0[0-9_]+")
_NUMBER_ELSEWHERE = re.compile("[+-]?(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|[0-9]+(_[0-9]+)+)")
_TYPOGRAPHIC = re.compile("[“”„‟«‘’‚‛‹](.*)[“”‟„»‘’‛›]", re.DOTALL)
_OLD_BOOLEANS = frozenset({"yes", "no", "on", "off"})


def plain_value(text: str) -> Json:
    """`true`, `null`, `5` and `1.50` are what they look like; all else is text, `12:30` and `1_000`, too.

    Decimals keep their digits (`Decimal("1.50")`), because a match compares values as text.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return Decimal(text) if _DECIMAL.fullmatch(text) else text


def surprise(text: str) -> str | None:
    """What to write instead of a scalar that YAML 1.1 and 1.2 read differently; None for others."""
    lowered = text.lower()
    if lowered in _OLD_BOOLEANS:
        return f'bare `{text}`: write "{text}" in quotes, or true or false'
    if lowered in ("true", "false") and lowered != text:
        return f'bare `{text}`: write {lowered}, or "{text}" in quotes'
    if _LEADING_ZERO.fullmatch(text):
        return "a number with leading zeros: write it in quotes, or without them"  # not shown: it may be a secret
    return None


def lookalike(text: str) -> str | None:
    """Warn of a plain scalar that is text but looks like a number or a quoted text; None for others."""
    if _NUMBER_ELSEWHERE.fullmatch(text):
        shown, number = shortened(text), int(text, 0) if len(text) < _LONGEST else ""
        return f'{shown} is compared as text: write {number}, or "{shown}" in quotes to mean that text'
    if inside := _TYPOGRAPHIC.fullmatch(text):
        shown = shortened(inside[1])
        return f'the quotes {text[0]} {text[-1]} are taken as part of the text: write "{shown}"'
    return None
