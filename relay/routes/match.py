"""Event -> routes and targets, by an index of the routes per field.

For each field with a condition in some route, the index maps values to the routes that accept them, as bit sets (an
int, bit i for route i). The matching routes are the intersection over all fields, so ten thousand routes cost about
what ten do. A condition that is more than equality is evaluated once per event, however many routes share it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from relay.model import Event, PlannedDelivery
from relay.routes.conditions import Condition
from relay.routes.fields import field_reader

K = TypeVar("K")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A match and the targets it feeds. `otherwise`: for events that no other route matches; then `match` is empty.

    `unparsed`: for unparsed webhooks instead of events; `match` may have a condition on their source. `resolved` is the
    match by ids where `match` has names, in the same order. `stopped`: why its names cannot be resolved; the
    route takes nothing then, and `resolved` is what events that it may take have.
    """

    name: str
    match: Mapping[str, Condition]
    targets: tuple[str, ...]
    otherwise: bool = False
    unparsed: bool = False
    resolved: Mapping[str, Condition] | None = None
    stopped: str = ""
    line: int = 1
    column: int = 1

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """What an event is compared with."""
        return self.match if self.resolved is None else self.resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The names of the matching routes, in file order, and target -> the routes that name it.

    `planned` are the deliveries to these targets, of which none has an ordering key yet: all events share them.
    """

    routes: tuple[str, ...]
    targets: Mapping[str, tuple[str, ...]]
    planned: tuple[PlannedDelivery, ...]


class FieldIndex:
    """Index of one field: value -> the routes that accept it."""

    def __init__(self, field: str, all_routes: int) -> None:
        self.field = field
        self.read = field_reader(field)
        self.unconditional = all_routes
        self._equals: dict[str, int] = {}
        self._excludes: dict[str, int] = {}
        self._others: dict[Condition, int] = {}

    @property
    def size(self) -> int:
        """The number of distinct values that routes compare with."""
        return len(self._equals)

    def add(self, condition: Condition, bit: int) -> None:
        """Add the condition of the route at `bit`."""
        if condition == Condition(none_of=condition.none_of):
            _add_to(self._excludes, condition.none_of, bit)
            return
        self.unconditional &= ~bit
        if condition == Condition(any_of=condition.any_of):
            _add_to(self._equals, condition.any_of or (), bit)
        else:
            _add_to(self._others, (condition,), bit)

    def accepting(self, values: Sequence[str]) -> int:
        """The routes whose condition on this field holds for these values."""
        accepted = self.unconditional
        for value in values:
            if bits := self._equals.get(value):
                accepted |= bits
        for condition, bits in self._others.items():
            if condition.holds(values):
                accepted |= bits
        if self._excludes:
            for value in values:
                accepted &= ~self._excludes.get(value, 0)
        return accepted


class Matcher:
    """Compiled routes. Immutable after construction but for caches; threads may share one."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self.stopped = _bits(bool(route.stopped) for route in routes)
        self.conditional = _bits(not (route.otherwise or route.unparsed or route.stopped) for route in routes)
        self._compared = self.conditional | self.stopped
        self.fields = _indexed(self.routes)
        self._otherwise = _bits(route.otherwise for route in routes)
        self._named = lru_cache(maxsize=1024)(self._matches)  # events of one kind match the same routes
        # and often follow each other: comparing is faster than hashing; one tuple, so that threads swap it atomically
        self._last: tuple[int, Matches] | None = None

    def match(self, event: Event) -> Matches:
        """The routes that match `event`, and their targets.

        An event that a stopped route may take, and no other does, matches none: it waits to be rerouted.
        """
        candidates = self._compared
        for index in self.fields.values():
            if not candidates:
                break
            candidates &= index.accepting(index.read(event))
        candidates = candidates & self.conditional if candidates & self.stopped else candidates or self._otherwise
        last = self._last
        if last is None or last[0] != candidates:
            self._last = last = candidates, self._named(candidates)
        return last[1]

    def match_unparsed(self, source: str) -> Matches:
        """The routes that match an unparsed webhook from `source`, and their targets."""
        return self._matches(_bits(route.unparsed and _matches_source(route, source) for route in self.routes))

    def _matches(self, bits: int) -> Matches:
        taken = [self.routes[position] for position in set_bits(bits)]
        targets = _by_target(taken)
        return Matches(
            routes=tuple(route.name for route in taken),
            targets=targets,
            planned=tuple(PlannedDelivery(target=name, routes=routes) for name, routes in targets.items()),
        )


def _matches_source(route: Route, source: str) -> bool:
    return all(condition.holds((source,)) for condition in route.match.values())


def set_bits(bits: int) -> Iterator[int]:
    """The positions of the set bits, lowest first."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _indexed(routes: Sequence[Route]) -> dict[str, FieldIndex]:
    all_routes = (1 << len(routes)) - 1
    fields: dict[str, FieldIndex] = {}
    for position, route in enumerate(routes):
        for field, condition in route.conditions.items() if not route.unparsed else ():
            fields.setdefault(field, FieldIndex(field, all_routes)).add(condition, 1 << position)
    # the most selective field first: the fewer routes it leaves, the less the others cost
    return dict(sorted(fields.items(), key=lambda item: item[1].size, reverse=True))


def _by_target(routes: Sequence[Route]) -> dict[str, tuple[str, ...]]:
    targets: dict[str, list[str]] = {}
    for route in routes:
        for target in route.targets:
            targets.setdefault(target, []).append(route.name)
    return {target: tuple(names) for target, names in targets.items()}


def _bits(flags: Iterable[bool]) -> int:
    return sum(1 << position for position, flag in enumerate(flags) if flag)


def _add_to(sets: dict[K, int], keys: Iterable[K], bit: int) -> None:
    for key in keys:
        sets[key] = sets.get(key, 0) | bit
