"""The facts that stages announce; `observe` makes metrics and log lines of them, and nobody else does.

A stage is given an `Emit` and calls it; it neither counts nor logs.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from relay.frozen import frozen
from relay.model import Delivery, Outcome, RoutedEvent, Verdict, Webhook


class Rejection(StrEnum):
    """Why a request was rejected. `MISADDRESSED` was meant for us, `STRANGER` was not (scanners, health checks)."""

    UNAUTHORIZED = "unauthorized"
    MISADDRESSED = "misaddressed"
    STRANGER = "stranger"
    ACCOUNT = "refused_account"
    TOO_LARGE = "too_large"
    UNAVAILABLE = "unavailable"
    INCOMPLETE = "incomplete"


@frozen
class WebhookStored:
    """A webhook is on disk with what came of it, so many `deliveries` in all, and its 200 is due."""

    webhook: Webhook
    routed: Sequence[RoutedEvent]
    deliveries: int
    took: timedelta


@frozen
class DuplicateReceived:
    """A webhook was kept before, as `first`, and its 200 is due; nothing more was kept of it, or of `routed`."""

    webhook: Webhook
    first: str
    took: timedelta
    routed: Sequence[RoutedEvent] = ()


@frozen
class Probed:
    """Somebody who is not amoCRM posted an empty body to a source with the right token; nothing is kept."""

    source: str
    remote: str


@frozen
class WebhookRejected:
    """A request was turned away. `source` is `-` unless the token was right.

    `address`: method and path of one that is `MISADDRESSED`, masked: `POST /***/hooks/crm/***`.
    """

    source: str
    reason: Rejection
    detail: str
    remote: str
    took: timedelta
    address: str = ""


@frozen
class Evicted:
    """A connection that had brought nothing for `after` was closed, for there were too many."""

    after: timedelta


@frozen
class Blocked:
    """The event loop came back `late`: nobody was answered and nothing sent meanwhile."""

    late: timedelta


@frozen
class Attempted:
    """One attempt of one delivery is over. `lag` is arrival to now."""

    delivery: Delivery
    outcome: Outcome
    verdict: Verdict
    lag: timedelta


@frozen
class Committed:
    """The store's writer ended a transaction of `writes` writes."""

    writes: int
    took: timedelta


@frozen
class Purged:
    """Webhooks that had been kept long enough are gone: how many, by the ages of `Retention`."""

    counts: Mapping[str, int]
    took: timedelta


@frozen
class ConfigActivated:
    """The names that count from now on: those of the routes file in use."""

    sources: Sequence[str]
    targets: Sequence[str]
    routes: Sequence[str]


@frozen
class Reloaded:
    """The routes were swapped (`problems` empty) or left as they were; so was the certificate with its key, apart.

    `refused_pair` is what is wrong with the latter; `taken_up` names those of the two that were swapped.
    `warnings`: files whose newer versions cannot arrive.
    """

    file: str
    problems: Sequence[str] = ()
    refused_pair: Sequence[str] = ()
    taken_up: Sequence[str] = ()
    parked: Sequence[str] = ()
    warnings: Sequence[str] = ()


@frozen
class Notice:
    """Anything else an operator should read, once: the daemon starts, stops, or something is odd."""

    level: str
    text: str
    fields: dict[str, object]


Signal: TypeAlias = (
    WebhookStored
    | DuplicateReceived
    | Probed
    | WebhookRejected
    | Evicted
    | Blocked
    | Attempted
    | Committed
    | Purged
    | ConfigActivated
    | Reloaded
    | Notice
)
Emit: TypeAlias = Callable[[Signal], None]
