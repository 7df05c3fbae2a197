"""The `tests` of a routes file -> RouteTest, and what the routes do with their events -> RouteTestResult."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from relay.model import Event, Json
from relay.routes.diagnostics import Where, listed
from relay.routes.match import Matcher, Matches
from relay.routes.reader import Reader, one_of
from relay.routes.yaml_scalars import plain_value

NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Arrival time of the event of a test: no match can depend on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTest:
    """An event, and the targets and routes that must take it; None where the test does not say."""

    name: str
    event: Event = field(repr=False)  # may hold secrets
    targets: frozenset[str] | None
    routes: frozenset[str] | None
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTestResult:
    """What a test expects, and what the routes did."""

    test: RouteTest
    got: Matches

    @property
    def passed(self) -> bool:
        """True if the routes did what the test expects."""
        return not self.differences

    @property
    def differences(self) -> tuple[str, ...]:
        """`targets: expected sales-bot, got none`, for each part that differs."""
        parts = (("targets", self.test.targets, self.got.targets), ("routes", self.test.routes, self.got.routes))
        return tuple(
            f"{name}: expected {listed(sorted(expected))}, got {listed(sorted(got))}"
            for name, expected, got in parts
            if expected is not None and expected != set(got)
        )


def run_tests(tests: Sequence[RouteTest], matcher: Matcher) -> list[RouteTestResult]:
    """Match the event of each test, in file order."""
    return [RouteTestResult(test=test, got=matcher.match(test.event)) for test in tests]


# ---- reading


def read_tests(reader: Reader, route_names: set[str]) -> tuple[RouteTest, ...]:
    """Read the tests, in file order; a route or target that does not exist is a problem."""
    target_name = reader.one_of_keys("target", ("targets",))
    route_name = one_of("route", sorted(route_names))
    return tuple(_test(reader, where, target_name, route_name) for where in reader.places(("tests",)))


def _test(
    reader: Reader, where: Where, target_name: Callable[[str], str], route_name: Callable[[str], str]
) -> RouteTest:
    line, column = reader.document.mark(where)
    return RouteTest(
        name=reader.take((*where, "name"), str, ""),
        event=_event(reader, (*where, "event")),
        targets=_expected(reader, (*where, "expect", "targets"), target_name),
        routes=_expected(reader, (*where, "expect", "routes"), route_name),
        line=line,
        column=column,
    )


def _expected(reader: Reader, where: Where, named: Callable[[str], str]) -> frozenset[str] | None:
    return frozenset(reader.each(where, named)) if reader.document.has(where) else None


def _event(reader: Reader, where: Where) -> Event:
    sources = reader.keys(("sources",))
    return Event(
        id="",
        source=reader.take((*where, "source"), reader.one_of_keys("source", ("sources",)), _single(sources)),
        received_at=NO_TIME,
        account=reader.take((*where, "account"), _account, {}),
        entity=reader.take((*where, "entity"), str, ""),
        action=reader.take((*where, "action"), str, ""),
        data=reader.take((*where, "data"), _as_received, {}),
        query=reader.take((*where, "query"), _as_received, {}),
    )


def _single(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ""


def _account(value: Json) -> Mapping[str, Json]:
    if isinstance(value, dict):
        return value
    number = plain_value(str(value))
    return {"id": number} if isinstance(number, int) else {"subdomain": value}


def _as_received(value: Json) -> Json:
    """`value` as decoding gives it: amoCRM sends decimals as text."""
    if isinstance(value, dict):
        return {key: _as_received(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_received(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value
