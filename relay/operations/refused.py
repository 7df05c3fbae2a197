"""GET /refused, `relay list --refused`: which requests were not answered with 2xx, minute by minute, and why."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.events import RefusedDocument, refused_document
from relay.operations.documents.listing import Listing
from relay.operations.documents.marks import Moment
from relay.operations.which import Cursor, Limit
from relay.signals import Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Which minutes: all that is given must hold. `since` is included, `until` is not."""

    source: Annotated[str | None, Meta(description="To this source; `-`: without a right token.")] = None
    reason: Annotated[Rejection | None, Meta(description="unauthorized, misaddressed, too_large, …")] = None
    since: Annotated[Moment | None, Meta(description="Refused then or later, to the minute.")] = None
    until: Annotated[Moment | None, Meta(description="Refused before then.")] = None
    limit: Limit = 50
    before: Cursor | None = None


async def refused(desk: Desk, asked: Refused) -> Listing[RefusedDocument]:
    """List them, newest first."""
    found = await desk.store.questions.refused(
        source=asked.source,
        reason=asked.reason,
        since=asked.since,
        until=asked.until,
        limit=asked.limit,
        before=asked.before,
    )
    return Listing(data=tuple(map(refused_document, found)), next=found.next)


REFUSED = Operation(
    name="refused",
    method="GET",
    path="/refused",
    role=Role.VIEWER,
    parameters=Refused,
    document=Listing[RefusedDocument],
    run=refused,
    summary="List requests that were not answered with 2xx, by minute, newest first.",
)
