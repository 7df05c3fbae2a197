"""Config -> warnings about its routes: match everything, redundant, no catch-all, created leads missed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from relay.routes.conditions import Condition
from relay.routes.config import Config
from relay.routes.diagnostics import Finding, quoted
from relay.routes.fields import EVENT_FIELDS, data_path
from relay.routes.lint.subsumption import redundant_routes
from relay.routes.match import Route

_ADVICE = "a lead created in the stage arrives as add and does not match: write"

_OF_A_STAGE = ("pipeline_id", "pipeline", "status_id", "stage")

_Stage = frozenset[tuple[str, Condition]]
"""The conditions of a route on pipeline and status."""


def match_everything(config: Config) -> Iterator[Finding]:
    """Routes without conditions."""
    for position, route in enumerate(config.routes):
        if not route.match and not route.otherwise and not route.unparsed:
            advice = (
                "write `otherwise: true` for events that no other route matches, or `{entity: {exists: true}}` for all"
            )
            yield ("routes", position, "match"), f"matches every event: {advice}"


def redundant(config: Config) -> Iterator[Finding]:
    """Routes that add nothing to another one."""
    for position, other in redundant_routes(config.routes).items():
        covering = config.routes[other]
        yield (
            ("routes", position),
            f"redundant: {quoted(covering.name)} on line {covering.line} sends the same events to the same targets",
        )


def no_catch_all(config: Config) -> Iterator[Finding]:
    """A file whose routes may leave events without a target."""
    if not any(route.otherwise or _takes_all(route) for route in config.routes):
        yield ("routes",), "events that no route matches are not delivered: add a route with otherwise: true"


def _takes_all(route: Route) -> bool:
    exists = Condition(exists=True)
    return not route.unparsed and all(
        field in EVENT_FIELDS and condition == exists for field, condition in route.match.items()
    )


# ---- leads created in a stage


def miss_created_leads(config: Config) -> Iterator[Finding]:
    """Routes for leads that enter a stage but not for leads created in it: `status` with a `status_id`, without `add`.

    A route with a condition on `old_*` is about a transition and is not reported.
    """
    targets = _targets_of_created_leads(config.routes)
    for position, route in enumerate(config.routes):
        fields = {data_path(field) for field in route.match}
        if (
            fields.isdisjoint({"status_id", "stage"})
            or any(name.startswith("old_") for name in fields)
            or not _takes_leads(route)
        ):
            continue
        for field, status, add in (("action", "status", "add"), ("type", "leads.status", "leads.add")):
            named = _any_of(route, field)
            if status in named and add not in named and not _routed_elsewhere(route, targets):
                yield ("routes", position, "match", field), f"{_ADVICE} {field}: [{', '.join([*sorted(named), add])}]"


def _routed_elsewhere(route: Route, targets: Mapping[_Stage, set[str]]) -> bool:
    """True if other routes send leads created in the stage to the same targets."""
    stage = _stage(route)
    wider = (frozenset(each for each in stage if each[0] == name) for name in _OF_A_STAGE)
    return set(route.targets) <= set().union(*(targets.get(each, ()) for each in (stage, *wider, frozenset())))


def _targets_of_created_leads(routes: Sequence[Route]) -> Mapping[_Stage, set[str]]:
    """The targets of routes that take leads created in a stage, by stage; by no stage, those of routes for any."""
    found: dict[_Stage, set[str]] = defaultdict(set)
    for route in filter(_takes_created_leads, routes):
        stage = _stage(route)
        named = {name for name, _condition in stage}
        if (
            not named.isdisjoint({"status_id", "stage"})
            or {data_path(field) for field in route.match} <= EVENT_FIELDS | named
        ):
            found[stage].update(route.targets)
    return found


def _stage(route: Route) -> _Stage:
    conditions = ((data_path(field), condition) for field, condition in route.match.items())
    return frozenset(each for each in conditions if each[0] in _OF_A_STAGE)


def _takes_leads(route: Route) -> bool:
    return "leads" in _any_of(route, "entity", default="leads")


def _takes_created_leads(route: Route) -> bool:
    if route.otherwise or route.unparsed or not _takes_leads(route):
        return False
    any_kind = "action" not in route.match and "type" not in route.match
    return any_kind or "add" in _any_of(route, "action") or "leads.add" in _any_of(route, "type")


def _any_of(route: Route, field: str, *, default: str = "") -> frozenset[str]:
    if field not in route.match:
        return frozenset({default})
    return route.match[field].any_of or frozenset()
