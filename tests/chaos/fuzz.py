"""A target's name and libFuzzer's flags -> inputs that reach ever more code, until one raises what it must not.

    python -m tests.chaos.fuzz body -max_total_time=60 CORPUS

Each target takes any bytes. What it may raise it catches; anything else ends the process with the input in a file.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import aiohttp
import atheris
import orjson
import uvloop

with atheris.instrument_imports(include=["relay", "yaml", "jinja2"]):
    import yarl

    from relay.amocrm import events, form
    from relay.amocrm.shapes import BodyReader
    from relay.delivery.retry import LONGEST_RETRY_AFTER, parse_retry_after
    from relay.errors import RoutesInvalid, TemplateFailed, UnreadableError
    from relay.http.fast_connection import FastConnection
    from relay.model import Event, Secret
    from relay.model.templates import event_context
    from relay.routes.config import Config, parse
    from relay.routes.lint import warnings
    from relay.routes.redaction import RedactedLines
    from relay.routes.template import EVENT_NAMES, Place, TemplateRefused
    from relay.routes.template import compile as templates
    from relay.routes.yaml_document import Reference
    from tests.http.wire import Echo, connections, converse

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ARRIVED: Mapping[str, Any] = {"source": "crm", "received_at": NOW, "new_id": str}
TYPES = ("application/x-www-form-urlencoded", "application/json", "", "x/y; charset=cp1251")
LOOP, SOCKET = asyncio.new_event_loop(), socket.socketpair()[0]
ENVIRONMENT = {"RELAY_CRM_TOKEN": "5b1f0c9e7a3d48268e4f", "URL": "https://bot.example/amocrm"}
HIDDEN = "5ecret-{{ data.id }}"
TEMPLATE_EVENT: Mapping[str, Any] = {
    "entity": "leads",
    "timestamp": "2026-11-22T10:53:00.123Z",
    "account": {"id": 29085955},
    "data": {
        "id": 4831596,
        "name": 'A \u2028\ud800"<b>',
        "price": "1500",
        "none": None,
        "half": 0.5,
        "tags": [{"id": 1, "name": "vip"}, {"id": 2}, "text", 7, [[8]]],
        "custom_fields": [{"id": 1, "code": "PHONE", "values": [{"value": "8 912 345-67-89"}]}],
    },
}
AROUND_URL = """\
version: 1
sources: {crm: {token: "${RELAY_CRM_TOKEN}"}}
targets: {bot: {url: "${URL}"}}
routes: [{name: all, match: {}, to: bot}]
"""


def body(data: bytes) -> None:
    """A webhook as it arrives: the first byte is for its content type, the rest becomes events or UnreadableError.

    The same ones, where the shape of its keys is known.
    """
    content, content_type = data[1:], TYPES[data[0] % len(TYPES)] if data else ""
    reader = BodyReader(learned_at=1)
    read = [_payloads(lambda: reader.read(content, content_type, **ARRIVED)) for _ in range(2)]
    try:
        tree = form.decode(content, content_type)
        form.encode(tree)
        found = events.read(tree, **ARRIVED)
    except UnreadableError as error:
        assert read == [str(error)] * 2, read
        return
    assert read == [[events.dump(event) for event in found]] * 2, read
    for position, event in enumerate(found):
        assert orjson.loads(read[0][position])["data"] == event.data
        form.encode(events.isolate(tree, position))


def _payloads(read: Callable[[], list[Event]]) -> list[bytes] | str:
    try:
        return [events.dump(event) for event in read()]
    except UnreadableError as error:
        return str(error)


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


def response(data: bytes) -> None:
    """What a target writes, in pieces of so many bytes as the first one says: a status or a ClientError.

    Cut otherwise it is no other status, though it may be illegible: where aiohttp's parser sees lines, our search for
    a head in what it rejected may see none. If the connection is kept, the response to the next request is read as if
    there had been none before it: the same bytes once more, which are not parsed again, and then others.
    """
    said = data[1:]
    size = data[0] if data else 0
    whole, kept = _answered([said])
    cut, _ = _answered([said[start : start + size] for start in range(0, len(said), size)] if size else [said])
    assert whole == cut or None in (whole, cut), (whole, cut)
    if kept:
        headers, body = kept.headers, kept.body
        assert _asked(kept, [said]) == whole
        assert (kept.headers, kept.body) == (headers, body)
        assert kept.ended()
        assert _asked(kept, [b"HTTP/1.1 207 OK\r\ncontent-length: 2\r\n\r\nok"]) == 207


def _answered(pieces: Sequence[bytes]) -> "tuple[int | None, FastConnection | None]":
    """The status that a new connection reads out of these; the connection, if it can carry another request."""
    connection = FastConnection(LOOP)
    connection.connection_made(Target())
    status = _asked(connection, pieces)
    return status, connection if connection.ended() else None


def _asked(connection: "FastConnection", pieces: Sequence[bytes]) -> int | None:
    waiter = connection.ask(b"POST")
    for piece in pieces:
        if connection.transport and not connection.transport.is_closing():
            connection.data_received(piece)
    if waiter and not waiter.done():
        connection.connection_lost(None)
        assert waiter.done(), "or an attempt would last until its time-out"
    try:
        return connection.head().status
    except aiohttp.ClientError:
        return None


class Target(asyncio.Transport):
    """The socket of a target that writes what it is made to."""

    def __init__(self) -> None:
        super().__init__({"socket": SOCKET})
        self.ended = False

    def write(self, data: Any) -> None:
        """Into the void."""

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """No input is as long as that."""
        raise AssertionError

    def resume_reading(self) -> None:
        """Never paused."""

    def is_closing(self) -> bool:
        return self.ended

    def abort(self) -> None:
        self.ended = True


def posts(data: bytes) -> None:
    """Bytes on a connection: both ways to serve them write, serve and report the same.

    The first two bytes say where the others are cut, and how soon one piece follows the other.
    """
    cuts = [0, *sorted(data[:2]), len(data)]
    pieces = [piece for start, end in pairwise(cuts) if (piece := data[2:][start:end])]
    loop, ways = _ways()
    pause = (0, 1, 2, None)[len(data) % 4]
    one, other = (loop.run_until_complete(converse(*way, pieces, pause=pause, quiet=4)) for way in ways)
    assert one == other, f"{one} != {other}"


def template(data: bytes) -> None:
    """A template, with a secret at each byte 1: refused with its place, or else it renders, or fails as it says.

    JSON is JSON, a URL keeps its host, and no message quotes the secret. The length says where it stands.
    """
    text = data.decode("utf-8", "surrogateescape")
    secret, pieces = Reference(Secret(HIDDEN), "${KEY}"), text.split("\1")
    source = tuple(part for piece in pieces for part in (piece, secret))[:-1]
    given = event_context({**TEMPLATE_EVENT, "data": {**TEMPLATE_EVENT["data"], "x": text}})
    ways: tuple[Callable[[], Any], ...] = (
        lambda: templates.compile_tree([source], EVENT_NAMES),
        lambda: templates.compile_tree(source, EVENT_NAMES),
        lambda: templates.compile_text(source, EVENT_NAMES, Place.HEADER),
        lambda: templates.compile_url(("https://bot.example/", *source), EVENT_NAMES),
        lambda: templates.compile_expression(source, EVENT_NAMES),
    )
    way = len(data) % len(ways)
    if (compiled := _compiled(ways[way])) is None:
        return
    try:
        made = compiled.evaluate(given) if way == 4 else compiled.render(given)
    except TemplateFailed as failed:
        assert HIDDEN not in str(failed)
        return
    assert way != 0 or len(orjson.loads(made)) == 1
    assert way != 3 or made.startswith("https://bot.example/")


def _compiled(way: Callable[[], Any]) -> Any:
    try:
        return way()
    except TemplateRefused as refused:
        assert refused.refusals
        for each in refused.refusals:
            assert each.line > 0 and each.column > 0 and each.message
            assert HIDDEN not in each.message and "\n" not in each.message
        return None


def planted(data: bytes) -> None:
    """Sabotaged: a body with one more bracket than it needs trips it."""
    body(data)
    if data.count(b"]]") > 1:
        raise IndexError("planted")


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (body, routes, url, retry_after, response, posts, template, planted)
}


@cache
def _ways() -> tuple[asyncio.AbstractEventLoop, list[tuple[Callable[[], Any], Echo]]]:
    """A loop, and a server of each kind: one that offers posts, and one that does not."""
    logging.disable()  # each address of a fault would be a traceback
    loop, ways = uvloop.new_event_loop(), []
    for offered in (True, False):
        echo = Echo()
        ways.append((loop.run_until_complete(connections(echo, offered=offered).__aenter__()), echo))
    return loop, ways


def _parsed(text: bytes | str, **env: str) -> Config | None:
    try:
        return parse(text, file="routes.yaml", env=ENVIRONMENT | env)
    except RoutesInvalid as invalid:
        assert str(invalid)
        return None


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
