"""What was received, routed and delivered lately: sources, routes, and targets by the minute."""

from dataclasses import dataclass

from relay.operations.documents.marks import Moment
from relay.operations.documents.status import SubscriptionDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDocument:
    """A source. `webhooks_24h`: answered 200 within 24 hours, so far as counted `since`; null if no relay counted any.

    `refused_24h`: answered otherwise, with the right token; `failed_2h`: those of them within two hours that amoCRM
    counts as failed, and after `most_failed` of which it switches the webhook off. `subscription`: its webhook in
    amoCRM, null if that is not watched. `address`: what is entered in amoCRM; `***` stands for the token.
    """

    source: str
    address: str
    last_at: Moment | None
    webhooks_24h: int | None
    since: Moment | None
    refused_24h: int
    failed_2h: int
    most_failed: int
    subscription: SubscriptionDocument | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastHourDocument:
    """Attempts at a target by minute, the oldest first: the last entry is the minute that is not over."""

    delivered: tuple[int, ...]
    failed: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteHitsDocument:
    """How many events a route took within 24 hours, and when the last one; counted `since`.

    `silent_7d`: whether it took none within seven days; null if it is known for less.
    """

    route: str
    hits_24h: int
    last_at: Moment | None
    since: Moment
    silent_7d: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityDocument:
    """What all relays counted `since`, in memory; recorded every five seconds. `at`: when it was asked for.

    `unrouted_24h`: events of 24 hours that no route took when they came.
    """

    at: Moment
    since: Moment
    targets: dict[str, LastHourDocument]
    routes: tuple[RouteHitsDocument, ...]
    unrouted_24h: int = 0
