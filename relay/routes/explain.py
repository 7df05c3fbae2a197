"""Config x Event -> why each route took the event or did not."""

from collections.abc import Iterator
from dataclasses import dataclass

from relay.model import Event
from relay.routes.config import Config
from relay.routes.fields import values_of
from relay.routes.match import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One key of a route's match: `condition` as written, the event's `values` as text, and whether it held."""

    field: str
    condition: str
    values: tuple[str, ...]
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteExplanation:
    """A route and what became of it. An `otherwise` route has no checks: it matched if no other did."""

    route: Route
    matched: bool
    checks: tuple[Check, ...]


def explain(config: Config, event: Event) -> list[RouteExplanation]:
    """One explanation for each route, in file order; agrees with `Matcher.match`, which uses the same conditions."""
    taken = set(config.matcher.match(event).routes)
    return [
        RouteExplanation(route=route, matched=route.name in taken, checks=tuple(_checks(route, event)))
        for route in config.routes
    ]


def _checks(route: Route, event: Event) -> Iterator[Check]:
    for field, condition in route.match.items():
        values = values_of(event, field)
        yield Check(field=field, condition=condition.text, values=values, held=condition.holds(values))
