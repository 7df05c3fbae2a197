"""Requests and webhooks on their way to the store, as `relay.ingest` announces them."""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from relay.model import RoutedEvent, Webhook, frozen


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
    """A webhook is on disk with what came of it, so many `deliveries` in all, and its 200 is due.

    `took`: from its receipt; `commit` of that, from the call of the store, in plain seconds: only spans read it, and a
    timedelta for each webhook would cost relays without spans.
    """

    webhook: Webhook
    routed: Sequence[RoutedEvent]
    deliveries: int
    took: timedelta
    commit: float = 0.0


@frozen
class DuplicateReceived:
    """A webhook was kept before, as `first`, and its 200 is due; nothing more was kept of it, or of `routed`.

    `took`, `commit`: see `WebhookStored`.
    """

    webhook: Webhook
    first: str
    took: timedelta
    routed: Sequence[RoutedEvent] = ()
    commit: float = 0.0


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
class EventsNotStored:
    """The store failed on the events of one webhook; it is stored once more as unparsed."""

    webhook: str
    error: str


@frozen
class DecodeFailed:
    """Decoding a webhook raised something unexpected: a bug of ours. The webhook is stored as unparsed."""

    webhook: str
    error: str


@frozen
class RawRoutingFailed:
    """Matching an unparsed webhook raised something unexpected: a bug of ours. It is stored without deliveries."""

    webhook: str
    error: str


@frozen
class HooksNotIndexed:
    """Indexing what a webhook tells of raised something unexpected: a bug of ours. It is stored, and may be healed."""

    webhook: str
    error: str


@frozen
class StoredLate:
    """So many webhooks were committed after their 503, and none is left uncommitted. They have no `WebhookStored`."""

    webhooks: int


@frozen
class NotStored:
    """The relay stops, and so many webhooks, all answered 503, are not in the store."""

    webhooks: int


IntakeSignal: TypeAlias = (
    WebhookStored
    | DuplicateReceived
    | Probed
    | WebhookRejected
    | EventsNotStored
    | DecodeFailed
    | RawRoutingFailed
    | HooksNotIndexed
    | StoredLate
    | NotStored
)
