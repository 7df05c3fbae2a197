"""GET /audit, `relay audit`: what operators did, newest first."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.acts import AuditDocument, audit_document
from relay.operations.documents.listing import Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The last so many."""

    limit: Annotated[int, Meta(ge=1, le=10_000, description="At most so many.")] = 50


async def audit(desk: Desk, asked: Audit) -> Listing[AuditDocument]:
    """List what operators did."""
    found = await desk.store.audit(limit=asked.limit)
    return Listing(data=tuple(audit_document(each) for each in found))


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
