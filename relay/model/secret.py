"""Texts that must not be printed, and the keys in them."""

import base64
import hashlib
import hmac


class Secret:
    """A text that never prints: `repr`, `str` and formats show `***`; `reveal()` gives it."""

    __slots__ = ("_digest", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = hashlib.sha256(text.encode()).digest()

    def reveal(self) -> str:
        """The text itself, for requests only."""
        return self._text

    @property
    def sha256(self) -> bytes:
        """Its hash."""
        return self._digest

    def matches(self, text: str) -> bool:
        """True if `text` is the secret. Constant time: digests are compared."""
        digest = hashlib.sha256(text.encode(errors="surrogateescape")).digest()
        return hmac.compare_digest(self._digest, digest)

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)


def signing_key(secret: str) -> bytes:
    """Decode a Standard Webhooks secret, base64 with or without `whsec_` in front; ValueError if it is not."""
    return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
