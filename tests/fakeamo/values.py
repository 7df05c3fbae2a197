"""What the double of amoCRM answers, records and posts."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

Json: TypeAlias = Any
Fields: TypeAlias = dict[str, Json]


class Ending(enum.Enum):
    WHOLE = "whole"
    CUT = "cut"  # the connection ends before Content-Length is reached
    RESET = "reset"  # the connection ends without an answer


@dataclass(frozen=True, kw_only=True)
class FakeAnswer:
    """An HTTP response of amoCRM's; `delay` is how many seconds it takes."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    ending: Ending = Ending.WHOLE
    delay: float = 0.0

    def json(self) -> Json:
        return orjson.loads(self.body)


class Exactness(enum.StrEnum):
    """How well a change can be told of afterwards, by amoCRM's API alone."""

    EXACT = "exact"
    STATE = "state"
    APPROXIMATE = "approximate"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One event that one channel ought to have told of: the oracle of healing.

    `channel` is `account` or `dp:<action>:<status_id>:<query>`; `event_id` is the feed's, empty if that has none.
    """

    destination: str
    channel: str
    event_id: str
    entity: str
    action: str
    entity_id: int | str
    old: tuple[int | str, ...]
    new: tuple[int | str, ...]
    at: int
    exactness: Exactness
    was_active: bool
    """False: amoCRM, or a person, had switched the webhook off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvent:
    """An item of GET /api/v4/events, readable from `visible_at` on."""

    id: str
    type: str
    entity_type: str
    entity_id: int
    created_by: int
    created_at: int
    after: list[Json]
    before: list[Json]
    visible_at: float
    client: str | None = None
    talk_contact: int | None = None


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One change of the account: an entry of the log, which only grows."""

    number: int
    at: float
    kind: str
    entity: str
    entity_id: int | str
    events: tuple[FeedEvent, ...]
    rows: tuple[Row, ...]


@dataclass(kw_only=True)
class Card:
    """A lead, contact, company, customer or task; `fields` as API v4 has them."""

    kind: str
    id: int
    fields: Fields
    state: str = "live"  # live | bin | purged
    revision: int = 0
    """Grows with every change, also where `updated_at` stands still."""
    contacts: list[int] = field(default_factory=list)
    leads: list[int] = field(default_factory=list)
    companies: list[int] = field(default_factory=list)


@dataclass(kw_only=True)
class Quirks:
    """What differs between accounts, or is not known of amoCRM for certain."""

    kommo: bool = False
    alpha: bool = True
    """Filters of leads, contacts, companies and customers: where they are off they are ignored without a word."""
    still_times: bool = False
    """`updated_at` of contacts, companies and tasks stays that of their creation."""
    post_enables: bool = True
    """POST of a known destination enables a webhook that was disabled; undocumented."""
    events_over_limit: str = "refuse"  # or "clamp"
    hidden_without_type: frozenset[str] = frozenset({"incoming_mail", "outgoing_mail"})
    """Types that only a filter by type brings."""
    lead_added_at: str = "acceptance"  # of an incoming lead; or "arrival"
    talk_created: bool = True
    merge_updates: bool = True
    """A merge posts an update of the card that stays; what webhooks it makes is not known."""
    chat_trigger: str = "each"  # or "first" message of a talk
    repeats_keep_request_id: bool = True
    late_by: float = 12.0
    """Seconds after which an event is readable at the latest, unless it is a straggler."""
    stragglers: float = 0.0
    """Share of events that are readable only after up to `straggle_by` seconds."""
    straggle_by: float = 86_400.0
    time_jitter: int = 0
    """Seconds by which the time in an account webhook differs from the event's, at most."""
    duplicates: float = 0.0
    """Share of webhooks that are posted again though the answer was good."""
    lost: float = 0.0
    """Share of webhooks that amoCRM never posts."""
    date_ahead: float = 0.0
    """Seconds by which the header Date is ahead of the times of events."""
    disorder: float = 1.0
    """Seconds that a webhook takes to be posted, at most: within them the order is any."""
    switch_off_after: int = 100
    """Bad answers of two hours that are borne."""
