"""JSON text -> the value it says, to the digit; or ValueError.

Python's reader forgives what would not arrive downstream as it was sent: NaN, a key given twice, half a surrogate
pair, a number rounded to a float. This one does not.
"""

import json
from collections.abc import Callable, Sequence
from typing import NoReturn

from relay.model import Json

MAX_DEPTH = 16
"""How many objects and lists may stand inside one another; bounds every recursion over what a body holds."""

MAX_INT = 2**53 - 1
"""Beyond it JavaScript, and Go's interface{}, read another number than was sent (RFC 7493)."""


def refuse(number: str) -> NoReturn:
    """The strict choice for `inexact`: such a text is not read at all."""
    raise ValueError(f"the number {number[:40]} cannot be kept exactly")


def parse(text: str, *, inexact: Callable[[str], Json] = refuse) -> Json:
    """The value of `text`, free of floats; `inexact` is asked for each number that is no integer of 53 bits.

    NUL becomes U+FFFD, as in every other text. ValueError says what is wrong.
    """

    def integer(digits: str) -> Json:
        number = int(digits) if len(digits) <= 20 else 0  # int() of 5,000 digits raises
        return number if abs(number) <= MAX_INT and str(number) == digits else inexact(digits)  # "-0" is not 0

    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_int=integer, parse_float=inexact, parse_constant=refuse
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
