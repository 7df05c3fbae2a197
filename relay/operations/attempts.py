"""GET /attempts, `relay attempts`: a filter -> attempts by the time at which they began, newest first."""

from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Annotated

from msgspec import Meta

from relay.model import Reason
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.attempts import MadeAttemptDocument, made_attempt_document
from relay.operations.documents.listing import Listing
from relay.operations.documents.marks import Moment
from relay.operations.reading import Fault, InvalidParameters
from relay.operations.unknown_names import unknown_names
from relay.operations.which import LOOK, Cursor, Limit
from relay.routes import units
from relay.routes.diagnostics import Unfit, quoted
from relay.store.question_records import AttemptFilter
from relay.store.records import Filter

Length = Annotated[str, Meta(extra_json_schema={"pattern": f"^{units.DURATION}$"})]
"""A duration as in the routes file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Which attempts: all that is given must hold. `since` is included, `until` is not; both are of the attempt."""

    failed: Annotated[bool, Meta(description="Only those that did not deliver.")] = False
    target: Annotated[str | None, Meta(description="At this target.")] = None
    reason: Annotated[Reason | None, Meta(description="Those that ended so: 5xx, timeout, …")] = None
    slower: Annotated[Length | None, Meta(description="Took longer: 500ms, 2s, 5m.")] = None
    since: Annotated[Moment | None, Meta(description="Began then or later.")] = None
    until: Annotated[Moment | None, Meta(description="Began before then.")] = None
    limit: Limit = 50
    before: Cursor | None = None


async def attempts(desk: Desk, asked: Attempts) -> Listing[MadeAttemptDocument]:
    """List attempts with their errors; BadCursor for a cursor of another listing, InvalidParameters for no duration."""
    wanted = AttemptFilter(
        failed=asked.failed,
        target=asked.target,
        reason=asked.reason,
        slower=_length(asked.slower),
        since=asked.since,
        until=asked.until,
    )
    begun = monotonic()
    found = await desk.store.questions.attempts(wanted, limit=asked.limit, before=asked.before, budget=LOOK)
    names = Filter(target=asked.target)
    notes = () if found else tuple(await unknown_names(desk.store, names, desk.config_or_none(), begun=begun))
    return Listing(
        data=tuple(map(made_attempt_document, found)), next=found.next, searched_to=found.searched_to, notes=notes
    )


def _length(text: str | None) -> timedelta | None:
    try:
        return None if text is None else units.duration(text)
    except Unfit as unfit:
        raise InvalidParameters(Fault(pointer="/slower", detail=f"{quoted(text or '')} {unfit}")) from None


ATTEMPTS = Operation(
    name="attempts",
    method="GET",
    path="/attempts",
    role=Role.VIEWER,
    parameters=Attempts,
    document=Listing[MadeAttemptDocument],
    run=attempts,
    summary="List attempts, newest first: what failed and why, and what was slow.",
)
