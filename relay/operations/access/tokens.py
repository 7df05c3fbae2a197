"""Random bytes -> an access token `rt_<id>_<secret>`, of which only the SHA-256 is stored. Pure but for `mint`.

A secret has 160 random bits, so nobody finds it from the hash, and a plain SHA-256 does: a password hash would cost the
listener that also answers probes a tenth of a second per guess.
"""

import hashlib
import hmac
import re
import secrets

from relay.model import Secret, frozen

ID_BYTES = 4
SECRET_BYTES = 20

ID = re.compile(r"[0-9a-f]{8}")
SHA256 = re.compile(r"[0-9a-f]{64}")
_TOKEN = re.compile(r"rt_([0-9a-f]{8})_[0-9a-f]{40}")
_NOTHING = bytes(32)


@frozen
class Minted:
    """A new token; `text` is shown once, `sha256` is stored."""

    id: str
    text: Secret

    @property
    def sha256(self) -> str:
        """The hash of the whole token, in hex."""
        return _digest(self.text.reveal()).hex()


def mint() -> Minted:
    """Make a token. Its id is public: it names the token in lists and finds its hash."""
    id_ = secrets.token_hex(ID_BYTES)
    return Minted(id=id_, text=Secret(f"rt_{id_}_{secrets.token_hex(SECRET_BYTES)}"))


def id_of(text: str) -> str | None:
    """The id in a token; None if `text` does not have the form of one."""
    found = _TOKEN.fullmatch(text)
    return found[1] if found else None


def matches(text: str, sha256: str | None) -> bool:
    """True if `text` has this hash. Takes the same time whatever `text` is, and without a hash to compare with."""
    expected = _NOTHING if sha256 is None else bytes.fromhex(sha256)
    return hmac.compare_digest(_digest(text), expected) and sha256 is not None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
