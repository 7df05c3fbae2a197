"""Config -> warnings about what can be loaded but is hardly meant, and the results of the file's own tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlsplit

from relay.errors import Problem
from relay.model import Secret, signing_key
from relay.routes.conditions import Condition
from relay.routes.config import Config, RouteTest
from relay.routes.coverage import superfluous
from relay.routes.match import Matches, Route
from relay.routes.problems import Where, path_text
from relay.routes.unmatchable import why_never
from relay.routes.words import listed, quoted

SHORTEST_TOKEN = 16
"""Characters; it is all that keeps strangers out."""
SHORTEST_KEY = 24
"""Bytes; Standard Webhooks, "Signature scheme", asks for 24 to 64."""

REPEATED_FOR = timedelta(hours=1)
"""kommo.com, "Digital pipeline: API: send webhook" (2026): up to four repeats within one hour."""

_EVERYWHERE = frozenset({"source", "entity", "action"})
"""Fields that every event has."""

_SECRET_HEADERS = ("authorization", "cookie", "api-key", "token", "secret", "password")
_SECRET_QUERIES = ("key", "token", "secret", "password", "signature")


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """What a test of the file expected and what the routes did."""

    __test__ = False  # pytest collects classes by this name

    test: RouteTest
    got: Matches

    @property
    def passed(self) -> bool:
        """True if nothing differs."""
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


def run_tests(config: Config) -> list[TestResult]:
    """The file's `tests`, in file order."""
    return [TestResult(test=test, got=config.matcher.match(test.event)) for test in config.tests]


def warnings(config: Config) -> list[Problem]:
    """What is worth a second look, in file order; a file with warnings still loads."""
    checks = (
        _literal_secrets,
        _guessable,
        _shared_tokens,
        _unused_targets,
        _clear_text,
        _brief_dedupe,
        _never,
        _everything,
        _superfluous,
        _nowhere,
    )
    return sorted(_warning(config, where, message) for check in checks for where, message in check(config))


def _warning(config: Config, where: Where, message: str) -> Problem:
    line, column = config.document.mark(where)
    return Problem(line, column, path_text(where), message)


def _literal_secrets(config: Config) -> Iterator[tuple[Where, str]]:
    for where in _secret_places(config):
        if where not in config.document.written:
            yield where, "a secret in the file: write ${NAME} and set the variable, or ${file:/run/secrets/name}"


def _guessable(config: Config) -> Iterator[tuple[Where, str]]:
    for name, source in config.sources.items():
        if any(len(token.reveal()) < SHORTEST_TOKEN for token in source.tokens):
            yield ("sources", name, "token"), "short enough to be guessed: make one with: openssl rand -hex 32"
    for name, target in config.targets.items():
        if any(len(signing_key(secret.reveal())) < SHORTEST_KEY for secret in target.secrets):
            yield ("targets", name, "secret"), "under 24 bytes of base64: make one with: openssl rand -base64 32"


def _secret_places(config: Config) -> Iterator[Where]:
    for name in config.sources:
        yield from _items(config, ("sources", name, "token"))
    for name, target in config.targets.items():
        yield from _items(config, ("targets", name, "secret"))
        for header in target.headers:
            if header.lower().endswith(_SECRET_HEADERS):
                yield ("targets", name, "headers", header)
        if any(key.lower().endswith(_SECRET_QUERIES) for key, _value in parse_qsl(urlsplit(target.url).query)):
            yield ("targets", name, "url")


def _items(config: Config, where: Where) -> list[Where]:
    value = config.document.at(where) if config.document.has(where) else []
    return [(*where, index) for index in range(len(value))] if isinstance(value, list) else [where]


def _shared_tokens(config: Config) -> Iterator[tuple[Where, str]]:
    owners: dict[Secret, str] = {}
    for name, source in config.sources.items():
        for token in source.tokens:
            if owners.setdefault(token, name) != name:
                yield ("sources", name, "token"), f"the same token as {quoted(owners[token])}: give each source its own"


def _unused_targets(config: Config) -> Iterator[tuple[Where, str]]:
    used = {target for route in config.routes for target in route.targets}
    for name in config.targets:
        if name not in used:
            yield ("targets", name), "no route feeds it"


def _clear_text(config: Config) -> Iterator[tuple[Where, str]]:
    for name, target in config.targets.items():
        url = urlsplit(target.url)
        if url.scheme == "http" and not _is_loopback(url.hostname or ""):
            yield ("targets", name, "url"), "http to another machine can be read on the way: use https"


def _brief_dedupe(config: Config) -> Iterator[tuple[Where, str]]:
    for name, source in config.sources.items():
        if source.dedupe and source.dedupe < REPEATED_FOR:
            yield ("sources", name, "dedupe"), "the digital pipeline may repeat for an hour: use 1h"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _never(config: Config) -> Iterator[tuple[Where, str]]:
    for position in range(len(config.routes)):
        yield from why_never(config, position)


def _everything(config: Config) -> Iterator[tuple[Where, str]]:
    for position, route in enumerate(config.routes):
        if not route.match and not route.otherwise:
            advice = "write `otherwise: true` for what no other route takes, or `{entity: {exists: true}}` to mean it"
            yield ("routes", position, "match"), f"takes every event: {advice}"


def _superfluous(config: Config) -> Iterator[tuple[Where, str]]:
    for position, other in superfluous(config.routes).items():
        covering = config.routes[other]
        yield (
            ("routes", position),
            f"adds nothing: {quoted(covering.name)} on line {covering.line} takes the same events to the same targets",
        )


def _nowhere(config: Config) -> Iterator[tuple[Where, str]]:
    if not any(route.otherwise or _takes_all(route) for route in config.routes):
        yield ("routes",), "events that no route takes go nowhere: end with a route that has otherwise: true"


def _takes_all(route: Route) -> bool:
    exists = Condition(exists=True)
    return all(field in _EVERYWHERE and condition == exists for field, condition in route.match.items())
