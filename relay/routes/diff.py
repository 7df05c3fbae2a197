"""Two sets of routes and events -> the events that the new routes send elsewhere, counted by target. Pure."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from relay.model import Event
from relay.routes.match import Matcher, Matches


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


def changes(old: Matcher, new: Matcher, events: Collection[Event]) -> list[RoutingChange]:
    """The events that the two send to different targets, in the order given."""
    matched = (RoutingChange(event=event, before=old.match(event), after=new.match(event)) for event in events)
    return [change for change in matched if change.before.targets.keys() != change.after.targets.keys()]


def summarize(changed: Collection[RoutingChange], *, of: int) -> DiffSummary:
    """Count by target; `of` is how many events were compared."""
    also: Counter[str] = Counter()
    no_longer: Counter[str] = Counter()
    for change in changed:
        before, after = change.before.targets.keys(), change.after.targets.keys()
        also.update(after - before)
        no_longer.update(before - after)
    return DiffSummary(events=of, also=also, no_longer=no_longer, changed=len(changed))
