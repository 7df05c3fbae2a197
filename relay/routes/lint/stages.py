"""Config -> warnings about routes that wait for a lead to move into a stage, and miss those created in it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from relay.routes.conditions import Condition
from relay.routes.config import Config
from relay.routes.diagnostics import Finding
from relay.routes.fields import data_path
from relay.routes.match import Route

_ADVICE = "a lead that is created in the stage arrives as add, and this misses it: write"

_KINDS = frozenset({"source", "entity", "action", "type"})
"""Fields that tell leads created in one stage from those in another no better than without them."""

_Stage = frozenset[tuple[str, Condition]]
"""What a route asks of pipeline and status."""


def missed_creations(config: Config) -> Iterator[Finding]:
    """Routes for `status` with a `status_id`, but not for `add`; transitions ask for an `old_*` and are meant so."""
    fed = _fed_with_creations(config.routes)
    for position, route in enumerate(config.routes):
        asks = {data_path(field) for field in route.match}
        if "status_id" not in asks or any(name.startswith("old_") for name in asks) or not _takes_leads(route):
            continue
        for field, status, add in (("action", "status", "add"), ("type", "leads.status", "leads.add")):
            words = _any_of(route, field)
            if status in words and add not in words and not _taken_elsewhere(route, fed):
                yield ("routes", position, "match", field), f"{_ADVICE} {field}: [{', '.join([*sorted(words), add])}]"


def _taken_elsewhere(route: Route, fed: Mapping[_Stage, set[str]]) -> bool:
    """True if other routes send the leads created in the stage to the same targets."""
    stage = _stage(route)
    wider = (frozenset(each for each in stage if each[0] == name) for name in ("pipeline_id", "status_id"))
    return set(route.targets) <= set().union(*(fed.get(each, ()) for each in (stage, *wider, frozenset())))


def _fed_with_creations(routes: Sequence[Route]) -> Mapping[_Stage, set[str]]:
    """By stage: the targets of routes that take leads created in it. A route for any stage may ask for no more."""
    fed: dict[_Stage, set[str]] = defaultdict(set)
    for route in filter(_takes_creations, routes):
        stage = _stage(route)
        named = {name for name, _condition in stage}
        if "status_id" in named or {data_path(field) for field in route.match} <= _KINDS | named:
            fed[stage].update(route.targets)
    return fed


def _stage(route: Route) -> _Stage:
    asked = ((data_path(field), condition) for field, condition in route.match.items())
    return frozenset(each for each in asked if each[0] in ("pipeline_id", "status_id"))


def _takes_leads(route: Route) -> bool:
    return "leads" in _any_of(route, "entity", default="leads")


def _takes_creations(route: Route) -> bool:
    if route.otherwise or route.unparsed or not _takes_leads(route):
        return False
    any_kind = "action" not in route.match and "type" not in route.match
    return any_kind or "add" in _any_of(route, "action") or "leads.add" in _any_of(route, "type")


def _any_of(route: Route, field: str, *, default: str = "") -> frozenset[str]:
    if field not in route.match:
        return frozenset({default})
    return route.match[field].any_of or frozenset()
