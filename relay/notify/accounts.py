"""Signals of amoCRM's API -> the state of each account as this relay sees it, the worst of what holds. Pure.

Relays that share a store see the same, each for itself; `counts` has one of them report it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from relay.notify.facts import AccountSeen
from relay.rfc3339 import rfc3339
from relay.signals.account import (
    TOKEN_WARNED_OF,
    AccountAsked,
    AccountBlocked,
    AccountGrantLost,
    AccountOutcome,
    AccountTokenEnds,
    AccountTokenRead,
)

FOR_GOOD = timedelta(seconds=30)
"""A token that is refused for less time may just have been renewed."""
_LASTS = timedelta(days=max(TOKEN_WARNED_OF))


class Trouble(StrEnum):
    """What may be wrong, the worst first. `ENDS_IN_7` and the like are the thresholds of the warning."""

    LOST = "lost"
    ENDED = "ends_0"
    BLOCKED = "blocked"
    REFUSED = "refused"
    ENDS_IN_1 = "ends_1"
    ENDS_IN_7 = "ends_7"
    ENDS_IN_30 = "ends_30"


@dataclass(frozen=True, slots=True)
class Standing:
    """`trouble` is None if all is well. `values`: for the text."""

    trouble: Trouble | None
    values: Mapping[str, str]


class Accounts:
    """The accounts that this process has had signals of, and what those said."""

    def __init__(self) -> None:
        self._token: dict[str, Trouble | None] = {}
        self._ends_at: dict[str, datetime | None] = {}
        self._asked: dict[str, tuple[Trouble | None, datetime]] = {}

    def see(self, signal: AccountSeen, now: datetime) -> None:
        """Take a signal about an account."""
        name = signal.account
        match signal:
            case AccountGrantLost():
                self._token[name], self._ends_at[name] = Trouble.LOST, signal.ends_at
            case AccountTokenEnds():
                self._token[name], self._ends_at[name] = Trouble(f"ends_{signal.days}"), signal.expires_at
            case AccountTokenRead(expires_at=ends_at) if ends_at and ends_at - now > _LASTS:
                self._token[name], self._ends_at[name] = None, ends_at
            case AccountBlocked() | AccountAsked(outcome=AccountOutcome.BLOCKED):
                self._asked[name] = Trouble.BLOCKED, now
            case AccountAsked(outcome=AccountOutcome.OK):
                self._asked[name] = None, now
            case AccountAsked(outcome=AccountOutcome.UNAUTHORIZED):
                if self._asked.get(name, (None, now))[0] is not Trouble.REFUSED:
                    self._asked[name] = Trouble.REFUSED, now

    def standing(self, now: datetime) -> Mapping[str, Standing]:
        """Return the state of each account that there was a signal of."""
        return {name: self._of(name, now) for name in {**self._token, **self._asked}}

    def _of(self, name: str, now: datetime) -> Standing:
        found = [self._token.get(name), self._of_requests(name, now)]
        worst = min((each for each in found if each), key=[*Trouble].index, default=None)
        ends_at = self._ends_at.get(name)
        until = {"until": rfc3339(ends_at)} if ends_at and worst is self._token.get(name) else {}
        return Standing(worst, {"state": worst, **until} if worst else {})

    def _of_requests(self, name: str, now: datetime) -> Trouble | None:
        trouble, since = self._asked.get(name, (None, now))
        return None if trouble is Trouble.REFUSED and now - since < FOR_GOOD else trouble
