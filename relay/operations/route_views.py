"""What was found out about a routes file -> JSON, the one shape of each thing in `--json` and the API."""

from collections.abc import Sequence

import orjson

from relay.amocrm import events
from relay.errors import Problem
from relay.model import Json
from relay.operations.check import Checked
from relay.operations.diff import RoutesDiff
from relay.operations.explain import EventExplanation, Explanation, RouteExplanation
from relay.operations.shown_requests import ShownRequest
from relay.routes.config import Config
from relay.routes.match import Matches


def checked(result: Checked) -> dict[str, Json]:
    """`relay check`."""
    return {
        "file": result.file,
        "good": result.good,
        "errors": [_problem(each) for each in (*result.errors, *result.misfit)],
        "warnings": [_problem(each) for each in result.warnings],
        "notes": list(result.notes),
        "tests": [
            {
                "name": each.test.name,
                "line": each.test.line,
                "column": each.test.column,
                "passed": each.passed,
                "differences": list(each.differences),
            }
            for each in result.tests
        ],
        "counts": _counts(result.config) if result.config else None,
        "misfit": [each.message for each in result.misfit],
    }


def _counts(config: Config) -> dict[str, Json]:
    return {"sources": len(config.sources), "targets": len(config.targets), "routes": len(config.routes)}


def _problem(problem: Problem) -> dict[str, Json]:
    return {"line": problem.line, "column": problem.column, "path": problem.path, "message": problem.message}


def routes_diff(result: RoutesDiff) -> dict[str, Json]:
    """`relay check --diff`."""
    return {
        "events": result.counts.events,
        "also": dict(result.counts.also),
        "no_longer": dict(result.counts.no_longer),
        "changed": result.counts.changed,
        "changes": [
            {
                "id": each.event.id,
                "type": each.event.type,
                "entity_id": each.event.entity_id,
                "before": _matches(each.before),
                "after": _matches(each.after),
            }
            for each in result.changes
        ],
    }


def _matches(matches: Matches) -> dict[str, Json]:
    return {"routes": list(matches.routes), "targets": sorted(matches.targets)}


def explanation(found: Explanation) -> dict[str, Json]:
    """`relay explain`."""
    if isinstance(found, Sequence):
        return {"events": [_event_explanation(each) for each in found]}
    routes = [
        {"route": route.name, "matched": route.name in found.matched, "targets": list(route.targets)}
        for route in found.routes
    ]
    raw = {
        "source": found.source,
        "unparsed": found.unparsed,
        "routes": routes,
        "requests": [_request(each) for each in found.requests],
    }
    return {"events": [], "raw": raw}


def _event_explanation(explained: EventExplanation) -> dict[str, Json]:
    return {
        "event": orjson.loads(events.dump(explained.event)),
        "routes": [_route(each) for each in explained.routes],
        "requests": [_request(each) for each in explained.requests],
        "dropped": list(explained.dropped),
    }


def _route(explained: RouteExplanation) -> dict[str, Json]:
    return {
        "route": explained.route.name,
        "matched": explained.matched,
        "otherwise": explained.route.otherwise,
        "unparsed": explained.route.unparsed,
        "targets": list(explained.route.targets),
        "checks": [
            {"field": each.field, "condition": each.condition, "values": list(each.values), "held": each.held}
            for each in explained.checks
        ],
        "stopped": explained.route.stopped,
    }


def _request(request: ShownRequest) -> dict[str, Json]:
    if request.failed:
        return {"target": request.target, "method": request.method, "failed": request.failed}
    return {
        "target": request.target,
        "method": request.method,
        "url": request.url,
        "proxy": request.proxy,
        "headers": dict(request.headers),
        "body": request.body,
    }
