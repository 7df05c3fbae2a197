"""Config -> warnings about routes that wait for a lead to move into a stage, and miss those created in it."""

from collections.abc import Iterator

from relay.routes.conditions import Condition
from relay.routes.config import Config
from relay.routes.fields import data_path
from relay.routes.match import Route
from relay.routes.problems import Finding

_ADVICE = "a lead that is created in the stage arrives as add, and this misses it: write"


def missed_creations(config: Config) -> Iterator[Finding]:
    """Routes for `status` with a `status_id`, but not for `add`; transitions ask for an `old_*` and are meant so."""
    for position, route in enumerate(config.routes):
        asks = {data_path(field) for field in route.match}
        if "status_id" not in asks or any(name.startswith("old_") for name in asks):
            continue
        if "leads" not in _any_of(route, "entity", default="leads"):
            continue
        for field, status, add in (("action", "status", "add"), ("type", "leads.status", "leads.add")):
            words = _any_of(route, field)
            if status in words and add not in words and not _taken_elsewhere(config, route):
                yield ("routes", position, "match", field), f"{_ADVICE} {field}: [{', '.join([*sorted(words), add])}]"


def _taken_elsewhere(config: Config, route: Route) -> bool:
    """True if another route sends the leads created in the stage to the same targets."""
    stage = _stage(route)
    return any(
        _stage(other) == stage
        and set(route.targets) <= set(other.targets)
        and ("add" in _any_of(other, "action") or "leads.add" in _any_of(other, "type"))
        for other in config.routes
    )


def _stage(route: Route) -> Condition | None:
    return next((condition for field, condition in route.match.items() if data_path(field) == "status_id"), None)


def _any_of(route: Route, field: str, *, default: str = "") -> frozenset[str]:
    if field not in route.match:
        return frozenset({default})
    return route.match[field].any_of or frozenset()
