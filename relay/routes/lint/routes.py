"""Config -> warnings about its routes: what they take together, too much, nothing new, or not all."""

from collections.abc import Iterator

from relay.routes.conditions import Condition
from relay.routes.config import Config
from relay.routes.diagnostics import Finding
from relay.routes.match import Route
from relay.routes.subsumption import superfluous as superfluous_routes
from relay.routes.words import quoted

_EVERYWHERE = frozenset({"source", "entity", "action", "type"})
"""Fields that every event has."""


def everything(config: Config) -> Iterator[Finding]:
    """Routes that ask for nothing."""
    for position, route in enumerate(config.routes):
        if not route.match and not route.otherwise and not route.unparsed:
            advice = "write `otherwise: true` for what no other route takes, or `{entity: {exists: true}}` to mean it"
            yield ("routes", position, "match"), f"takes every event: {advice}"


def superfluous(config: Config) -> Iterator[Finding]:
    """Routes that another one makes needless."""
    for position, other in superfluous_routes(config.routes).items():
        covering = config.routes[other]
        yield (
            ("routes", position),
            f"adds nothing: {quoted(covering.name)} on line {covering.line} takes the same events to the same targets",
        )


def nowhere(config: Config) -> Iterator[Finding]:
    """Routes that may leave events over."""
    if not any(route.otherwise or _takes_all(route) for route in config.routes):
        yield ("routes",), "events that no route takes go nowhere: end with a route that has otherwise: true"


def _takes_all(route: Route) -> bool:
    exists = Condition(exists=True)
    return not route.unparsed and all(
        field in _EVERYWHERE and condition == exists for field, condition in route.match.items()
    )
