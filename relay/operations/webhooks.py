"""GET /webhooks/{id}, /events, /events/{id}, /unparsed, `relay show`, `relay list --unparsed`: what came, and of it."""

from dataclasses import dataclass
from time import monotonic
from typing import Annotated

from msgspec import Meta

from relay.errors import NotFoundError
from relay.model.event_names import EventNames
from relay.operations import lookup
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.listing import Listing
from relay.operations.documents.webhooks import (
    EventDocument,
    EventHistoryDocument,
    WebhookDocument,
    WebhookHistoryDocument,
    event_document,
    event_history,
    webhook_document,
    webhook_history,
)
from relay.operations.next_step import Situation
from relay.operations.unknown_names import unknown_names
from relay.operations.which import Cursor, Limit, WhichEvents, left_of_look
from relay.store.records import LONGEST_BODY

BodyBytes = Annotated[
    int,
    Meta(ge=0, le=LONGEST_BODY, description="Only so many bytes of each body, from its start. Left out: whole bodies."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """`id`: a webhook's or an event's, or a start of it that no other has."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unparsed:
    """`after`: the cursor of the page before. `body_bytes` None: bodies are whole."""

    dismissed: Annotated[bool, Meta(description="Those that were dismissed, instead of the others.")] = False
    limit: Limit = 50
    after: Cursor | None = None
    body_bytes: BodyBytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Events(WhichEvents):
    """`after`: the cursor of the page before."""

    limit: Limit = 50
    after: Cursor | None = None


async def webhook(desk: Desk, asked: Shown) -> WebhookHistoryDocument:
    """Show a webhook with all that came of it; NotFoundError, or ConflictError for a start that several ids have."""
    record = (await lookup.show(desk.store, asked.id)).record
    fetched = await lookup.fetched(desk.store, record.events)
    names, host = lookup.names_in(record.events, _names(desk)), _account_host(desk, record.webhook.source)
    return webhook_history(record, names, fetched, await _situation(desk), host)


async def event(desk: Desk, asked: Shown) -> EventHistoryDocument:
    """Show an event with its deliveries; NotFoundError for an id that is a webhook's."""
    found = await lookup.show(desk.store, asked.id)
    if len(found.events) != 1 or not found.events[0].id.startswith(asked.id):
        raise NotFoundError(f"no event has an id that starts with {asked.id[:80]!r}: see GET /webhooks/{{id}}")
    [one], names = found.events, lookup.names_in(found.events, _names(desk))
    fetched = await lookup.fetched(desk.store, [one])
    return event_history(one, names, fetched.get(one.id), await _situation(desk))


async def unparsed(desk: Desk, asked: Unparsed) -> Listing[WebhookDocument]:
    """List webhooks that could not be read, oldest first."""
    page = await lookup.within_bytes(
        lambda few, after: desk.store.unparsed(
            limit=few, after=after, dismissed=asked.dismissed, most=asked.body_bytes
        ),
        limit=asked.limit,
        after=asked.after,
        size=lambda each: len(each.body),
    )
    return Listing(data=tuple(webhook_document(each) for each in page), next=page.next)


async def events(desk: Desk, asked: Events) -> Listing[EventDocument]:
    """List events without their deliveries, oldest first."""
    wanted, begun = asked.filter(), monotonic()
    page = await lookup.within_bytes(
        lambda few, after: desk.store.events(wanted, limit=few, after=after, budget=left_of_look(begun)),
        limit=asked.limit,
        after=asked.after,
        size=lambda each: len(each.payload),
    )
    names = lookup.names_in(page, _names(desk))
    return Listing(
        data=tuple(event_document(each, names) for each in page),
        next=page.next,
        searched_to=page.searched_to,
        notes=() if page else tuple(await unknown_names(desk.store, wanted, desk.config_or_none(), begun=begun)),
    )


def _account_host(desk: Desk, source: str) -> str:
    config = desk.config_or_none()
    account = config.sources[source].account if config and source in config.sources else None
    return config.accounts[account].host if config and account and account in config.accounts else ""


def _names(desk: Desk) -> EventNames:
    config = desk.config_or_none()
    return config.event_names if config else EventNames({})


async def _situation(desk: Desk) -> Situation:
    config = desk.config_or_none()
    return Situation(now=desk.now(), status=await desk.store.status(), routed=config.targets if config else None)


WEBHOOK = Operation(
    name="webhook",
    method="GET",
    path="/webhooks/{id}",
    role=Role.VIEWER,
    parameters=Shown,
    document=WebhookHistoryDocument,
    run=webhook,
    summary="Show a webhook: its events, deliveries and every attempt.",
)

EVENT = Operation(
    name="event",
    method="GET",
    path="/events/{id}",
    role=Role.VIEWER,
    parameters=Shown,
    document=EventHistoryDocument,
    run=event,
    summary="Show an event: its deliveries and every attempt.",
)

EVENTS = Operation(
    name="events",
    method="GET",
    path="/events",
    role=Role.VIEWER,
    parameters=Events,
    document=Listing[EventDocument],
    run=events,
    summary="List events, oldest first.",
)

UNPARSED = Operation(
    name="unparsed",
    method="GET",
    path="/unparsed",
    role=Role.VIEWER,
    parameters=Unparsed,
    document=Listing[WebhookDocument],
    run=unparsed,
    summary="List webhooks that could not be read, oldest first.",
)
