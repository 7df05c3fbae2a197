"""A target's name and libFuzzer's flags -> inputs that reach ever more code, until one raises what it must not.

    python -m tests.chaos.fuzz body -max_total_time=60 CORPUS

Each target takes any bytes. What it may raise it catches; anything else ends the process with the input in a file.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count

import atheris
import orjson

with atheris.instrument_imports(include=["relay", "yaml"]):
    import yarl

    from relay.amocrm import events, form
    from relay.delivery.retry import LONGEST_RETRY_AFTER, parse_retry_after
    from relay.errors import RoutesInvalid, UnreadableError
    from relay.routes.config import Config, parse
    from relay.routes.lint import warnings
    from relay.routes.redaction import RedactedLines

NOW = datetime(2026, 11, 24, tzinfo=UTC)
TYPES = ("application/x-www-form-urlencoded", "application/json", "", "x/y; charset=cp1251")
ENVIRONMENT = {"RELAY_CRM_TOKEN": "5b1f0c9e7a3d48268e4f", "URL": "https://bot.example/amocrm"}
AROUND_URL = """\
version: 1
sources: {crm: {token: "${RELAY_CRM_TOKEN}"}}
targets: {bot: {url: "${URL}"}}
routes: [{name: all, match: {}, to: bot}]
"""


def body(data: bytes) -> None:
    """A webhook as it arrives: the first byte is for its content type, the rest becomes events or UnreadableError."""
    with suppress(UnreadableError):
        tree = form.decode(data[1:], TYPES[data[0] % len(TYPES)] if data else "")
        form.encode(tree)
        ids = count()
        found = events.read(tree, source="crm", received_at=NOW, new_id=lambda: f"event-{next(ids)}")
        for position, event in enumerate(found):
            assert orjson.loads(events.dump(event))["data"] == event.data
            form.encode(events.isolate(tree, position))


def routes(data: bytes) -> None:
    """A routes file: a Config and what is to be warned of, or every problem with its place and its line."""
    if b"file:" in data:  # which may name /dev/zero
        return
    excerpts = RedactedLines(data)
    try:
        problems = warnings(parse(data, file="routes.yaml", env=ENVIRONMENT))
    except RoutesInvalid as invalid:
        problems = list(invalid.problems)
        assert problems
    for problem in problems[:5]:
        assert problem.message
        excerpts.at(problem.line, problem.column)


def url(data: bytes) -> None:
    """A URL that a routes file may have is one that a request can be made of."""
    text = data.decode("utf-8", "replace")
    if config := _parsed(AROUND_URL, URL=text):
        assert yarl.URL(config.targets["bot"].url).host


def retry_after(data: bytes) -> None:
    """A header of a target: nothing, or a time within a day."""
    pause = parse_retry_after(data.decode("utf-8", "surrogateescape"), now=NOW)
    assert pause is None or timedelta() <= pause <= LONGEST_RETRY_AFTER


def planted(data: bytes) -> None:
    """Sabotaged: a body with one more bracket than it needs trips it."""
    body(data)
    if data.count(b"]]") > 1:
        raise IndexError("planted")


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (body, routes, url, retry_after, planted)
}


def _parsed(text: bytes | str, **env: str) -> Config | None:
    try:
        return parse(text, file="routes.yaml", env=ENVIRONMENT | env)
    except RoutesInvalid as invalid:
        assert str(invalid)
        return None


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
