"""Bytes -> their checksum, and whether stored bytes still match it: SQLite does not check."""

import hashlib


def checksum(content: bytes, id_: bytes = b"") -> bytes:
    """Return the BLAKE2b-128, about 1 µs a KiB; for an event its id goes first: targets deduplicate by that."""
    return hashlib.blake2b(id_ + content if id_ else content, digest_size=16).digest()


def is_corrupt(content: object, kept: bytes | None, id_: bytes = b"") -> bool:
    """Return whether `content` as read fails the checksum `kept`; without a checksum only whether it is bytes."""
    if not isinstance(content, bytes):
        return True
    return kept is not None and checksum(content, id_) != kept
