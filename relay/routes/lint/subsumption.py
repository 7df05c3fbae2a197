"""Routes -> the redundant ones, each with a route that subsumes it."""

from collections.abc import Sequence
from functools import reduce
from operator import and_

from relay.routes.conditions import Condition
from relay.routes.match import FieldIndex, Matcher, Route, set_bits

_ONE_VALUE = frozenset({"source", "entity", "action", "pipeline_id", "status_id", "old_pipeline_id", "old_status_id"})
"""Fields with one value: only for these does "is a" imply "is not b"."""


def redundant_routes(routes: Sequence[Route]) -> dict[int, int]:
    """Position of a route -> that of another which matches all its events and feeds all its targets.

    Sound but not complete. Of two equal routes the later is redundant.
    """
    subsumption = _Subsumption(routes)
    covering = [subsumption.of(position) for position in range(len(routes))]
    found = {}
    for position, others in enumerate(covering):
        for other in set_bits(others):
            if other < position or not covering[other] >> position & 1:
                found[position] = other
                break
    return found


class _Subsumption:
    """Bit sets of routes, as in `match`, so that ten thousand are not compared two by two."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self.matcher = Matcher(routes)
        self.feeding: dict[str, int] = {}
        self.conditional: dict[str, int] = {}
        self.excluding: dict[str, int] = {}
        self.same: dict[tuple[str, Condition], int] = {}
        for position, route in enumerate(routes):
            self._add(route, 1 << position)

    def _add(self, route: Route, bit: int) -> None:
        for target in route.targets:
            self.feeding[target] = self.feeding.get(target, 0) | bit
        for field, condition in route.conditions.items():
            self.conditional[field] = self.conditional.get(field, 0) | bit
            self.same[field, condition] = self.same.get((field, condition), 0) | bit
            if condition.none_of:
                self.excluding[field] = self.excluding.get(field, 0) | bit

    def of(self, position: int) -> int:
        """The other routes that match all events of the route at `position` and feed all its targets."""
        route = self.routes[position]
        others = 0 if route.otherwise or route.unparsed else self.matcher.conditional & ~(1 << position)
        for target in route.targets:
            others &= self.feeding[target]
        for index in self.matcher.fields.values():
            if not others:
                break
            others &= self._satisfied(index, route.conditions.get(index.field))
        return others

    def _satisfied(self, index: FieldIndex, condition: Condition | None) -> int:
        """The routes whose condition on the field follows from `condition`."""
        unconditional = self.matcher.conditional & ~self.conditional[index.field]
        if condition is None:
            return unconditional
        satisfied = unconditional | self.same[index.field, condition]
        if condition == Condition(any_of=condition.any_of):
            accepting = reduce(and_, (index.accepting((text,)) for text in condition.any_of or ()))
            # a field with several values may have the required one and an excluded one
            unsure = 0 if index.field in _ONE_VALUE else self.excluding.get(index.field, 0)
            satisfied |= accepting & ~unsure
        return satisfied
