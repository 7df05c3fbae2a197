"""A bearer token -> the Asker who shows it, or why it is refused. Pure.

Every comparison is in constant time, and each token is compared with the same number of hashes.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from relay.model import Secret, frozen
from relay.operations.access import tokens
from relay.operations.access.entries import ADMIN, LOOPBACK, VIEWER, Entry
from relay.operations.asker import Asker, Role

ON_LOOPBACK = Asker(name=LOOPBACK, role=Role.OPERATOR, payloads=True)
"""The asker of each request to a relay without tokens, which listens on loopback alone."""


@frozen
class Expired:
    """The token was right, and its time is over."""

    entry: Entry


class Bearers:
    """The tokens in force: those of the two variables, and those of the access file, which may be replaced."""

    def __init__(self, *, admin: Secret | None = None, viewer: Secret | None = None) -> None:
        self._fixed = [
            (Asker(name=name, role=role, payloads=role is Role.OPERATOR), token)
            for name, role, token in ((ADMIN, Role.OPERATOR, admin), (VIEWER, Role.VIEWER, viewer))
            if token is not None
        ]
        self._entries: Mapping[str, Entry] = {}

    def use(self, entries: Sequence[Entry]) -> None:
        """Replace the tokens of the file. Later requests are judged by these."""
        self._entries = {each.id: each for each in entries}

    def ends(self) -> dict[str, datetime]:
        """When each token of the file that has an end expires, by name."""
        return {each.name: each.expires_at for each in self._entries.values() if each.expires_at}

    def asker(self, text: str, now: datetime) -> Asker | Expired | None:
        """Return the asker of this token; None for one that is wrong, was replaced or removed."""
        fixed = [asker for asker, token in self._fixed if token.matches(text)]
        entry = self._entries.get(tokens.id_of(text) or "")
        shown = tokens.matches(text, entry.sha256 if entry else None)
        if fixed:
            return fixed[0]
        if entry is None or not shown:
            return None
        return Expired(entry=entry) if entry.expired(now) else entry.asker

    def named(self, name: str, now: datetime) -> tuple[Asker, bytes] | None:
        """The asker of this name, and the hash of its token; None without one that is in force.

        For a session: a token that replaces the one it began with has another hash.
        """
        for asker, token in self._fixed:
            if asker.name == name:
                return asker, token.sha256
        for entry in self._entries.values():
            if entry.name == name and not entry.expired(now):
                return entry.asker, bytes.fromhex(entry.sha256)
        return None
