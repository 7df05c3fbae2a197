"""GET /audit, `relay audit`: what operators did, newest first."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.acts import AuditDocument, audit_document
from relay.operations.documents.listing import Listing
from relay.operations.documents.marks import Moment
from relay.operations.which import Cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All that is given must hold. `since` is included, `until` is not. `before`: the cursor of the page before."""

    id: Annotated[str | None, Meta(description="The act with this id.")] = None
    who: Annotated[str | None, Meta(description="By this person or program, as the audit names them.")] = None
    command: Annotated[str | None, Meta(description="Of this kind: replay, pause, purge, …")] = None
    since: Annotated[Moment | None, Meta(description="Done, or begun, then or later.")] = None
    until: Annotated[Moment | None, Meta(description="Done, or begun, before then.")] = None
    limit: Annotated[int, Meta(ge=1, le=10_000, description="At most so many.")] = 50
    before: Cursor | None = None


async def audit(desk: Desk, asked: Audit) -> Listing[AuditDocument]:
    """List what operators did."""
    found = await desk.store.audit(
        limit=asked.limit,
        before=asked.before,
        id_=asked.id,
        who=asked.who,
        command=asked.command,
        since=asked.since,
        until=asked.until,
    )
    return Listing(data=tuple(audit_document(each) for each in found), next=found.next)


AUDIT = Operation(
    name="audit",
    method="GET",
    path="/audit",
    role=Role.VIEWER,
    parameters=Audit,
    document=Listing[AuditDocument],
    run=audit,
    summary="List what operators did, newest first.",
)
