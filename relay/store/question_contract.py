"""What a store promises to those who ask what happened; errors are as `contract` says.

A `budget` bounds the time of a look through history for which there is no index. The look ends before the step that
would exceed it; the page's `searched_to` says how far it came, `next` where to go on. None: it looks to the end.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from relay.store.activity import Activity
from relay.store.question_records import (
    AttemptFilter,
    MadeAttempt,
    RefusedMinute,
    RefusedTotal,
    StoryEvent,
    UnroutedKind,
)
from relay.store.records import Filter, Page, Report


class QuestionStore(Protocol):
    """Questions of operators; nothing here writes but what begins with `record`."""

    async def attempts(
        self, wanted: AttemptFilter, *, limit: int, before: str | None = None, budget: timedelta | None = None
    ) -> Page[MadeAttempt]:
        """Return at most `limit` attempts, by the time at which they began, newest first; `before` is a cursor.

        What failed is found by an index of its own.
        """
        ...

    async def story(
        self, entity: str, entity_id: str, *, limit: int, before: str | None = None, budget: timedelta | None = None
    ) -> Page[StoryEvent]:
        """Return at most `limit` events about one object, newest first; `before` is a cursor.

        An index has them, unless there are more than `looks.FEW` events.
        """
        ...

    async def unrouted_kinds(self, wanted: Filter, *, budget: timedelta | None = None) -> Page[UnroutedKind]:
        """Count the events that have no delivery, by their type; the most frequent first.

        All of them are one page. States, target, route and reason of `wanted` are ignored.
        """
        ...

    async def refused(
        self,
        *,
        source: str | None = None,
        reason: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int,
        before: str | None = None,
    ) -> Page[RefusedMinute]:
        """Return what was refused, a row for each minute, source and reason, newest first; `before` is a cursor."""
        ...

    async def record_refused(self, refused: Sequence[RefusedMinute]) -> None:
        """Replace what this relay has recorded of these minutes; forget what is older than `KEPT` before the newest."""
        ...

    async def refused_totals(self, *, since: datetime) -> Sequence[RefusedTotal]:
        """Count what was refused from that minute on, by source and reason, in their order."""
        ...

    @property
    def relay(self) -> str:
        """The name of this relay in `Report.relay`; empty where the store is one relay's alone."""
        ...

    async def published(self, name: str) -> Sequence[Report]:
        """Return what each relay published last under this name, also those that are gone; the newest first."""
        ...

    async def record_activity(self, activity: Activity, *, now: datetime) -> None:
        """Replace this relay's report of its activity; forget others that are older than `ACTIVITY_KEPT`."""
        ...

    async def activity(self) -> Sequence[Activity]:
        """Return what each relay recorded last, also those that are gone; the newest first."""
        ...

    async def own_activity(self) -> Activity | None:
        """Return what this relay recorded last, the process before too; None if it never did."""
        ...
