"""The parameters that narrow a listing or an act, named as the flags of the command line -> a `Filter`."""

from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import Annotated

from msgspec import Meta

from relay.errors import ConflictError
from relay.model import Reason, State
from relay.operations.documents.marks import Moment
from relay.store.cursors import LARGEST
from relay.store.records import Filter

MAX_PAGE = 200

LOOK = timedelta(milliseconds=80)
"""What a page may cost that no index answers; what is left is looked for by the next one. With what is made of it, a
page is there within 100 ms.
"""


def left_of_look(begun: float) -> timedelta:
    """What is left of `LOOK` for a question that began at that time of `time.monotonic`."""
    return max(LOOK - timedelta(seconds=monotonic() - begun), timedelta())


Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="At most so many.")]
Rate = Annotated[float, Meta(gt=0, le=1_000_000, description="Due so many a second; left out: all at once.")]
Most = Annotated[int, Meta(ge=0, le=LARGEST, description="Do nothing if more are found: they were counted before.")]
Cursor = Annotated[str, Meta(description="`next` of the page before.")]


def demand_at_most(found: int, most: int | None) -> None:
    """ConflictError if more are found than were counted before: the operator has not been shown them."""
    if most is not None and found > most:
        raise ConflictError(f"{found} are found now, and {most} were counted before: nothing was done, count again")


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichEvents:
    """Which events: all that is given must hold. `since` is included, `until` is not; both are of the arrival."""

    entity: Annotated[str | None, Meta(description="About leads, contacts, companies, task, …")] = None
    action: Annotated[str | None, Meta(description="status, add, update, note, …")] = None
    id: Annotated[str | None, Meta(description="About the lead, contact, … with this id.")] = None
    pipeline: Annotated[str | None, Meta(description="In this pipeline.")] = None
    source: Annotated[str | None, Meta(description="Of webhooks of this source.")] = None
    account: Annotated[str | None, Meta(description="Of webhooks of this account: its id or its subdomain.")] = None
    since: Annotated[Moment | None, Meta(description="Arrived then or later.")] = None
    until: Annotated[Moment | None, Meta(description="Arrived before then.")] = None

    def filter(self) -> Filter:
        """The same as the store takes it."""
        return Filter(
            entity=self.entity,
            action=self.action,
            entity_id=self.id,
            pipeline_id=self.pipeline,
            source=self.source,
            account=self.account,
            since=self.since,
            until=self.until,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Which(WhichEvents):
    """Which deliveries: all that is given must hold, of their events too."""

    state: Annotated[tuple[State, ...], Meta(description="Any of these states.")] = ()
    target: Annotated[str | None, Meta(description="Deliveries to this target.")] = None
    route: Annotated[str | None, Meta(description="Deliveries by this route.")] = None
    reason: Annotated[Reason | None, Meta(description="The last attempt ended so: 5xx, timeout, …")] = None
    dismissed: Annotated[bool | None, Meta(description="Only dismissed ones, or only others.")] = None
    settled_since: Annotated[Moment | None, Meta(description="Delivered, or dead, then or later.")] = None
    settled_until: Annotated[Moment | None, Meta(description="Delivered, or dead, before then.")] = None

    def filter(self) -> Filter:
        """The same as the store takes it."""
        return replace(
            WhichEvents.filter(self),
            states=self.state,
            target=self.target,
            route=self.route,
            reason=self.reason,
            dismissed=self.dismissed,
            settled_since=self.settled_since,
            settled_until=self.settled_until,
        )
