"""GET /deliveries, `relay list`: a filter -> deliveries, newest first."""

from dataclasses import dataclass

from relay.operations import lookup
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.deliveries import NO_NAMES, DeliveryDocument, delivery_document
from relay.operations.documents.listing import Listing
from relay.operations.next_step import Situation
from relay.operations.unknown_names import unknown_names
from relay.operations.which import LOOK, Cursor, Limit, Which


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries(Which):
    """`before`: the cursor of the page before."""

    limit: Limit = 50
    before: Cursor | None = None


async def deliveries(desk: Desk, asked: Deliveries) -> Listing[DeliveryDocument]:
    """List deliveries with their last attempts; BadCursor for a cursor of another listing."""
    wanted = asked.filter()
    found = await desk.store.find(wanted, limit=asked.limit, before=asked.before, budget=LOOK)
    if not found:
        notes = tuple(await unknown_names(desk.store, wanted, desk.config_or_none()))
        return Listing(data=(), next=found.next, searched_to=found.searched_to, notes=notes)
    config = desk.config_or_none()
    names = await lookup.names(desk.store, found, config.event_names) if config else {}
    situation = await situation_of(desk)
    documents = (delivery_document(each, situation, names.get(each.event_id, NO_NAMES)) for each in found)
    return Listing(data=tuple(documents), next=found.next, searched_to=found.searched_to)


async def situation_of(desk: Desk) -> Situation:
    """What the next steps of deliveries depend on."""
    config = desk.config_or_none()
    status = await desk.store.status()
    return Situation(now=desk.now(), status=status, routed=config.targets if config else None)


DELIVERIES = Operation(
    name="deliveries",
    method="GET",
    path="/deliveries",
    role=Role.VIEWER,
    parameters=Deliveries,
    document=Listing[DeliveryDocument],
    run=deliveries,
    summary="List deliveries, newest first.",
)
