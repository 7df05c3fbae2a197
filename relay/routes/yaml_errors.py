"""PyYAML's syntax error -> line, column and a message for people.

PyYAML reports a missing ':' only at the next one: its position is not that of the mistake.
"""

import re
from typing import Any

import yaml

from relay.routes.diagnostics import quoted
from relay.routes.stray_characters import character_name, confusable, first_invisible

_WORDS = (
    ("found a tab character", "a tab cannot indent: use spaces"),
    (
        "mapping values are not allowed",
        "a ':' that cannot be here: check the indentation, or put text with ': ' in quotes",
    ),
    ("did not find expected ',' or ']'", "',' or ']' is missing in the list that starts on line {start}"),
    ("did not find expected ',' or '}'", "',' or '}}' is missing in the mapping that starts on line {start}"),
    ("did not find expected key", "does not line up with the block that starts on line {start}: check the indentation"),
    ("did not find expected '-'", "does not line up with the list that starts on line {start}: check the indentation"),
    ("did not find expected node content", "a value is missing before this"),
    ("found unexpected document indicator", "a quote that is not closed before the document ends"),
    ("did not find expected <document start>", "text after the end of the document"),
    ("found unknown escape character", r"an unknown \ escape: write \\, or use single quotes"),
    ("block sequence entries are not allowed", "a '- ' that cannot be here: check the indentation"),
)
_WITHOUT_BLANK = re.compile(r"[\w.-]+:[^\s]")
_SLIP = re.compile(r"(?P<name>[\w.-]+)(?:(?P<colon>:)|\s)\s*(?P<open>[\[{])?.*", re.DOTALL)
_COLON = re.compile(r":(\s|$)|^[\[{\"'#]")
LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # as PyYAML counts lines
_TOP = yaml.Mark("", 0, 0, 0, None, 0)
_NEEDS_QUOTES = frozenset("@`%|>&*!?")


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[int, int, str]:
    """Line and column of the mistake, from 1, and what to do about it."""
    place = error.problem_mark or error.context_mark or _TOP
    start = error.context_mark or place
    problem = error.problem or "cannot be read"
    lines = LINE_END.split(text)
    if unseen := _invisible_indent(lines, place.line):
        return unseen
    if "unexpected end of stream" in problem:  # show where the quote opened, not the end of the file
        return start.line + 1, start.column + 1, "a quote that is never closed"
    if (line := _without_colon(problem, start, place, lines)) is not None:
        content = lines[line].lstrip(" -")
        column = len(lines[line]) - len(content)
        return line + 1, column + 1, _no_colon(content)
    message = _message(problem, _character(lines, place), start.line + 1)
    if place.line >= len(lines):  # libyaml ends a last line without an end itself
        return len(lines), len(lines[-1]) + 1, message
    return place.line + 1, place.column + 1, message


def _without_colon(problem: str, start: yaml.Mark, place: yaml.Mark, lines: list[str]) -> int | None:
    """The line, from 0, of a key without ':', if that is what is wrong."""
    if "could not find expected ':'" in problem:
        return start.line
    if "mapping values are not allowed" not in problem:
        return None
    before = next((number for number in range(place.line - 1, -1, -1) if lines[number].strip()), None)
    if before is None or _indent(lines[before]) > _indent(lines[place.line]):
        return None
    return None if _COLON.search(lines[before].lstrip(" -")) else before


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" -"))


def _no_colon(content: str) -> str:
    """Shows no part of the line: it may be a secret."""
    said = "a blank is missing after ':'" if _WITHOUT_BLANK.match(content) else "a key without ':'"
    return said + confusable(content.partition(" #")[0])


def _invisible_indent(lines: list[str], last: int) -> tuple[int, int, str] | None:
    """Where this line or the one before is indented with characters that only look like spaces."""
    for number in (last - 1, last):
        line = lines[number] if 0 <= number < len(lines) else ""
        content = line.lstrip()
        indent = line[: len(line) - len(content)]
        if character := first_invisible(indent):
            return number + 1, indent.index(character) + 1, f"{character_name(character)} cannot indent: use spaces"
    return None


def _message(problem: str, character: str, start: int) -> str:
    if character == "\t":
        return "a tab cannot indent: use spaces"
    if character == "{" and "expected ','" in problem:
        return 'inside [ ] or { } a text with ${…} needs quotes: "${NAME}"'
    if "cannot start any token" in problem and character in _NEEDS_QUOTES:
        return f"text cannot start with {character}: put it in quotes"
    words = next((words for fragment, words in _WORDS if fragment in problem), f"not valid YAML: {problem}")
    return words.format(start=start) if "{start}" in words else words


def _character(lines: list[str], mark: yaml.Mark) -> str:
    line = lines[mark.line] if mark.line < len(lines) else ""
    return line[mark.column : mark.column + 1]


def misread_key(key: Any, value: Any, text: str) -> tuple[str, str] | None:
    """The intended key and the mistake, where YAML reads a longer key: `{entity:leads}`."""
    if key.style or not (slip := _SLIP.fullmatch(key.value)):
        return None
    if slip["open"] is None and ":" in text[key.end_mark.index : value.start_mark.index]:
        return None
    message = (
        f"a blank is missing after {quoted(slip['name'] + ':')}" if slip["colon"] else "a ':' is missing after this"
    )
    return slip["name"], message
