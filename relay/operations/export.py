"""GET /export and /export/webhooks, `relay export`: stored events, or webhooks with all that came of them, to keep."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from relay.operations import lookup
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.exports import ExportedEvent, ExportedWebhook, exported_event, exported_webhook
from relay.operations.documents.listing import Listing
from relay.operations.documents.marks import Moment
from relay.operations.unknown_names import unknown_names
from relay.operations.which import Cursor, Limit
from relay.store.records import Filter

MAX_BYTES = 4 * 1024 * 1024  # bodies of a page: an export takes no more memory, however much is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportWebhooks:
    """`since` is included, `until` is not; both are of the arrival. A page may have fewer than `limit`."""

    since: Annotated[Moment | None, Meta(description="Arrived then or later.")] = None
    until: Annotated[Moment | None, Meta(description="Arrived before then.")] = None
    limit: Limit = 50
    after: Cursor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Export(ExportWebhooks):
    """The same of events; all that is given must hold."""

    entity: Annotated[str | None, Meta(description="About leads, contacts, companies, task, …")] = None
    action: Annotated[str | None, Meta(description="status, add, update, note, …")] = None
    id: Annotated[str | None, Meta(description="About the lead, contact, … with this id.")] = None
    pipeline: Annotated[str | None, Meta(description="In this pipeline.")] = None
    source: Annotated[str | None, Meta(description="Of webhooks of this source.")] = None
    account: Annotated[str | None, Meta(description="Of webhooks of this account: its id or its subdomain.")] = None


async def export(desk: Desk, asked: Export) -> Listing[ExportedEvent]:
    """List events as targets receive them, oldest first; BadCursor for a cursor of another listing."""
    wanted = Filter(
        entity=asked.entity,
        action=asked.action,
        entity_id=asked.id,
        pipeline_id=asked.pipeline,
        source=asked.source,
        account=asked.account,
        since=asked.since,
        until=asked.until,
    )
    page = await lookup.within_bytes(
        lambda few, after: desk.store.events(wanted, limit=few, after=after),
        limit=asked.limit,
        after=asked.after,
        size=lambda each: len(each.payload),
    )
    notes = [] if page else await unknown_names(desk.store, wanted, desk.config_or_none())
    return Listing(data=tuple(map(exported_event, page)), next=page.next, notes=tuple(notes))


async def export_webhooks(desk: Desk, asked: ExportWebhooks) -> Listing[ExportedWebhook]:
    """List webhooks with their bodies, events, deliveries and attempts, oldest first, also what could not be read."""
    page = await desk.store.webhooks(
        limit=asked.limit, max_bytes=MAX_BYTES, since=asked.since, until=asked.until, after=asked.after
    )
    return Listing(data=tuple(map(exported_webhook, page)), next=page.next)


EXPORT = Operation(
    name="export",
    method="GET",
    path="/export",
    role=Role.VIEWER,
    parameters=Export,
    document=Listing[ExportedEvent],
    run=export,
    summary="Take events out, as targets receive them, oldest first.",
)

EXPORT_WEBHOOKS = Operation(
    name="export_webhooks",
    method="GET",
    path="/export/webhooks",
    role=Role.VIEWER,
    parameters=ExportWebhooks,
    document=Listing[ExportedWebhook],
    run=export_webhooks,
    summary="Take webhooks out, with all that came of them, oldest first.",
)
