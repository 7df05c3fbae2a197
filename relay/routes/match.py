"""Event -> targets: an index of the routes, asked field by field.

For each field that some route asks about, the index holds which routes accept which value, as bit sets (an int, bit i
for route i). The routes that match are those that every field accepts, so ten thousand cost about what ten do.
Conditions that are more than equality are asked once each, however many routes share them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from relay.model import Event
from relay.routes.conditions import Condition
from relay.routes.fields import field_reader

K = TypeVar("K")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A match and the targets it feeds. `otherwise`: for the events that no other route took; then `match` is empty.

    `unparsed`: for no event at all, but for webhooks that could not be read; `match` may ask for their source.
    """

    name: str
    match: Mapping[str, Condition]
    targets: tuple[str, ...]
    otherwise: bool = False
    unparsed: bool = False
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The names of the routes that took an event, in file order, and by target the routes that named it."""

    routes: tuple[str, ...]
    targets: Mapping[str, tuple[str, ...]]


class FieldIndex:
    """One field: which routes accept which of its values."""

    def __init__(self, field: str, everyone: int) -> None:
        self.field = field
        self.read = field_reader(field)
        self.indifferent = everyone
        self._equals: dict[str, int] = {}
        self._excludes: dict[str, int] = {}
        self._others: dict[Condition, int] = {}

    @property
    def known(self) -> int:
        """How many values some route asks for."""
        return len(self._equals)

    def add(self, condition: Condition, bit: int) -> None:
        """Let the route at `bit` ask for `condition`."""
        if condition == Condition(none_of=condition.none_of):
            _add_to(self._excludes, condition.none_of, bit)
            return
        self.indifferent &= ~bit
        if condition == Condition(any_of=condition.any_of):
            _add_to(self._equals, condition.any_of or (), bit)
        else:
            _add_to(self._others, (condition,), bit)

    def accepting(self, values: Sequence[str]) -> int:
        """The routes that accept a field with these values."""
        accepted = self.indifferent
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
    """The compiled routes. Nothing of them changes once they are made; threads may share them."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self.conditional = _bits(not route.otherwise and not route.unparsed for route in routes)
        self.fields = _indexed(self.routes)
        self._otherwise = _bits(route.otherwise for route in routes)
        self._named = lru_cache(maxsize=1024)(self._matches)  # events of one kind match the same routes
        # and often come one after the other: to compare takes less than to hash; one tuple, for threads swap it whole
        self._last: tuple[int, Matches] | None = None

    def match(self, event: Event) -> Matches:
        """The routes that take `event`, and their targets."""
        alive = self.conditional
        for index in self.fields.values():
            if not alive:
                break
            alive &= index.accepting(index.read(event))
        alive = alive or self._otherwise
        last = self._last
        if last is None or last[0] != alive:
            self._last = last = alive, self._named(alive)
        return last[1]

    def match_unparsed(self, source: str) -> Matches:
        """The routes that take an unparsed webhook from `source`, and their targets."""
        return self._matches(_bits(route.unparsed and _wants(route, source) for route in self.routes))

    def _matches(self, bits: int) -> Matches:
        taken = [self.routes[position] for position in set_bits(bits)]
        return Matches(routes=tuple(route.name for route in taken), targets=_by_target(taken))


def _wants(route: Route, source: str) -> bool:
    return all(condition.holds((source,)) for condition in route.match.values())


def set_bits(bits: int) -> Iterator[int]:
    """The positions of the ones, lowest first."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _indexed(routes: Sequence[Route]) -> dict[str, FieldIndex]:
    everyone = (1 << len(routes)) - 1
    fields: dict[str, FieldIndex] = {}
    for position, route in enumerate(routes):
        for field, condition in route.match.items() if not route.unparsed else ():
            fields.setdefault(field, FieldIndex(field, everyone)).add(condition, 1 << position)
    # the one that tells most routes apart is asked first: of the few that it leaves the others take less time
    return dict(sorted(fields.items(), key=lambda item: item[1].known, reverse=True))


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
