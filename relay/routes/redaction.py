"""Routes file -> its lines as they may be printed, with a position in them: possible secrets become `***`.

An allow list decides what is shown, so that a misspelt key does not reveal its value. Where the YAML can be parsed, the
path of a value decides; after a syntax error, keywords in the line do.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml

from relay.routes.diagnostics import Where
from relay.routes.yaml_document import LOADER, MAX_DEPTH, TEMPLATE
from relay.routes.yaml_errors import LINE_END

HIDDEN = "***"
CUT = "…"

_OPEN = frozenset({"version", "routes", "tests", "retention"})
"""Sections whose values are shown, unless they look like a secret."""
_SETTINGS = frozenset(
    {
        "account", "accounts", "attempts", "batch", "breaker", "ca", "cert", "concurrency", "content_type", "dead_on",
        "dedupe", "deny_private", "enrich", "factor", "failures", "format", "guard", "heal", "host", "initial",
        "jitter", "max", "max_age", "method", "names", "no_proxy", "ok_if", "ok_on", "order", "rate", "retry",
        "retry_after", "schedule", "timeout", "tls",
    }
)  # fmt: skip
"""Keys of accounts, sources and targets whose values are shown."""
_RENDERED = frozenset({"body", "headers", "query", "url"})
"""Keys of targets whose values are shown if they have a template."""
_OF_NOTIFY = frozenset({"language", "on", "quiet", "silence"})
"""Keys of receivers of notifications whose values are shown."""
_NAMES = _SETTINGS | _OPEN | _RENDERED | {
    "sources", "targets", "defaults", "token", "secret", "key", "proxy",
    "notify", "on", "silence", "quiet", "language", "telegram", "mail", "slack", "webhook", "chat_id", "smtp",
    "oauth", "redirect_uri", "oauth2", "token_url", "client_id", "client_secret", "scope", "auth",
}  # fmt: skip
"""Keys that are shown after a syntax error."""
_SENSITIVE = "token|secret|passw|authoriz|cookie|api.?key"
_NAMES_SECRET = re.compile(_SENSITIVE, re.IGNORECASE)
_LOOKS_SECRET = re.compile(rf"{_SENSITIVE}|bearer|basic\s|://|:-|[A-Za-z0-9+/_=-]{{20,}}", re.IGNORECASE)
_LONGEST_KEY = len("If-Unmodified-Since")
_REFERENCE = re.compile(r"(?P<quote>[\"']?)\$\{([A-Za-z_][A-Za-z0-9_]*|file:[^}]*)\}(?P=quote)")
_COMMENT = re.compile(r"(^|\s)#.*$")
_SECTION = re.compile(r"(?![\s#]|-\s|-$)[\"']?([\w.-]*)")
"""The start of a section, also a misspelt one: no list item, comment or indented line begins so."""
_FIRST_KEY = re.compile(r"\W*([a-z0-9_]+)(\s*:)?(?=\s)")


@dataclass(frozen=True, slots=True)
class _Scalar:
    where: Where
    is_key: bool
    start: tuple[int, int]
    end: tuple[int, int]
    text: str


class RedactedLines:
    """The lines of one file; `hidden` has the places of values that are not shown, `hidden_keys` those of keys."""

    def __init__(self, data: bytes) -> None:
        text = data.decode("utf-8-sig", "replace")
        self._lines = LINE_END.split(text)
        self._spans: dict[int, list[tuple[int, int, bool]]] = defaultdict(list)
        self._parsed = 0  # lines before this one are parsed
        self.hidden: set[Where] = set()
        self.hidden_keys: set[Where] = set()
        try:
            for scalar in self._read(text):
                self._keep(scalar)
        except (yaml.YAMLError, ValueError, IndexError):
            pass  # the lines so far are parsed
        else:
            self._parsed = len(self._lines)

    def __iter__(self) -> Iterator[str]:
        """Each line, without comments."""
        return ("".join(piece for piece, _ in self._shown(number)) for number in range(len(self._lines)))

    def at(self, line: int, column: int) -> tuple[str, int] | None:
        """The line, counted from 1, and how many of the characters shown precede the column; None if there is none.

        For a column in a hidden text, its start.
        """
        if not 1 <= line <= len(self._lines):
            return None
        shown, before, passed = "", 0, 0
        for piece, length in self._shown(line - 1):
            if passed <= column - 1:
                before = len(shown) + (column - 1 - passed if len(piece) == length else 0)
            shown, passed = shown + piece, passed + length
        return shown, min(before, len(shown))

    def _shown(self, number: int) -> list[tuple[str, int]]:
        return self._pieces(number) if number < self._parsed else self._guessed(number)

    def _pieces(self, number: int) -> list[tuple[str, int]]:
        """Pieces to show, each with the number of characters of the line that it stands for."""
        line, end, pieces = self._lines[number], 0, []
        for start, stop, hidden in sorted(self._spans[number]):
            pieces.append((line[end:start], start - end))
            pieces.append((HIDDEN if hidden else line[start:stop], stop - start))
            end = stop
        rest = line[end:].partition("#")[0].rstrip()  # outside of scalars `#` begins a comment, with or without a blank
        return [*pieces, (rest, len(rest))]

    def _guessed(self, number: int) -> list[tuple[str, int]]:
        line = _COMMENT.sub("", self._lines[number])
        if self._section(number) in _OPEN and not _LOOKS_SECRET.search(line):
            return [(line, len(line))]
        first = _FIRST_KEY.match(line)
        end = first.end() if first and first[1] in _NAMES else len(line) - len(line.lstrip())
        return [(line[:end], end), (f" {CUT}" if line[end:].strip() else "", len(line) - end)]

    def _section(self, number: int) -> str:
        found = (_SECTION.match(self._lines[above]) for above in range(number, -1, -1))
        return next((match[1] for match in found if match), "")

    def _keep(self, scalar: _Scalar) -> None:
        (first, start), (last, stop) = scalar.start, scalar.end
        hidden = not _may_be_shown(scalar)
        if hidden:
            (self.hidden_keys if scalar.is_key else self.hidden).add(scalar.where)
        for number in range(first, min(last, len(self._lines) - 1) + 1):
            line = self._lines[number]
            begin = start if number == first else len(line) - len(line.lstrip())
            end = stop if number == last else len(line)
            if begin < end:
                self._spans[number].append((begin, end, hidden))

    def _read(self, text: str) -> Iterator[_Scalar]:
        stack: list[tuple[Where, Any]] = []  # path, and the current key or the number of items; None before a key
        events: Iterator[Any] = yaml.parse(text, Loader=LOADER)
        for event in events:
            self._parsed = event.start_mark.line
            if len(stack) > MAX_DEPTH:  # each place is as long as it is deep
                raise ValueError("nested too deeply")
            if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                stack.pop()
                continue
            if not isinstance(event, yaml.NodeEvent):
                continue
            where, is_key = _next(stack, event)
            start: Any = event.start_mark
            end: Any = event.end_mark
            raw = text[start.index : end.index]
            scalar = _Scalar(where, is_key, (start.line, start.column), (end.line, end.column), raw)
            if isinstance(event, yaml.ScalarEvent):
                yield scalar
            elif event.anchor or getattr(event, "tag", None):  # a secret may begin with & or * or !
                yield replace(scalar, where=(), is_key=False)
            if isinstance(event, yaml.MappingStartEvent):
                stack.append((where, None))
            elif isinstance(event, yaml.SequenceStartEvent):
                stack.append((where, 0))


def _next(stack: list[tuple[Where, Any]], event: Any) -> tuple[Where, bool]:
    """The path of the node, and whether it is a key."""
    if not stack:
        return (), False
    where, at = stack[-1]
    if isinstance(at, int):
        stack[-1] = where, at + 1
        return (*where, at), False
    if at is None:
        key = event.value if isinstance(event, yaml.ScalarEvent) else "?"
        stack[-1] = where, key
        return (*where, key), isinstance(event, yaml.ScalarEvent)
    stack[-1] = where, None
    return (*where, at), False


def _may_be_shown(scalar: _Scalar) -> bool:
    where, text = scalar.where, scalar.text
    if scalar.is_key:
        return len(text) <= _LONGEST_KEY and " " not in text and _may_hold_keys(where[:-1])
    if _REFERENCE.fullmatch(text):
        return True
    if _LOOKS_SECRET.search(text) or not where:
        return False
    if where[0] in _OPEN:
        return not _names_secret(where) and where[2:4] not in (("event", "data"), ("event", "query"))
    return _is_setting(where) or (_is_rendered(where) and TEMPLATE.search(text) is not None)


def _names_secret(where: Where) -> bool:
    return any(_NAMES_SECRET.search(part) for part in where if isinstance(part, str))


def _may_hold_keys(where: Where) -> bool:
    """False within a secret written as a mapping: `token: {…}`."""
    if (
        len(where) <= 2
        or where[0] in _OPEN
        or where[2:] in (("headers",), ("oauth",), ("oauth2",))
        or where[2:3] in (("body",), ("query",))
        or (where[0] == "notify" and where[2] == "to" and len(where) <= 4)
    ):
        return True
    return _is_setting(where)


def _is_rendered(where: Where) -> bool:
    return where[0] == "targets" and not _RENDERED.isdisjoint(where[2:3]) and not _names_secret(where[3:])


def _is_setting(where: Where) -> bool:
    """A setting of an account, a source, a target or the defaults; elsewhere the same word may name a secret header."""
    if where[0] == "notify":
        return not _OF_NOTIFY.isdisjoint(where[2:3])
    named = dict.fromkeys(("accounts", "sources", "targets"), where[2:3])
    keys = {"defaults": where[1:2], **named}.get(str(where[0]), ())
    return bool(_SETTINGS.intersection(keys)) and "query" not in where[3:-1]
