"""Two sets of routes and events -> what the new ones route differently. Pure."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from relay.model import Event
from relay.routes.match import Matcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Of so many events, how many would also go to a target, and how many no longer."""

    events: int = 0
    also: Counter[str] = field(default_factory=Counter)
    no_longer: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Difference") -> "Difference":
        return Difference(
            events=self.events + other.events,
            also=self.also + other.also,
            no_longer=self.no_longer + other.no_longer,
        )


def difference(old: Matcher, new: Matcher, events: Collection[Event]) -> Difference:
    """Count, target by target, the events that the two disagree about."""
    also: Counter[str] = Counter()
    no_longer: Counter[str] = Counter()
    for event in events:
        before, after = old.match(event).targets.keys(), new.match(event).targets.keys()
        also.update(after - before)
        no_longer.update(before - after)
    return Difference(events=len(events), also=also, no_longer=no_longer)
