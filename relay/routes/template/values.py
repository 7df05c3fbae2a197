"""A value of an event -> its text, its JSON, its number."""

import json
import re
from decimal import Decimal
from typing import TypeAlias

import orjson

from relay.model import Json

Number: TypeAlias = int | Decimal

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")


def text(value: Json) -> str:
    """Lists and mappings are their JSON, what is missing is empty."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    return str(value) if type(value) is int else as_json(value)


def encodable(given: str) -> str:
    """The text in Unicode: what UTF-8 does not have, a surrogate alone, becomes U+FFFD."""
    return given.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def as_json(value: Json) -> str:
    """JSON of any value, in Unicode: many parsers refuse an escape of a surrogate alone."""
    if type(value) is Decimal:
        return format(value, "f")
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a surrogate, or an integer of more than 64 bits
        return encodable(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def quoted(value: Json) -> str:
    """The text of a value as it stands between the quotes of a JSON text."""
    return as_json(text(value))[1:-1]


def number(value: Json) -> Number | None:
    """The number that a value is, also as text: `"1500"`, `"-0.5"`; None for others."""
    match value:
        case bool():
            return None
        case int() | Decimal():
            return value
        case float():
            return Decimal(repr(value))
        case str() if len(value) < 40 and _NUMBER.fullmatch(value):
            return Decimal(value) if "." in value else int(value)
    return None
