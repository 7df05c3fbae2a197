"""Two sets of routes and events -> what the new ones route differently. Pure."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from relay.model import Event
from relay.routes.match import Matcher, Matches


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An event that would go to other targets, by what it goes `before` and `after`."""

    event: Event
    before: Matches
    after: Matches


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Of so many events, how many would also go to a target, and how many no longer; and `changed` in all."""

    events: int = 0
    also: Counter[str] = field(default_factory=Counter)
    no_longer: Counter[str] = field(default_factory=Counter)
    changed: int = 0

    def __add__(self, other: "Difference") -> "Difference":
        return Difference(
            events=self.events + other.events,
            also=self.also + other.also,
            no_longer=self.no_longer + other.no_longer,
            changed=self.changed + other.changed,
        )


def changes(old: Matcher, new: Matcher, events: Collection[Event]) -> list[Change]:
    """The events that the two send to different targets, in their order."""
    matched = (Change(event=event, before=old.match(event), after=new.match(event)) for event in events)
    return [change for change in matched if change.before.targets.keys() != change.after.targets.keys()]


def difference(changed: Collection[Change], *, of: int) -> Difference:
    """Count the changes target by target; they are those of so many events."""
    also: Counter[str] = Counter()
    no_longer: Counter[str] = Counter()
    for change in changed:
        before, after = change.before.targets.keys(), change.after.targets.keys()
        also.update(after - before)
        no_longer.update(before - after)
    return Difference(events=of, also=also, no_longer=no_longer, changed=len(changed))
