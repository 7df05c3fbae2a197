"""A source of the routes file, with the default of every setting."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from relay.model.accounts import HEAL_OFF, Guard, Heal
from relay.model.secret import Secret
from relay.model.values import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A named place webhooks come in. `accounts`: the ids and subdomains that are accepted; empty for any.

    `dedupe`: equal bodies within this time are one webhook; None: only bodies that carry the time of their change.
    `account`: the one of the routes file whose API is asked about this source; without it there is no guard or heal.
    """

    name: str
    tokens: tuple[Secret, ...]
    accounts: frozenset[str] = frozenset()
    dedupe: timedelta | None = None
    account: str | None = None
    guard: Guard | None = None
    heal: Heal = HEAL_OFF

    def refusal(self, account: Mapping[str, Json]) -> str | None:
        """Why this account may not send here; None if it may."""
        if not self.accounts:
            return None
        names = {str(account[key]) for key in ("id", "subdomain") if key in account}
        if names & self.accounts:
            return None
        return f"account {' or '.join(sorted(names)) or '(none named)'} is not in accounts of {self.name}"
