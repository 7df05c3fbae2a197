"""Two routes files and the stored events -> the events that an edit would route to other targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from relay.amocrm import events
from relay.operations.lookup import pages
from relay.routes.config import Config
from relay.routes.diff import DiffSummary, RoutingChange, changes, summarize
from relay.store.contract import OperationsStore
from relay.store.records import Filter

PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutesDiff:
    """All changes counted, and the first of them."""

    counts: DiffSummary
    changes: Sequence[RoutingChange]


async def diff(store: OperationsStore, before: Config, after: Config, *, since: datetime, most: int) -> RoutesDiff:
    """Route the events from `since` on by both; keep at most `most` changes, for each holds its event."""
    counts, first = DiffSummary(), list[RoutingChange]()
    async for page in pages(lambda cursor: store.events(Filter(since=since), limit=PAGE, after=cursor)):
        found = [events.load(each.payload) for each in page if not each.corrupt]
        changed = changes(before.matcher, after.matcher, found)
        counts += summarize(changed, of=len(found))
        first += changed[: most - len(first)]
    return RoutesDiff(counts=counts, changes=first)
