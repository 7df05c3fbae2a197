"""The values every stage shares: frozen, plain, free of I/O and of clocks."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from relay.frozen import frozen

Json: TypeAlias = Any
"""What `json.loads` may return; mypy has no exact name for it that callers could use without casts."""


class Secret:
    """A text that never prints: `repr`, `str` and formats show `***`; `reveal()` gives it."""

    __slots__ = ("_digest", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = hashlib.sha256(text.encode()).digest()

    def reveal(self) -> str:
        """The text itself: only for the wire."""
        return self._text

    def matches(self, text: str) -> bool:
        """True if `text` is the secret; takes the same time whatever the text (digests are compared)."""
        digest = hashlib.sha256(text.encode(errors="surrogateescape")).digest()
        return hmac.compare_digest(self._digest, digest)

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)


def signing_key(secret: str) -> bytes:
    """The key in a Standard Webhooks secret: base64, with or without `whsec_` in front; ValueError if it is not."""
    return base64.b64decode(secret.removeprefix("whsec_"), validate=True)


# ---- what arrives


@frozen
class Webhook:
    """One request of amoCRM's, as it came. `unparsed` is the reason why no events were made of it.

    `query` is that of its address, without the `?`; `signature` its X-Signature, which senders of another protocol set.
    `damaged`: the store gave back another body than the one that came.
    """

    id: str
    source: str
    received_at: datetime
    body: bytes
    content_type: str = ""
    request_id: str = ""
    query: str = ""
    signature: str = ""
    unparsed: str | None = None
    corrupt: bool = False


@frozen
class Event:
    """One normalized fact out of a webhook; what `amocrm/event.schema.json` describes.

    `query` is empty if the webhook's address had none.
    """

    id: str
    source: str
    received_at: datetime
    account: Mapping[str, Json]
    entity: str
    action: str
    data: Mapping[str, Json]
    query: Mapping[str, Json] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """`leads.status`."""
        return f"{self.entity}.{self.action}"

    @property
    def entity_id(self) -> str:
        """See `entity_id`."""
        return entity_id(self.action, self.data)


def entity_id(action: str, data: Mapping[str, Json]) -> str:
    """The id of the lead, contact, … that an event is about; for a note its element's; empty if none arrived."""
    names = ("element_id", "id") if action == "note" else ("id", "talk_id", "uid")
    return next((str(data[name]) for name in names if name in data), "")


# ---- what operators write


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A named place webhooks come in. `accounts` empty: any account is welcome.

    `dedupe`: equal bodies within so long are one webhook, whatever is in them; None: only those that carry a time.
    """

    name: str
    tokens: tuple[Secret, ...]
    accounts: frozenset[str] = frozenset()
    dedupe: timedelta | None = None

    def stranger(self, account: Mapping[str, Json]) -> str | None:
        """None if an account (its id, its subdomain) may send here, else what to say of it."""
        if not self.accounts:
            return None
        names = {str(account[key]) for key in ("id", "subdomain") if key in account}
        if names & self.accounts:
            return None
        return f"account {' or '.join(sorted(names)) or '(none named)'} is not in accounts of {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a failed attempt is repeated: exponential, or by `schedule`; until `attempts` or `max_age`."""

    initial: timedelta = timedelta(seconds=2)
    factor: float = 2.0
    max: timedelta = timedelta(hours=1)
    jitter: float = 0.2
    max_age: timedelta = timedelta(days=3)
    schedule: tuple[timedelta, ...] = ()
    attempts: int | None = None


class Order(StrEnum):
    """`ENTITY`: one delivery at a time per lead, contact, …, in the order of arrival."""

    NONE = "none"
    ENTITY = "entity"


class Format(StrEnum):
    """What the body of a delivery is: our event JSON, CloudEvents 1.0 around it, or amoCRM's own form."""

    JSON = "json"
    CLOUDEVENTS = "cloudevents"
    FORM = "form"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM files for connections to a target: a CA beside the system's; our certificate and its key, both or neither.

    `digest` is of what the files held when they were read: it differs when one of them does.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An HTTP endpoint we deliver to. `rate`: attempts per second, None for no limit.

    A status of `ok_on` means delivered, as 2xx does; it is none of `dead_on`.
    """

    name: str
    url: str = field(repr=False)  # may hold a secret
    headers: Mapping[str, Secret] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    timeout: timedelta = timedelta(seconds=15)
    concurrency: int = 8
    retry: RetryPolicy = RetryPolicy()
    dead_on: frozenset[int] = frozenset({400, 410, 413, 414, 415, 422})
    ok_on: frozenset[int] = frozenset()
    order: Order = Order.NONE
    rate: float | None = None
    format: Format = Format.JSON
    breaker_failures: int = 10
    tls: Tls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """For how long what is over is kept, None for ever.

    Deliveries count from when they were delivered or died; events that no route took, and webhooks that could not be
    read, from their arrival. A webhook and all that came of it go together.
    """

    delivered: timedelta | None = timedelta(days=30)
    dead: timedelta | None = timedelta(days=90)
    unrouted: timedelta | None = timedelta(days=30)
    unparsed: timedelta | None = timedelta(days=90)


# ---- what is owed


class State(StrEnum):
    """How a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@frozen
