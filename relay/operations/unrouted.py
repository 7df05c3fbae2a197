"""GET /unrouted, `relay list --unrouted`: a filter -> events that no route took, or how many there are of each type."""

from dataclasses import dataclass
from time import monotonic
from typing import Annotated, Literal

from msgspec import Meta

from relay.operations import lookup
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.deliveries import NO_NAMES
from relay.operations.documents.events import UnroutedListing, unrouted_document, unrouted_type_document
from relay.operations.unknown_names import unknown_names
from relay.operations.which import LOOK, Cursor, Limit, WhichEvents


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrouted(WhichEvents):
    """Which events: all that is given must hold. `after`: the cursor of the page before, without `by`."""

    by: Annotated[Literal["event", "type"], Meta(description="Events, or how many there are of each type.")] = "event"
    limit: Limit = 50
    after: Cursor | None = None


async def unrouted(desk: Desk, asked: Unrouted) -> UnroutedListing:
    """List them, oldest first; or count them, the most frequent type first."""
    if asked.by == "type":
        return await _by_type(desk, asked)
    wanted, config, begun = asked.filter(), desk.config_or_none(), monotonic()
    found = await desk.store.events(wanted, limit=asked.limit, after=asked.after, unrouted=True, budget=LOOK)
    names = lookup.names_in(found, config.event_names) if config else {}
    return UnroutedListing(
        data=tuple(unrouted_document(each, names.get(each.id, NO_NAMES)) for each in found),
        next=found.next,
        searched_to=found.searched_to,
        notes=() if found else tuple(await unknown_names(desk.store, wanted, config, begun=begun)),
    )


async def _by_type(desk: Desk, asked: Unrouted) -> UnroutedListing:
    wanted, begun = asked.filter(), monotonic()
    kinds = await desk.store.questions.unrouted_kinds(wanted, budget=LOOK)
    return UnroutedListing(
        data=(),
        types=tuple(map(unrouted_type_document, kinds)),
        searched_to=kinds.searched_to,
        notes=() if kinds else tuple(await unknown_names(desk.store, wanted, desk.config_or_none(), begun=begun)),
    )


UNROUTED = Operation(
    name="unrouted",
    method="GET",
    path="/unrouted",
    role=Role.VIEWER,
    parameters=Unrouted,
    document=UnroutedListing,
    run=unrouted,
    summary="List events that no route took, oldest first, or count them by type.",
)
