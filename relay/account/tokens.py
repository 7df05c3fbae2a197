"""The credentials of an account -> an access token; when it ends is read from the token itself."""

import base64
from datetime import UTC, datetime
from typing import Protocol

import orjson

from relay.model import Secret


class Tokens(Protocol):
    """Where a client gets its access token from."""

    @property
    def expires_at(self) -> datetime | None:
        """When a person has to act, or None if that is not known: the end of a long-lived token, or of the grant."""

    async def get(self) -> Secret:
        """Return a token that is valid as far as we know; TokenRefused if there is none, AccountAway if not now."""

    async def instead_of(self, refused: Secret) -> Secret | None:
        """Return another token than the one that was answered 401; None if there is none, or TokenRefused."""

    async def close(self) -> None:
        """Wait until nothing is lost by an end."""


class LongLivedToken:
    """The token of a private integration, valid for up to five years and never renewed. Is a `Tokens`."""

    def __init__(self, token: Secret) -> None:
        self._token = token
        self.expires_at = expiry(token)

    async def get(self) -> Secret:
        """Return it, expired or not: amoCRM decides."""
        return self._token

    async def instead_of(self, refused: Secret) -> None:
        """There is no other."""
        return

    async def close(self) -> None:
        """Nothing is under way."""


def expiry(token: Secret) -> datetime | None:
    """Read `exp` of a JWT (RFC 7519), without verifying it: amoCRM does that. None for what is no JWT."""
    claims = token.reveal().split(".")[1:2]
    try:
        document = orjson.loads(base64.urlsafe_b64decode(claims[0] + "=" * (-len(claims[0]) % 4))) if claims else None
        return datetime.fromtimestamp(document["exp"], UTC) if isinstance(document, dict) else None
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return None
