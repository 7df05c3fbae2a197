"""What healing knows: the hooks that came, the feed's events that they report, and what became of each event.

A *hook* is one item of a webhook's body as it is indexed: what it may report. An event of the feed and a hook can
match only if source, channel and key of both are equal, and the hook's span contains the event's time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from relay.model.values import Json

HORIZON = timedelta(days=7)
"""How long hooks, and what became of the feed's events, are kept; a hook from the end of its span."""

BEAT_EVERY = timedelta(seconds=10)
"""How often a relay that heals marks that it runs."""

APPROVED = "approved"
"""The mark of a source that says when an operator last approved its heals; no lane has this name."""


class Hook(NamedTuple):
    """One item of a webhook's body. It can report events of the feed from `since` to `until`, both included.

    `item`: which of the webhook's routed events it is. `channel`: `account`, or `dp:<action>:<status_id>:<query>`.
    `at`: the time in the body. `arrived`: on the account server's clock; None if its offset is not known.
    """

    item: int
    channel: str
    key: str
    at: datetime | None
    arrived: datetime | None
    since: datetime
    until: datetime


class StoredHook(NamedTuple):
    """A hook of the index; `matched`: the id of the feed's event that it was spent on."""

    hook: Hook
    webhook: str
    matched: str | None = None


class HealState(StrEnum):
    """What became of an event of the feed in one channel. `MATCHED`, `HEALED` and `LATE_HOOK` are final.

    But a hook that comes after all makes of `HEALED` a `LATE_HOOK`.
    """

    SEEN = "seen"
    MATCHED = "matched"
    WOULD_HEAL = "would_heal"
    WAITING = "waiting"
    HEALED = "healed"
    LATE_HOOK = "late_hook"
    UNHEALABLE = "unhealable"

    @property
    def final(self) -> bool:
        """Whether no scan changes it."""
        return self in (HealState.MATCHED, HealState.HEALED, HealState.LATE_HOOK)


class Exactness(StrEnum):
    """How a healed event compares with the webhook that did not come.

    `EXACT`: content and time. `STATE`: the fact is exact, the other fields are of now. `APPROXIMATE`: see docs/amocrm.
    """

    EXACT = "exact"
    STATE = "state"
    APPROXIMATE = "approximate"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealRecord:
    """An event of the feed in one channel of a source: one record for each (source, channel, event_id).

    `type`: the feed's word, `lead_status_changed`; `action`: the type of the event that a webhook of it makes,
    `leads.status`. `at`: the event's time in the feed. `before` and `after` are dropped once the state is final.
    `webhook`, `item`: the hook that it matches, or the healed webhook, or the late one. `reason`: why it was healed
    (`outage`, `missing`), or cannot be. `found_at`: when a scan saw it first. `approved`: an operator said so of a
    `WAITING` one.
    """

    source: str
    channel: str
    event_id: str
    type: str
    action: str
    entity: str
    entity_id: str
    key: str
    at: datetime
    found_at: datetime
    state: HealState = HealState.SEEN
    before: Json = None
    after: Json = None
    webhook: str | None = None
    item: int = 0
    reason: str = ""
    exactness: Exactness | None = None
    approved: bool = False


class HealCount(NamedTuple):
    """How many records of a source are alike, and the time of the newest event among them."""

    source: str
    action: str
    state: HealState
    exactness: Exactness | None
    reason: str
    number: int
    newest_at: datetime


class Span(NamedTuple):
    """From `since` to `until`."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HealRequest:
    """A scan of a source from `since` on that an operator asks the relay for; `answer`: what came of it, once done.

    With `dry_run` nothing is stored of it but the answer.
    """

    id: str
    source: str
    since: datetime
    dry_run: bool
    asked_at: datetime
    answer: Json = None
