"""GET /activity, /sources: what was received, routed and delivered lately, as relays count it in memory."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from relay.errors import NotFoundError
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.activity import (
    ActivityDocument,
    LastHourDocument,
    RouteHitsDocument,
    SourceDocument,
)
from relay.operations.documents.listing import Listing
from relay.operations.documents.status import SubscriptionDocument
from relay.operations.status import Everything, watched
from relay.routes.config import Config
from relay.signals import Rejection
from relay.store.activity import HOUR, MINUTE, Activity, Counts, Hits, added
from relay.store.question_records import RefusedTotal

MINUTES = 60
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
AMOCRM_COUNTS = timedelta(hours=2)
MOST_FAILED = 100
"""After so many failed answers within two hours amoCRM switches a webhook off."""

FAILED = frozenset({Rejection.TOO_LARGE, Rejection.UNAVAILABLE, Rejection.INCOMPLETE})
"""Answers that amoCRM got, and counts. A refused account is another's webhook; a wrong token may be anybody's."""


async def activity(desk: Desk, _asked: Everything) -> ActivityDocument:
    """Show what was delivered within the last hour and routed within a day; NotFoundError if nothing was counted."""
    found = added(await desk.store.questions.activity())
    if found is None:
        raise NotFoundError("no relay has counted anything yet: it does so while it runs")
    return activity_document(found, desk.config_or_none(), desk.now())


async def sources(desk: Desk, _asked: Everything) -> Listing[SourceDocument]:
    """List the sources of the routes in force; RoutesInvalid if they cannot be used."""
    config, status = desk.config(), await desk.store.status()
    counted = added(await desk.store.questions.activity())
    return Listing(data=await sources_of(desk, config, counted, watched(config, status)))


def activity_document(found: Activity, config: Config | None, now: datetime) -> ActivityDocument:
    """The document of what was counted: of the routes in force, or of those that were counted if none are known."""
    names = [each.name for each in config.routes] if config else sorted(found.routes)
    return ActivityDocument(
        at=now,
        since=_moment(found.since),
        targets={
            target: _last_hour(found.delivered.get(target, {}), found.failed.get(target, {}), now)
            for target in sorted({*found.delivered, *found.failed, *(config.targets if config else ())})
        },
        routes=tuple(_route(name, found.routes[name], now) for name in names if name in found.routes),
        unrouted_24h=sum(number for hour, number in found.unrouted.items() if hour >= _first_of_a_day(now)),
    )


def _last_hour(delivered: Counts, failed: Counts, now: datetime) -> LastHourDocument:
    last = int(now.timestamp() // MINUTE)
    minutes = range(last - MINUTES + 1, last + 1)
    return LastHourDocument(
        delivered=tuple(delivered.get(each, 0) for each in minutes),
        failed=tuple(failed.get(each, 0) for each in minutes),
    )


def _route(name: str, hits: Hits, now: datetime) -> RouteHitsDocument:
    last_at = _moment(hits.last) if hits.last else None
    since = _moment(hits.since)
    if last_at and now - last_at < WEEK:
        silent: bool | None = False
    else:
        silent = True if now - since >= WEEK else None
    return RouteHitsDocument(
        route=name, hits_24h=_within_a_day(hits, now), last_at=last_at, since=since, silent_7d=silent
    )


def _within_a_day(hits: Hits, now: datetime) -> int:
    """How many, of the hours that began within the last 24."""
    return hits.within(_first_of_a_day(now))


def _first_of_a_day(now: datetime) -> int:
    """The first hour that began within the last 24."""
    return int((now - DAY).timestamp() // HOUR) + 1


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


# ---- sources


async def sources_of(
    desk: Desk, config: Config, counted: Activity | None, subscriptions: Mapping[str, SubscriptionDocument]
) -> tuple[SourceDocument, ...]:
    """Return the documents of the sources of a routes file."""
    now = desk.now()
    in_a_day = await desk.store.questions.refused_totals(since=now - DAY)
    lately = await desk.store.questions.refused_totals(since=now - AMOCRM_COUNTS)
    return tuple(
        _source(
            name,
            f"{source.guard.url if source.guard else ''}/hooks/{name}/***",
            counted.sources.get(name) if counted else None,
            _sum(in_a_day, name, frozenset(Rejection)),
            _sum(lately, name, FAILED),
            subscriptions.get(name),
            now,
        )
        for name, source in config.sources.items()
    )


def _sum(totals: Sequence[RefusedTotal], source: str, reasons: frozenset[Rejection]) -> int:
    return sum(each.count for each in totals if each.source == source and each.reason in reasons)


def _source(
    name: str,
    address: str,
    hits: Hits | None,
    refused: int,
    failed: int,
    subscription: SubscriptionDocument | None,
    now: datetime,
) -> SourceDocument:
    return SourceDocument(
        source=name,
        address=address,
        last_at=_moment(hits.last) if hits and hits.last else None,
        webhooks_24h=_within_a_day(hits, now) if hits else None,
        since=_moment(hits.since) if hits else None,
        refused_24h=refused,
        failed_2h=failed,
        most_failed=MOST_FAILED,
        subscription=subscription,
    )


ACTIVITY = Operation(
    name="activity",
    method="GET",
    path="/activity",
    role=Role.VIEWER,
    parameters=Everything,
    document=ActivityDocument,
    run=activity,
    summary="Show deliveries of the last hour by target and minute, and what each route took in a day.",
)

SOURCES = Operation(
    name="sources",
    method="GET",
    path="/sources",
    role=Role.VIEWER,
    parameters=Everything,
    document=Listing[SourceDocument],
    run=sources,
    summary="List the sources: what came last, what was refused, and whether amoCRM may switch one off.",
)
