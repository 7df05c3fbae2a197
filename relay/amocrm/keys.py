"""A form's key <-> its parts: leads[add][0][id] <-> (("leads", "add", "0"), "id")."""

from collections.abc import Sequence
from functools import lru_cache

from relay.amocrm.strict_json import MAX_DEPTH
from relay.errors import UnreadableError

MAX_KEY = 512
"""Bytes of one key, after unquoting."""

NEXT = "\0"
"""Placeholder for the index of `[]`; no key can contain it, because NUL becomes U+FFFD."""


@lru_cache(maxsize=2048)  # keys repeat from webhook to webhook
def split(key: str) -> tuple[tuple[str, ...], str]:
    """The parents and the leaf. A key whose brackets do not pair up is one plain name."""
    if (size := len(key.encode())) > MAX_KEY:
        raise UnreadableError(f"a key of {size} bytes; at most {MAX_KEY}")
    *parents, leaf = _parts(key)
    if len(parents) >= MAX_DEPTH:
        raise UnreadableError(f"a key of {len(parents) + 1} parts; at most {MAX_DEPTH}")
    return tuple(parents), leaf


def bracket_path(path: Sequence[str]) -> str:
    """("leads", "add", "0") -> leads[add][0]."""
    return path[0] + "".join(f"[{part}]" for part in path[1:])


def _parts(key: str) -> list[str]:
    head, bracket, rest = key.partition("[")
    inner = rest[:-1].split("][")
    stray = head + "".join(inner)
    if not (head and bracket and rest.endswith("]")) or "[" in stray or "]" in stray:
        return [key]
    return [head, *inner] if "" not in inner else [head, *(part or NEXT for part in inner)]
