"""The `tests` of a routes file -> RouteTest, and what the routes do with their events -> RouteTestResult."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from relay.model import Event, Format, Json, Target
from relay.rfc3339 import rfc3339
from relay.routes.diagnostics import Unfit, Where, listed
from relay.routes.match import Matcher, Matches
from relay.routes.reader import Reader, one_of
from relay.routes.yaml_scalars import plain_value

NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Arrival time of the event of a test: no match can depend on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRequest:
    """What a target must be sent, each `${…}` unresolved; None and no headers where the test does not say."""

    method: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTest:
    """An event, the targets and routes that must take it, and requests by target; None where the test does not say."""

    name: str
    event: Event = field(repr=False)  # may hold secrets
    targets: frozenset[str] | None
    routes: frozenset[str] | None
    requests: Mapping[str, ExpectedRequest] = field(default_factory=dict, repr=False)
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTestResult:
    """What a test expects, what the routes did, and how the requests differ from those that it expects."""

    test: RouteTest
    got: Matches
    requests: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        """True if the routes did what the test expects."""
        return not self.differences

    @property
    def differences(self) -> tuple[str, ...]:
        """`targets: expected sales-bot, got none`, for each part that differs."""
        parts = (("targets", self.test.targets, self.got.targets), ("routes", self.test.routes, self.got.routes))
        matched = (
            f"{name}: expected {listed(sorted(expected))}, got {listed(sorted(got))}"
            for name, expected, got in parts
            if expected is not None and expected != set(got)
        )
        return (*matched, *self.requests)


def run_tests(tests: Sequence[RouteTest], matcher: Matcher) -> list[RouteTestResult]:
    """Match the event of each test, in file order."""
    return [RouteTestResult(test=test, got=matcher.match(test.event)) for test in tests]


# ---- reading


def read_tests(reader: Reader, route_names: set[str], targets: Mapping[str, Target]) -> tuple[RouteTest, ...]:
    """Read the tests, in file order; a route or target that does not exist is a problem."""
    target_name = reader.one_of_keys("target", ("targets",))
    route_name = one_of("route", sorted(route_names))
    return tuple(_test(reader, where, target_name, route_name, targets) for where in reader.places(("tests",)))


def _test(
    reader: Reader,
    where: Where,
    target_name: Callable[[str], str],
    route_name: Callable[[str], str],
    targets: Mapping[str, Target],
) -> RouteTest:
    line, column = reader.document.mark(where)
    return RouteTest(
        name=reader.take((*where, "name"), str, ""),
        event=_event(reader, (*where, "event")),
        targets=_expected(reader, (*where, "expect", "targets"), target_name),
        routes=_expected(reader, (*where, "expect", "routes"), route_name),
        requests=_requests(reader, (*where, "expect", "requests"), target_name, targets),
        line=line,
        column=column,
    )


def _expected(reader: Reader, where: Where, named: Callable[[str], str]) -> frozenset[str] | None:
    return frozenset(reader.each(where, named)) if reader.document.has(where) else None


def _requests(
    reader: Reader, where: Where, target_name: Callable[[str], str], targets: Mapping[str, Target]
) -> dict[str, ExpectedRequest]:
    found = {}
    for name in reader.keys(where):
        here = (*where, name)
        try:
            target_name(name)
        except Unfit as unfit:
            reader.wrong(here, str(unfit))
            continue
        target = targets.get(name)
        if reader.document.has((*here, "body")) and target and target.format is Format.FORM and not target.body:
            reader.wrong(
                (*here, "body"), "format: form sends what amoCRM sent, which the event of a test does not have"
            )
        if reader.sound(here):
            found[name] = _expected_request(reader.document.as_written(here))
    return found


def _expected_request(written: Json) -> ExpectedRequest:
    return ExpectedRequest(
        method=written.get("method"),
        url=written.get("url"),
        headers={name.lower(): str(value) for name, value in written.get("headers", {}).items()},
        body=written.get("body"),
    )


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
        heal=reader.take((*where, "heal"), _healed, None),
        happened_at=NO_TIME if reader.document.has((*where, "heal")) else None,
    )


def _healed(value: Json) -> Mapping[str, Json]:
    """What a healed event says of itself, with that of the test."""
    told = {"exactness": "exact", "reason": "outage"} | value
    stale = {"stale": True} if told.pop("stale", False) else {}
    return {"event_id": "0", "found_at": rfc3339(NO_TIME), **told, **stale}


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
