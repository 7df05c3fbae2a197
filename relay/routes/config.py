"""The routes file -> Config: sources, targets, ages and compiled routes, or every problem at once.

    text -> document.parse -> secrets.expand -> shape.check_shape -> read_sources, read_targets, _routes, _tests

Each stage notes its problems and goes on with what is sound, so one run shows them all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from relay.denied import denied, os_error_text
from relay.errors import Problem, RoutesInvalid
from relay.model import Event, Json, Retention, Secret, Source, Target
from relay.routes.conditions import Condition, condition
from relay.routes.diagnostics import Problems, Unfit, Where
from relay.routes.fields import is_custom
from relay.routes.match import Matcher, Route
from relay.routes.reader import Reader, Reading
from relay.routes.scalars import plain_value
from relay.routes.schema import check_shape
from relay.routes.secrets import expand
from relay.routes.sources import read_sources
from relay.routes.targets import read_targets
from relay.routes.units import age
from relay.routes.words import quoted, suggestion
from relay.routes.yaml_document import MAX_BYTES, Document
from relay.routes.yaml_document import parse as parse_document

NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""When the event of a test arrived: matches never look at it."""

_NAMES: Mapping[str | int, tuple[Where, ...]] = {
    "routes": (("name",), ("to",)),
    "tests": (("name",), ("expect",), ("event", "source")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTest:
    """An event and the targets and routes it must have; None where the file does not say."""

    name: str
    event: Event = field(repr=False)  # may hold secrets
    targets: frozenset[str] | None
    routes: frozenset[str] | None
    line: int
    column: int


@dataclass(frozen=True, kw_only=True)
class Config:
    """A routes file that can be used. All of it is frozen; a reload makes another."""

    file: str
    sources: Mapping[str, Source]
    targets: Mapping[str, Target]
    retention: Retention
    routes: tuple[Route, ...]
    tests: tuple[RouteTest, ...]
    matcher: Matcher = field(repr=False)
    document: Document = field(repr=False)

    @cached_property
    def most_tokens(self) -> int:
        """That a source has: as many are compared for each, so that the time tells nothing."""
        return max(len(source.tokens) for source in self.sources.values())

    @cached_property
    def source_of_token(self) -> Mapping[Secret, str]:
        """The first source that has it, by token. A look-up compares digests."""
        return {token: name for name in reversed(list(self.sources)) for token in self.sources[name].tokens}

    def url_as_written(self, target: str) -> str:
        """The target's URL with every `${…}` unresolved but for a default in force: safe to print."""
        return self.document.shown(("targets", target, "url"))


def _nobody(_path: Path) -> None:
    """Nobody wants to be told which files are read."""


def load(path: Path, env: Mapping[str, str], *, stand_ins: bool = False, reading: Reading = _nobody) -> Config:
    """Read and compile the file; raises `RoutesInvalid` with every problem, also when it cannot be read.

    With `stand_ins` the file may lack secrets that only requests need: for those who send none. `reading` is told of
    this file, and of each that it names, before it is opened.
    """
    reading(path)
    return parse(read(path), file=str(path), env=env, stand_ins=stand_ins, reading=reading)


def read(path: Path) -> bytes:
    """What `parse` takes, of a file; `RoutesInvalid` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        advice = "copy config/routes.example.yaml, or name another with --config"
        raise RoutesInvalid(str(path), [Problem(0, 0, "", f"no such file: {advice}")]) from None
    except OSError as error:
        said = denied(path) or f"cannot be read: {os_error_text(error)}"
        raise RoutesInvalid(str(path), [Problem(0, 0, "", said)]) from None


def parse(
    text: bytes | str, *, file: str, env: Mapping[str, str], stand_ins: bool = False, reading: Reading = _nobody
) -> Config:
    """Compile a routes file; `file` is its name in messages, `env` the variables that `${NAME}` may use.

    Reads the files that `${file:…}` names. Raises `RoutesInvalid` with every problem.
    """
    problems = Problems()
    document = parse_document(text, problems)
    if document is None:
        raise RoutesInvalid(file, problems.found())
    expanded = expand(document, env, problems, stand_ins=stand_ins, reading=reading)
    config = _compiled(Reader(expanded, problems, reading, stand_ins=stand_ins), file)
    if problems:
        raise RoutesInvalid(file, problems.found())
    return config


def _compiled(reader: Reader, file: str) -> Config:
    """The config; only of use if the reader has no problems afterwards."""
    _refuse_variables_in_names(reader)
    check_shape(reader.document, reader.problems)
    sources, targets = read_sources(reader), read_targets(reader)
    routes = _routes(reader)
    return Config(
        file=file,
        sources=sources,
        targets=targets,
        retention=_retention(reader),
        routes=routes,
        tests=_tests(reader, {route.name for route in routes if route.name}),
        matcher=Matcher(routes),
        document=reader.document,
    )


def _refuse_variables_in_names(reader: Reader) -> None:
    # names become labels and log lines, where a secret must never be
    for where in reader.document.written:
        names = _NAMES.get(where[0], ())
        if where[2:3] in names or where[2:4] in names:
            reader.wrong(where, "a name cannot use ${…}")


def _retention(reader: Reader) -> Retention:
    default = Retention()

    def take(name: str, default: timedelta | None) -> timedelta | None:
        return reader.take(("retention", name), age, default)

    return Retention(
        delivered=take("delivered", default.delivered),
        dead=take("dead", default.dead),
        unrouted=take("unrouted", default.unrouted),
        unparsed=take("unparsed", default.unparsed),
    )


# ---- routes


def _routes(reader: Reader) -> tuple[Route, ...]:
    target_named = _name_among("target", reader, ("targets",))
    lines: dict[str, int] = {}
    routes = []
    for where in reader.places(("routes",)):
        route = _route(reader, where, target_named)
        if route.name in lines:
            reader.wrong((*where, "name"), f"the name {quoted(route.name)} is already on line {lines[route.name]}")
        if route.name:
            lines.setdefault(route.name, reader.document.mark((*where, "name"))[0])
        routes.append(route)
    return tuple(routes)


def _route(reader: Reader, where: Where, target_named: Callable[[str], str]) -> Route:
    line, column = reader.document.mark(where)
    unparsed = reader.take((*where, "unparsed"), bool, False)
    match = _match(reader, (*where, "match"))
    for key in [key for key in match if unparsed and key != "source"]:
        reader.wrong(
            (*where, "match", key), "what could not be read has no fields: beside `unparsed` ask `source` alone"
        )
    return Route(
        name=reader.take((*where, "name"), str, ""),
        match=match,
        targets=reader.each((*where, "to"), target_named),
        otherwise=reader.take((*where, "otherwise"), bool, False),
        unparsed=unparsed,
        line=line,
        column=column,
    )


def _match(reader: Reader, where: Where) -> dict[str, Condition]:
    conditions = {}
    for name in reader.keys(where):
        here = (*where, name)
        if not all(name.split(".")) and not is_custom(name):
            reader.wrong(here, "is no name of a field")
        elif reader.sound(here):
            conditions[name] = condition(name, reader.document.at(here), condition_text(reader.document, here))
    return conditions


def condition_text(document: Document, where: Where) -> str:
    """What stands at `where`, on one line and with secrets unresolved: `{not: [won, lost]}`."""
    value = document.at(where)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {condition_text(document, (*where, key))}" for key in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(condition_text(document, (*where, index)) for index in range(len(value))) + "]"
    return str(value).lower() if isinstance(value, bool) else document.shown(where)


def _name_among(kind: str, reader: Reader, where: Where) -> Callable[[str], str]:
    """A conversion that lets pass the keys of the mapping at `where`."""
    known = dict.fromkeys(reader.keys(where))
    return _one_of(kind, known)


def _one_of(kind: str, known: Mapping[str, object]) -> Callable[[str], str]:
    """Where none is known, their part of the file is missing or wrong, which was said: the rest follows from it."""

    def named(name: str) -> str:
        if known and name not in known:
            raise Unfit(f"no {kind} {quoted(name)} {suggestion(name, known)}")
        return name

    return named


# ---- tests


def _tests(reader: Reader, route_names: set[str]) -> tuple[RouteTest, ...]:
    target_named = _name_among("target", reader, ("targets",))
    route_named = _one_of("route", dict.fromkeys(sorted(route_names)))
    return tuple(_test(reader, where, target_named, route_named) for where in reader.places(("tests",)))


def _test(
    reader: Reader, where: Where, target_named: Callable[[str], str], route_named: Callable[[str], str]
) -> RouteTest:
    line, column = reader.document.mark(where)
    return RouteTest(
        name=reader.take((*where, "name"), str, ""),
        event=_event(reader, (*where, "event")),
        targets=_expected(reader, (*where, "expect", "targets"), target_named),
        routes=_expected(reader, (*where, "expect", "routes"), route_named),
        line=line,
        column=column,
    )


def _expected(reader: Reader, where: Where, named: Callable[[str], str]) -> frozenset[str] | None:
    return frozenset(reader.each(where, named)) if reader.document.has(where) else None


def _event(reader: Reader, where: Where) -> Event:
    sources = reader.keys(("sources",))
    return Event(
        id="",
        source=reader.take((*where, "source"), _name_among("source", reader, ("sources",)), _only(sources)),
        received_at=NO_TIME,
        account=reader.take((*where, "account"), _account, {}),
        entity=reader.take((*where, "entity"), str, ""),
        action=reader.take((*where, "action"), str, ""),
        data=reader.take((*where, "data"), _arrived, {}),
        query=reader.take((*where, "query"), _arrived, {}),
    )


def _only(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ""


def _account(value: Json) -> Mapping[str, Json]:
    if isinstance(value, dict):
        return value
    number = plain_value(str(value))
    return {"id": number} if isinstance(number, int) else {"subdomain": value}


def _arrived(value: Json) -> Json:
    """`value` as it would arrive: amoCRM sends decimals as text."""
    if isinstance(value, dict):
        return {key: _arrived(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_arrived(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value
