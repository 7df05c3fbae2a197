"""The key by which cookies of the console are signed: 32 random bytes, one for all processes of a store."""

import secrets
from typing import Protocol

BYTES = 32


class SessionKey(Protocol):
    """The key of one store. Safe over processes."""

    async def read(self) -> bytes:
        """Return the key, made at the first call, on disk on return; StoreBusy if that cannot be done now."""
        ...


def new_key() -> bytes:
    """Make a key."""
    return secrets.token_bytes(BYTES)
