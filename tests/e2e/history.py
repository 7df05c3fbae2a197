"""What was sent, what arrived, what is dead -> what is lost, unexpected, duplicated, recovered, mismatched.

The words are those of Jepsen's total-queue checker. A history can be judged only once it is drained: no delivery is
pending any more, so whatever has not arrived by then never will.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

Place: TypeAlias = tuple[str, str]
"""(target, marker): a delivery as the two ends know it."""

OF_THE_RELAY = ("id", "timestamp")
"""The members of an event that the sender cannot know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A webhook with one event, and the targets it is for. Not `acknowledged`: nobody knows whether it was kept.

    `began` and `ended`, seconds of the monotonic clock: between them it was sent and answered. `key` is its entity,
    `via` where it was posted to.
    """

    marker: str
    targets: frozenset[str]
    event: Mapping[str, Any]
    acknowledged: bool
    began: float = 0.0
    ended: float = 0.0
    key: str = ""
    via: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request at a target. `accepted`: the target took it, even if its 2xx never reached the relay."""

    target: str
    marker: str
    event_id: str
    attempt: int
    body: bytes
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """`lost`, `unexpected` and `mismatched` must be empty; `duplicated` counts the repeats, a crash may cause some."""

    lost: frozenset[Place] = frozenset()
    unexpected: frozenset[Place] = frozenset()
    mismatched: frozenset[Place] = frozenset()
    recovered: frozenset[Place] = frozenset()
    duplicated: Mapping[Place, int] = field(default_factory=dict)

    def repeats(self, target: str) -> int:
        """How many requests the target took that it had taken before."""
        return sum(number for place, number in self.duplicated.items() if place[0] == target)

    def __str__(self) -> str:
        return (
            f"lost {len(self.lost)}, unexpected {len(self.unexpected)}, mismatched {len(self.mismatched)},"
            f" duplicated {sum(self.duplicated.values())}, recovered {len(self.recovered)}"
        )


def judge(sent: Sequence[Sent], received: Sequence[Received], dead: Collection[Place] = ()) -> Findings:
    """The findings of a drained history.

    lost        owed and neither taken nor dead; owed is all of a webhook that was answered 200, and all of one that
                shows up at any target: it is kept whole or not at all
    unexpected  received, but never sent, or not for that target
    mismatched  not the event that was sent, or not the same bytes, id and a new attempt number each time
    recovered   taken, although the sender was not told that it was kept
    duplicated  taken more than once
    """
    for_target = {(target, each.marker): each for each in sent for target in each.targets}
    taken = Counter((each.target, each.marker) for each in received if each.accepted)
    kept = _kept(sent, received, dead)
    return Findings(
        lost=frozenset(place for place in for_target if place[1] in kept) - taken.keys() - set(dead),
        unexpected=frozenset((each.target, each.marker) for each in received) - for_target.keys(),
        mismatched=frozenset(_mismatched(sent, received)),
        recovered=frozenset(place for place in taken if place in for_target and not for_target[place].acknowledged),
        duplicated={place: number - 1 for place, number in taken.items() if number > 1},
    )


def overtaken(sent: Sequence[Sent], received: Sequence[Received], target: str, *, anywhere: bool = False) -> set[str]:
    """Markers of what the target took after something of the same key that had been sent later.

    Later: after the one was answered 200, the other was sent, by the same way (`via`); by any with `anywhere`.
    """
    position: dict[str, int] = {}
    for index, each in enumerate(received):
        if each.target == target and each.accepted:
            position.setdefault(each.marker, index)
    found: set[str] = set()
    latest: dict[tuple[str, str], float] = {}
    for one in sorted((one for one in sent if one.marker in position), key=lambda one: position[one.marker]):
        way = ("" if anywhere else one.via, one.key)
        if one.acknowledged and latest.get(way, one.ended) > one.ended:
            found.add(one.marker)
        latest[way] = max(latest.get(way, one.began), one.began)
    return found


def _kept(sent: Iterable[Sent], received: Iterable[Received], dead: Iterable[Place]) -> set[str]:
    acknowledged = {each.marker for each in sent if each.acknowledged}
    return acknowledged | {each.marker for each in received} | {marker for _target, marker in dead}


def _mismatched(sent: Iterable[Sent], received: Iterable[Received]) -> Iterable[Place]:
    events = {each.marker: each.event for each in sent}
    first: dict[str, Received] = {}
    attempts: defaultdict[Place, set[int]] = defaultdict(set)
    for each in received:
        place = (each.target, each.marker)
        same = first.setdefault(each.marker, each)
        differs = (each.event_id, each.body) != (same.event_id, same.body)
        if differs or each.attempt in attempts[place] or not _is(each, events.get(each.marker)):
            yield place
        attempts[place].add(each.attempt)


def _is(received: Received, event: Mapping[str, Any] | None) -> bool:
    if event is None:
        return True  # nobody sent it: unexpected, not mismatched
    body = orjson.loads(received.body)
    sent = {name: value for name, value in body.items() if name not in OF_THE_RELAY}
    return sent == event and body["id"] == received.event_id
