"""What the relay does with events: deliveries, attempts, outcomes, verdicts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, TypeAlias

from relay.model.values import frozen
from relay.model.webhooks import Event


class State(StrEnum):
    """The states of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@frozen
class PlannedDelivery:
    """One delivery to be stored: the target, and the routes that name it.

    `lease`: claim it at insert, for this long after the arrival. Deliveries with the same target and `key` go one at a
    time, in the order of arrival: one is claimed at insert only if no older one is pending. `if_late`: it is to be made
    even if the event was healed before its webhook came, for the target took no healed one. `hold`: what the target
    wants beside the event is to be fetched first, and the delivery waits so long for it.
    """

    target: str
    routes: tuple[str, ...]
    lease: timedelta | None = None
    key: str | None = None
    if_late: bool = False
    hold: timedelta | None = None


@frozen
class RoutedEvent:
    """An event, its JSON, its planned deliveries, and the routes that matched it, in file order.

    Raw deliveries have one, too: it stands for the whole webhook, its payload is empty, and of its event only the id,
    the source and the time are used. `late`: the event was healed, and sent, before its webhook came.
    """

    event: Event
    payload: bytes
    planned: tuple[PlannedDelivery, ...] = ()
    routes: tuple[str, ...] = ()
    late: bool = False

    @property
    def raw(self) -> bool:
        """True for an unparsed webhook on its way to targets, byte for byte."""
        return not self.payload

    @property
    def unrouted(self) -> bool:
        """True for an event that no route took."""
        return not (self.planned or self.late or self.raw)

    def if_late(self) -> tuple[PlannedDelivery, ...]:
        """Those of the planned deliveries that are made even if the event was healed before its webhook came."""
        return tuple(each for each in self.planned if each.if_late)


@frozen
class Delivery:
    """One delivery of one event to one target, claimed by this process, which may make attempt number `attempt`.

    `policy_attempt` counts from 1 since `pending_since` (arrival, or the last replay): the retry policy looks at it;
    `attempt` never starts again. `token` is the claim token: made anew at each claim and never used twice, so that the
    store can tell a stale holder from the present one; 0 if nothing was claimed. `corrupt`: the payload is not the one
    that was stored, and must not be sent. `entity`, `entity_id`: what the event is about, for the log. `row`: where the
    store has the event; it means nothing elsewhere. `ordered`: others may wait for it, as it may have an ordering key.
    `trace`: that of its webhook, see `model.trace`; empty if the webhook is gone. `healed`: that never came.
    """

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
    row: int = 0
    ordered: bool = True
    trace: str = ""
    healed: bool = False

    @property
    def raw(self) -> bool:
        """True for a raw delivery: there is no payload, the unparsed webhook is sent as received."""
        return not self.payload and not self.corrupt


class Reason(StrEnum):
    """Why an attempt ended as it did: a bounded set, a label of metrics."""

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
    PROXY = "proxy"
    DENIED = "denied"
    REQUEST = "request"
    TEMPLATE = "template"
    CORRUPT = "corrupt"
    ANSWER = "answer"
    OAUTH2 = "oauth2"


@frozen
class Outcome:
    """What one attempt returned. `detail` is for people: the text of an error or the start of the response.

    `batch`: how many deliveries its request carried, if the target takes several in one.
    """

    reason: Reason
    started_at: datetime
    took: timedelta
    status: int | None = None
    retry_after: timedelta | None = None
    detail: str = ""
    batch: int | None = None


class VerdictName(StrEnum):
    """What follows an attempt, in one word: metrics, log lines, the store and the CLI all use it."""

    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target accepted it."""

    name: ClassVar = VerdictName.DELIVERED


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Retry at `due_at`. Not `counted`: the attempt does not count against the retry policy."""

    name: ClassVar = VerdictName.RETRY

    due_at: datetime
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Dead:
    """Given up, and why; the delivery is kept and can be replayed."""

    name: ClassVar = VerdictName.DEAD

    why: str


Verdict: TypeAlias = Delivered | RetryAt | Dead


class Health(StrEnum):
    """The states of a target: circuit closed, open or half-open, or paused; `relay_target_state` has these values."""

    OK = "ok"
    OPEN = "open"
    PROBING = "probing"
    PAUSED = "paused"
