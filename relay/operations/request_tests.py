"""The `tests` of a routes file -> what the routes do with their events, and how requests differ from expected ones.

Both sides have each `${…}` unresolved: tests need no secrets, and a difference shows none.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from relay.delivery.payload import Original
from relay.model import Json
from relay.operations.shown_requests import HIDDEN, ShownRequest, shown_request
from relay.routes import route_tests
from relay.routes.config import Config
from relay.routes.plan import takers_of
from relay.routes.route_tests import NO_TIME, ExpectedRequest, RouteTestResult

MAX_SHOWN = 100  # characters of a value
MAX_SAME = 20  # characters that two texts share before they differ
MAX_DIFFERENCES = 10  # of one request

_MISSING = object()


def run_tests(config: Config) -> list[RouteTestResult]:
    """Run the tests, in file order."""
    results = [_taken(config, each) for each in route_tests.run_tests(config.tests, config.matcher)]
    return [replace(each, requests=_differences(config, each)) if each.test.requests else each for each in results]


def _taken(config: Config, result: RouteTestResult) -> RouteTestResult:
    """Without the targets that drop healed events, if it is one."""
    got = result.got
    return replace(result, got=replace(got, targets=takers_of(result.test.event, got.targets, config)))


def _differences(config: Config, result: RouteTestResult) -> Sequence[str]:
    return [
        f"requests.{target}{difference}"
        for target, expected in result.test.requests.items()
        for difference in _first(_of_request(config, target, expected, result))
    ]


def _first(differences: Iterator[str]) -> list[str]:
    found = list(differences)
    more = len(found) - MAX_DIFFERENCES
    return found[:MAX_DIFFERENCES] + ([f": and {more} more differences"] if more > 0 else [])


def _of_request(config: Config, target: str, expected: ExpectedRequest, result: RouteTestResult) -> Iterator[str]:
    if target not in result.got.targets:
        yield ": expected a request, but the event does not go there"
        return
    got = shown_request(config, target, result.test.event, Original(body=b""), now=NO_TIME)
    if got.failed:
        yield f": cannot be rendered, {got.failed}"
        return
    if expected.method is not None:
        yield from _difference(".method", expected.method, got.method)
    if expected.url is not None:
        yield from _difference(".url", expected.url, got.url)
    for name, value in expected.headers.items():
        yield from _of_header(f".headers.{name}", value, got.headers.get(name, _MISSING))
    if expected.body is not None:
        yield from _of_body(expected.body, got)


def _of_header(path: str, expected: str, got: object) -> Iterator[str]:
    if got == HIDDEN:
        yield f"{path}: is secret, and cannot be compared: leave it out"
    else:
        yield from _difference(path, expected, got)


def _of_body(expected: Json, got: ShownRequest) -> Iterator[str]:
    if isinstance(expected, str):
        yield from _difference(".body", expected, got.body)
        return
    try:
        body = json.loads(got.body, parse_float=Decimal)
    except ValueError:
        yield f".body: expected JSON, got {_shown(got.body)}"
    else:
        yield from _difference(".body", expected, body)


def _difference(path: str, expected: Json, got: Json) -> Iterator[str]:
    """Each value that differs, by its path."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in [*expected, *(key for key in got if key not in expected)]:
            yield from _difference(f"{path}.{key}", expected.get(key, _MISSING), got.get(key, _MISSING))
    elif isinstance(expected, list) and isinstance(got, list):
        for index in range(max(len(expected), len(got))):
            pair = (each[index] if index < len(each) else _MISSING for each in (expected, got))
            yield from _difference(f"{path}[{index}]", *pair)
    elif expected != got or isinstance(expected, bool) is not isinstance(got, bool):
        same = _same(expected, got)
        yield f"{path}: expected {_shown(expected, same)}, got {_shown(got, same)}"


def _same(expected: Json, got: Json) -> int:
    """How many characters two long texts may leave out in front, as they are the same."""
    if not (isinstance(expected, str) and isinstance(got, str)) or max(len(expected), len(got)) <= MAX_SHOWN:
        return 0
    pairs = zip(expected, got, strict=False)
    first = next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(expected), len(got)))
    return max(first - MAX_SAME, 0)


def _shown(value: Json, same: int = 0) -> str:
    """JSON on one line, without the first `same` characters of a text; cut if it is long."""
    if value is _MISSING:
        return "nothing"
    text = json.dumps(value[same:] if same else value, ensure_ascii=False, default=float)
    text = f"…{text}" if same else text
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
