"""GET /deliveries, `relay list`: a filter -> deliveries, newest first."""

from dataclasses import dataclass
from time import monotonic

from relay.operations import lookup
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.deliveries import NO_NAMES, CountDocument, DeliveryDocument, delivery_document
from relay.operations.documents.listing import Listing
from relay.operations.next_step import Situation
from relay.operations.unknown_names import unknown_names
from relay.operations.which import LOOK, Cursor, Limit, Which, left_of_look

MOST_COUNTED, COUNTED_AT_ONCE = 10_000, 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries(Which):
    """`before`: the cursor of the page before."""

    limit: Limit = 50
    before: Cursor | None = None


async def deliveries(desk: Desk, asked: Deliveries) -> Listing[DeliveryDocument]:
    """List deliveries with their last attempts; BadCursor for a cursor of another listing."""
    wanted, begun = asked.filter(), monotonic()
    found = await desk.store.find(wanted, limit=asked.limit, before=asked.before, budget=LOOK)
    if not found:
        notes = tuple(await unknown_names(desk.store, wanted, desk.config_or_none(), begun=begun))
        return Listing(data=(), next=found.next, searched_to=found.searched_to, notes=notes)
    config = desk.config_or_none()
    names = await lookup.names(desk.store, found, config.event_names) if config else {}
    situation = await situation_of(desk)
    documents = (delivery_document(each, situation, names.get(each.event_id, NO_NAMES)) for each in found)
    return Listing(data=tuple(documents), next=found.next, searched_to=found.searched_to)


async def counted(desk: Desk, asked: Which) -> CountDocument:
    """Count deliveries, for as long as a look may take and up to `MOST_COUNTED`: `more` says that it was not enough."""
    wanted, begun = asked.filter(), monotonic()
    number, cursor = 0, None
    while True:
        left = left_of_look(begun)
        page = await desk.store.find(wanted, limit=COUNTED_AT_ONCE, before=cursor, budget=left)
        number, cursor = number + len(page), page.next
        if cursor is None or number >= MOST_COUNTED or page.searched_to or not left:
            return CountDocument(count=number, more=cursor is not None, searched_to=page.searched_to)


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

DELIVERIES_COUNT = Operation(
    name="deliveries_count",
    method="GET",
    path="/deliveries/count",
    role=Role.VIEWER,
    parameters=Which,
    document=CountDocument,
    run=counted,
    summary="Count deliveries, up to 10,000 and for 80 ms.",
)
