"""A document -> JSON bytes: instants as RFC 3339 in UTC, cut to the millisecond."""

from datetime import datetime

import orjson

from relay.rfc3339 import rfc3339

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME


def encode(document: object, *, indented: bool = False) -> bytes:
    """Encode a document, or any JSON."""
    return orjson.dumps(document, _other, _OPTIONS | orjson.OPT_INDENT_2 if indented else _OPTIONS)


def _other(value: object) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    raise TypeError(f"no document may hold a {type(value).__name__}")
