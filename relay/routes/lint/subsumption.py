"""Routes -> those that add nothing, each with the route that already does what it does."""

from collections.abc import Sequence
from functools import reduce
from operator import and_

from relay.routes.conditions import Condition
from relay.routes.match import FieldIndex, Matcher, Route, set_bits

_ONE_VALUE = frozenset({"source", "entity", "action", "pipeline_id", "status_id", "old_pipeline_id", "old_status_id"})
"""Fields that never repeat: only for these "it is a" implies "it is not b"."""


def redundant_routes(routes: Sequence[Route]) -> dict[int, int]:
    """By position: a route, and another that takes every event it takes and feeds every target it feeds.

    Careful rather than complete: whatever is listed adds nothing. Of two equal routes the later is listed.
    """
    coverage = _Coverage(routes)
    covering = [coverage.of(position) for position in range(len(routes))]
    found = {}
    for position, others in enumerate(covering):
        for other in set_bits(others):
            if other < position or not covering[other] >> position & 1:
                found[position] = other
                break
    return found


class _Coverage:
    """Bit sets of routes, as in `match`, so that ten thousand are not compared two by two."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self.matcher = Matcher(routes)
        self.feeding: dict[str, int] = {}
        self.asking: dict[str, int] = {}
        self.excluding: dict[str, int] = {}
        self.same: dict[tuple[str, Condition], int] = {}
        for position, route in enumerate(routes):
            self._add(route, 1 << position)

    def _add(self, route: Route, bit: int) -> None:
        for target in route.targets:
            self.feeding[target] = self.feeding.get(target, 0) | bit
        for field, condition in route.match.items():
            self.asking[field] = self.asking.get(field, 0) | bit
            self.same[field, condition] = self.same.get((field, condition), 0) | bit
            if condition.none_of:
                self.excluding[field] = self.excluding.get(field, 0) | bit

    def of(self, position: int) -> int:
        """The other routes that take all events of the route at `position` and feed all its targets."""
        route = self.routes[position]
        others = 0 if route.otherwise or route.unparsed else self.matcher.conditional & ~(1 << position)
        for target in route.targets:
            others &= self.feeding[target]
        for index in self.matcher.fields.values():
            if not others:
                break
            others &= self._satisfied(index, route.match.get(index.field))
        return others

    def _satisfied(self, index: FieldIndex, condition: Condition | None) -> int:
        """The routes whose condition on the field holds wherever `condition` does."""
        not_asking = self.matcher.conditional & ~self.asking[index.field]
        if condition is None:
            return not_asking
        satisfied = not_asking | self.same[index.field, condition]
        if condition == Condition(any_of=condition.any_of):
            accepting = reduce(and_, (index.accepting((text,)) for text in condition.any_of or ()))
            # a field that repeats may hold the asked value and an excluded one
            unsure = 0 if index.field in _ONE_VALUE else self.excluding.get(index.field, 0)
            satisfied |= accepting & ~unsure
        return satisfied
