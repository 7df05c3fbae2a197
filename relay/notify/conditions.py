"""Facts -> those that change something: a condition that holds already is not raised again. Pure; stored beside it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from relay.model import Json
from relay.notify.facts import Change, Fact, Topic
from relay.rfc3339 import rfc3339

KEPT = frozenset({Topic.TARGET, Topic.DISK, Topic.SPOOL, Topic.RELOAD})
"""Conditions that this relay remembers; the others are remembered in the database."""
_VALUES = {Topic.DISK: "level"}
"""What of a condition's values makes it another one."""


@dataclass(frozen=True, slots=True)
class _Held:
    since: datetime
    value: str
    confirmed: bool = True  # by this process, not only by the one before


class Conditions:
    """What holds, since when, over restarts."""

    def __init__(self, stored: Json = None) -> None:
        self._held: dict[tuple[Topic, str], _Held] = {}
        for topic, subject, since, value in stored or ():
            self._held[Topic(topic), subject] = _Held(datetime.fromisoformat(since), value, confirmed=False)

    def stored(self) -> Json:
        """What another process begins with."""
        return [[topic, subject, rfc3339(each.since), each.value] for (topic, subject), each in self._held.items()]

    def take(self, fact: Fact) -> Fact | None:
        """Return the fact if it changes something; one that ends a condition says since when it held."""
        if fact.topic not in KEPT:
            return fact
        key = (fact.topic, fact.subject)
        held = self._held.get(key)
        if fact.change is Change.CLEARED:
            if held is None:
                return None
            del self._held[key]
            return replace(fact, values={**fact.values, "since": rfc3339(held.since)})
        value = fact.values.get(_VALUES.get(fact.topic, ""), "")
        self._held[key] = _Held(held.since if held else fact.at, value)
        return None if held and held.value == value else fact

    def doubtful(self, topic: Topic) -> list[str]:
        """The subjects of what the process before has seen, and this one has not."""
        return [subject for (known, subject), each in self._held.items() if known is topic and not each.confirmed]

    def forget_targets(self, routed: Collection[str]) -> None:
        """Forget targets that the routes no longer name."""
        for key in [key for key in self._held if key[0] is Topic.TARGET and key[1] not in routed]:
            del self._held[key]


def ended(topic: Topic, subject: str, at: datetime, values: Mapping[str, str] | None = None) -> Fact:
    """A condition that is known to hold no more."""
    return Fact(topic=topic, subject=subject, change=Change.CLEARED, at=at, values=values or {})
