"""GET /acts/{act}/deliveries: the deliveries that an act replayed, dismissed or dropped, as they are now."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import Annotated

from msgspec import Meta

from relay.errors import NotFoundError
from relay.model import State
from relay.operations import audit
from relay.operations.asker import Role
from relay.operations.deliveries import COUNTED_AT_ONCE, MOST_COUNTED, situation_of
from relay.operations.desk import Desk, Operation
from relay.operations.documents.acts import ActDeliveriesDocument
from relay.operations.documents.deliveries import delivery_document
from relay.operations.which import LOOK, Cursor, Limit, left_of_look
from relay.store.records import AuditEntry, Filter

REPLAYED = frozenset({"replay", "replay --unrouted", "replay --reroute"})
ENDED = frozenset({"dismiss", "drop"})
OF_DELIVERIES = REPLAYED | ENDED
"""Acts, as the audit calls them, whose deliveries can be found again."""

MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActDeliveries:
    """`act`: its id in the audit. `before`: the cursor of the page before."""

    act: str
    state: Annotated[tuple[State, ...], Meta(description="Only those that are in any of these states now.")] = ()
    limit: Limit = 50
    before: Cursor | None = None


async def act_deliveries(desk: Desk, asked: ActDeliveries) -> ActDeliveriesDocument:
    """List the deliveries of an act, but for those that were replayed again since.

    NotFoundError for an act that the audit does not have, or that is not about deliveries.
    """
    entry = next(iter(await desk.store.audit(limit=1, id_=asked.act)), None)
    if entry is None or entry.command not in OF_DELIVERIES:
        raise NotFoundError(f"no act about deliveries has the id {asked.act[:80]!r}: see GET /api/v1/audit")
    wanted = _concerned(entry)
    page = await desk.store.find(
        replace(wanted, states=asked.state or wanted.states), limit=asked.limit, before=asked.before, budget=LOOK
    )
    states, more = await _states(desk, wanted)
    situation = await situation_of(desk)
    return ActDeliveriesDocument(
        data=tuple(delivery_document(each, situation) for each in page),
        next=page.next,
        searched_to=page.searched_to,
        states=states,
        more=more,
    )


def _concerned(entry: AuditEntry) -> Filter:
    """What the act left in the deliveries, within what it was asked for."""
    wanted = audit.filter_of(entry.details)
    if entry.command in ENDED:
        return replace(wanted, states=(State.DEAD,), dismissed_at=entry.at)
    rate = entry.details.get("rate")
    turns = max(entry.count - 1, 0)
    last = entry.at + timedelta(milliseconds=int(turns * 1000 / rate) if isinstance(rate, int | float) and rate else 0)
    return replace(wanted, replayed_since=entry.at, replayed_until=last + MILLISECOND)


async def _states(desk: Desk, wanted: Filter) -> tuple[dict[str, int], bool]:
    """How many there are in each state, for as long as a look may take; and whether that was not enough."""
    found, begun, cursor = Counter[str](), monotonic(), None
    while True:
        left = left_of_look(begun)
        page = await desk.store.find(wanted, limit=COUNTED_AT_ONCE, before=cursor, budget=left)
        found.update(str(each.state) for each in page)
        cursor = page.next
        if cursor is None or found.total() >= MOST_COUNTED or page.searched_to or not left:
            return dict(sorted(found.items())), cursor is not None


ACT_DELIVERIES = Operation(
    name="act_deliveries",
    method="GET",
    path="/acts/{act}/deliveries",
    role=Role.VIEWER,
    parameters=ActDeliveries,
    document=ActDeliveriesDocument,
    run=act_deliveries,
    summary="List the deliveries that an act replayed, dismissed or dropped, as they are now.",
)
