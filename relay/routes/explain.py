"""Config, event -> why each route matches the event or does not."""

from collections.abc import Iterator
from dataclasses import dataclass

from relay.model import Event
from relay.routes.config import Config
from relay.routes.fields import values_of
from relay.routes.match import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionCheck:
    """One key of a match: its `condition` as written, the `values` of the event as text, and whether it held."""

    field: str
    condition: str
    values: tuple[str, ...]
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteExplanation:
    """Whether a route matched, and why. An `otherwise` route has no checks: it matches if no other route does."""

    route: Route
    matched: bool
    checks: tuple[ConditionCheck, ...]


def explain(config: Config, event: Event) -> list[RouteExplanation]:
    """One explanation per route, in file order. Agrees with `Matcher.match`: both use the same conditions."""
    taken = set(config.matcher.match(event).routes)
    return [
        RouteExplanation(route=route, matched=route.name in taken, checks=tuple(_checks(route, event)))
        for route in config.routes
    ]


def _checks(route: Route, event: Event) -> Iterator[ConditionCheck]:
    for field, condition in route.match.items():
        values = values_of(event, field)
        yield ConditionCheck(field=field, condition=condition.text, values=values, held=condition.holds(values))
