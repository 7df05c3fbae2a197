"""JSON text -> its value without loss, or ValueError.

Python's parser accepts what would be delivered as something else: NaN, a repeated key, half a surrogate pair, a number
that is rounded to a float. This one does not.
"""

import json
from collections.abc import Callable, Sequence
from typing import NoReturn

from relay.model import Json

MAX_DEPTH = 16
"""Nesting depth of objects and lists; bounds every recursion over a body."""

MAX_INT = 2**53 - 1
"""The largest integer that JavaScript, and Go's interface{}, read exactly (RFC 7493)."""


def refuse_inexact(number: str) -> NoReturn:
    """The strict choice for `inexact`: ValueError."""
    raise ValueError(f"the number {number[:40]} cannot be kept exactly")


def parse(text: str, *, inexact: Callable[[str], Json] = refuse_inexact) -> Json:
    """Parse `text`; `inexact` converts each number that is not an integer of 53 bits, so there are no floats.

    NUL becomes U+FFFD, as in every other text. ValueError says what is wrong.
    """

    def integer(digits: str) -> Json:
        number = int(digits) if len(digits) <= 20 else 0  # int() of 5,000 digits raises
        return number if abs(number) <= MAX_INT and str(number) == digits else inexact(digits)  # "-0" is not 0

    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_int=integer, parse_float=inexact, parse_constant=refuse_inexact
        )
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH}") from None
    return bounded(value, MAX_DEPTH)


def storable(text: str) -> str:
    """`text` fit to be stored: NUL, which PostgreSQL refuses, becomes U+FFFD; half a surrogate pair: ValueError."""
    if not text.isascii():
        text.encode()
    return text.replace("\0", "\ufffd")


def _unique(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise ValueError("a key is given twice")
    return unique


def bounded(value: Json, depth: int) -> Json:
    """A copy of `value` with storable texts; ValueError if more than `depth` objects and lists nest in it."""
    if isinstance(value, str):
        return storable(value)
    if not isinstance(value, (dict, list)):
        return value
    if depth == 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, list):
        return [bounded(inner, depth - 1) for inner in value]
    return _unique([(storable(key), bounded(inner, depth - 1)) for key, inner in value.items()])
