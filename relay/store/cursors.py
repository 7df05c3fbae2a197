"""The place of a row in a listing <-> an opaque cursor of the page that follows."""

import base64
import binascii

import orjson

from relay.errors import BadCursor

LARGEST = 2**63 - 1

Key = tuple[int | str, ...]
"""What a listing is ordered by, of one row."""


def cursor(listing: str, key: Key) -> str:
    """Encode in base64url without padding: it needs no quotes in a shell or a URL."""
    return base64.urlsafe_b64encode(orjson.dumps([listing, *key])).rstrip(b"=").decode()


def key(listing: str, text: str, *types: type) -> Key:
    """Decode a cursor of this listing into values of these types; BadCursor for anything else."""
    try:
        given = orjson.loads(base64.urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}".encode()))
    except (ValueError, binascii.Error):
        given = None
    fits = isinstance(given, list) and given[:1] == [listing] and [*map(type, given[1:])] == list(types)
    if not fits or any(isinstance(each, int) and each > LARGEST for each in given):
        raise BadCursor(f"{text[:80]!r} is not a cursor of this listing: copy it from the line below the table")
    return tuple(given[1:])
