"""Two routes files and the stored events -> the events that an edit would route to other targets."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

from relay.amocrm import events
from relay.model import Event
from relay.routes.config import Config
from relay.routes.match import Matcher, Matches
from relay.store.contract import OperationsStore
from relay.store.records import Filter

PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingChange:
    """An event that the new routes send to other targets."""

    event: Event
    before: Matches
    after: Matches


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffSummary:
    """Counts over `events`: by target those it would get in addition and those it would lose; `changed` in all."""

    events: int = 0
    also: Counter[str] = field(default_factory=Counter)
    no_longer: Counter[str] = field(default_factory=Counter)
    changed: int = 0

    def __add__(self, other: "DiffSummary") -> "DiffSummary":
        return DiffSummary(
            events=self.events + other.events,
            also=self.also + other.also,
            no_longer=self.no_longer + other.no_longer,
            changed=self.changed + other.changed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutesDiff:
    """All changes counted, and the first of them. `next`: the cursor to go on from, if a budget ended it."""

    counts: DiffSummary
    changes: Sequence[RoutingChange]
    next: str | None = None


async def diff(
    store: OperationsStore,
    before: Config,
    after: Config,
    *,
    since: datetime,
    most: int,
    cursor: str | None = None,
    budget: timedelta | None = None,
) -> RoutesDiff:
    """Route the events from `since` on by both; keep at most `most` changes, for each holds its event.

    With a `budget` it ends after the page in which that is spent; `cursor` goes on from there.
    """
    counts, first, began = DiffSummary(), list[RoutingChange](), monotonic()
    while True:
        page = await store.events(Filter(since=since), limit=PAGE, after=cursor)
        found = [events.load(each.payload) for each in page if not each.corrupt]
        changed = _changes(before.matcher, after.matcher, found)
        counts += _summary(changed, of=len(found))
        first += changed[: most - len(first)]
        cursor = page.next
        spent = budget is not None and monotonic() - began >= budget.total_seconds()
        if cursor is None or spent:
            return RoutesDiff(counts=counts, changes=first, next=cursor)


def _changes(old: Matcher, new: Matcher, found: Collection[Event]) -> list[RoutingChange]:
    """The events that the two send to different targets, in the order given."""
    matched = (RoutingChange(event=event, before=old.match(event), after=new.match(event)) for event in found)
    return [change for change in matched if change.before.targets.keys() != change.after.targets.keys()]


def _summary(changed: Collection[RoutingChange], *, of: int) -> DiffSummary:
    """Count by target; `of` is how many events were compared."""
    also: Counter[str] = Counter()
    no_longer: Counter[str] = Counter()
    for change in changed:
        before, after = change.before.targets.keys(), change.after.targets.keys()
        also.update(after - before)
        no_longer.update(before - after)
    return DiffSummary(events=of, also=also, no_longer=no_longer, changed=len(changed))