class PlannedDelivery:
    """One delivery to be kept: the target, and the routes that chose it.

    `lease`: it is born in our hands, attempt 1 is ours for so long after the arrival. Deliveries with the same
    target and `key` go one at a time, in the order of arrival: one is born claimed only if no older one is pending.
    """

    target: str
    routes: tuple[str, ...]
    lease: timedelta | None = None
    key: str | None = None


@frozen
class RoutedEvent:
    """An event, the JSON that its targets receive, what is owed to whom, and the routes that took it, in file order.

    Raw deliveries have one too: it stands for the whole webhook, its payload is empty, and of its event only the id,
    the source and the time count.
    """

    event: Event
    payload: bytes
    planned: tuple[PlannedDelivery, ...] = ()
    routes: tuple[str, ...] = ()

    @property
    def raw(self) -> bool:
        """True for an unparsed webhook on its way to targets, byte for byte."""
        return not self.payload


@frozen
class Delivery:
    """One delivery of one event to one target, claimed by this process, which may make attempt number `attempt`.

    `seq` is the event's place in the order of arrival. `policy_attempt` counts from 1 since `pending_since` (arrival,
    or the last replay): the retry policy looks at it; `attempt` never starts again. `token` is the claim token: made
    anew at each claim and never used twice, so that the store can tell a stale holder from the present one; 0 if
    nothing was claimed. `corrupt`: the payload is not the one that was stored, and must not be sent. `entity`,
    `entity_id`: what the event is about, for the log.
    """

    seq: int
    event_id: str
    target: str
    attempt: int
    policy_attempt: int
    received_at: datetime
    pending_since: datetime
    payload: bytes
    replay: bool = False
    corrupt: bool = False
    entity: str = ""
    entity_id: str = ""
    token: int = 0

    @property
    def raw(self) -> bool:
        """True if it is the unparsed webhook that is to be sent, as it came: there is no payload."""
        return not self.payload and not self.corrupt


class Reason(StrEnum):
    """Why an attempt ended as it did; the bounded set that metrics are labelled with."""

    OK = "2xx"
    REDIRECT = "3xx"
    CLIENT_ERROR = "4xx"
    TOO_MANY = "429"
    SERVER_ERROR = "5xx"
    OTHER_STATUS = "other"
    TIMEOUT = "timeout"
    CONNECT = "connect"
    TLS = "tls"
    DISCONNECTED = "disconnected"
    PROTOCOL = "protocol"
    REQUEST = "request"
    CORRUPT = "corrupt"


@frozen
class Outcome:
    """What one attempt returned. `detail` is for people: an error's text or the start of the answer."""

    reason: Reason
    started_at: datetime
    took: timedelta
    status: int | None = None
    retry_after: timedelta | None = None
    detail: str = ""


class VerdictName(StrEnum):
    """What follows an attempt, in one word: metrics, log lines, the store and the CLI all use it."""

    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target has it."""

    name: ClassVar = VerdictName.DELIVERED


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Not yet: try again then. Not `counted`: the retry policy overlooks this attempt."""

    name: ClassVar = VerdictName.RETRY

    due_at: datetime
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Dead:
    """Given up, and why; kept, and can be replayed."""

    name: ClassVar = VerdictName.DEAD

    why: str


Verdict: TypeAlias = Delivered | RetryAt | Dead


class Health(StrEnum):
    """The states of a target: circuit closed, open or half-open, or paused; `relay_target_state` has these values."""

    OK = "ok"
    OPEN = "open"
    PROBING = "probing"
    PAUSED = "paused"


def is_loopback(host: str) -> bool:
    """True for `localhost` and the loopback addresses: nobody on another machine can be reached, or reach us, there."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
