"""PyYAML's syntax error -> line, column and words for people."""

import yaml

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
    ("could not find expected ':'", "a key without ':'"),
    ("did not find expected node content", "a value is missing before this"),
    ("found unexpected document indicator", "a quote that is not closed before the document ends"),
    ("did not find expected <document start>", "text after the end of the document"),
    ("found unknown escape character", r"an unknown \ escape: write \\, or use single quotes"),
    ("block sequence entries are not allowed", "a '- ' that cannot be here: check the indentation"),
)
_TOP = yaml.Mark("", 0, 0, 0, None, 0)
_NEEDS_QUOTES = frozenset("@`%|>&*!?")


def explained(error: yaml.MarkedYAMLError, text: str) -> tuple[int, int, str]:
    """Where to look, counted from 1, and what to do about it."""
    place = error.problem_mark or error.context_mark or _TOP
    start = error.context_mark or place
    problem = error.problem or "cannot be read"
    if "unexpected end of stream" in problem:  # the end of the file helps nobody: show where the quote opened
        return start.line + 1, start.column + 1, "a quote that is never closed"
    return place.line + 1, place.column + 1, _message(problem, _character(text, place), start.line + 1)


def _message(problem: str, character: str, start: int) -> str:
    if character == "\t":
        return "a tab cannot indent: use spaces"
    if character == "{" and "expected ','" in problem:
        return 'inside [ ] or { } a text with ${…} needs quotes: "${NAME}"'
    if "cannot start any token" in problem and character in _NEEDS_QUOTES:
        return f"text cannot start with {character}: put it in quotes"
    words = next((words for fragment, words in _WORDS if fragment in problem), f"not valid YAML: {problem}")
    return words.format(start=start) if "{start}" in words else words


def _character(text: str, mark: yaml.Mark) -> str:
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    return line[mark.column : mark.column + 1]
