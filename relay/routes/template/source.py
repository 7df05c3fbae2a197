"""A text of the routes file, with its secrets -> the source that Jinja2 parses; and what is refused in it.

A secret stands in the source as a marker that no text can hold: whatever it is, it is never parsed as a template, and
where the marker is found elsewhere than in plain text, the template is refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from relay.model import Json
from relay.routes.diagnostics import Unfit, Where
from relay.routes.yaml_document import Reference

Source: TypeAlias = str | tuple[str | Reference, ...]
"""A text; in pieces if it has `${…}`: see `Document.source`."""

MAX_CHARACTERS = 100_000

_BEGINS = re.compile(r"\{[{%#]")
_MARKER = re.compile("\0([0-9]+)\0")
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f]")
_RETURN = "\x1c"
"""Instead of a carriage return: Jinja2 makes all line ends alike, and this, too, is white space for it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a template is refused: the place in the tree, line and column within that text, both from 1."""

    where: Where
    line: int
    column: int
    message: str

    def text(self) -> str:
        """`column 9 of the text: …`, with the line if it is not the first."""
        line = f"line {self.line}, " if self.line > 1 else ""
        return f"{line}column {self.column} of the text: {self.message}"


class TemplateRefused(Unfit):
    """Templates cannot be used; `refusals` has every reason."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("; ".join(refusal.text() for refusal in self.refusals[:5]))


@dataclass(frozen=True, slots=True)
class Masked:
    """A source with a marker for each secret."""

    text: str
    references: tuple[Reference, ...]

    def literal(self, text: str) -> str:
        """A part of the masked text as it is sent."""
        returned = text.replace(_RETURN, "\r")
        return _MARKER.sub(lambda marker: self.references[int(marker[1])].secret.reveal(), returned)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of the text as written, with its `${…}`."""
        before = _MARKER.sub(lambda marker: self.references[int(marker[1])].written, self.text[:offset])
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1

    def hidden(self, literals: str) -> int | None:
        """Offset of a secret that is not in the plain text of the template: in a comment."""
        plainly = set(_MARKER.findall(literals))
        return next((each.start() for each in _MARKER.finditer(self.text) if each[1] not in plainly), None)

    def refusal(self, where: Where, offset: int, message: str) -> Refusal:
        """Refuse what stands at `offset` of the masked text."""
        return Refusal(where, *self.position(offset), message)


def pieces(source: Source) -> tuple[str | Reference, ...]:
    """The source, always in pieces."""
    return (source,) if isinstance(source, str) else source


def has_template(source: Source) -> bool:
    """True if the text, secrets apart, has `{{`, `{%` or `{#`."""
    return bool(_BEGINS.search("".join(each if isinstance(each, str) else "\0" for each in pieces(source))))


def plain(source: Source) -> str:
    """The text with its secrets."""
    return "".join(each if isinstance(each, str) else each.secret.reveal() for each in pieces(source))


def shown(tree: Json) -> Json:
    """A source, or a tree of them, with every secret as it is written in the file: safe to print."""
    if isinstance(tree, dict):
        return {key: shown(item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [shown(item) for item in tree]
    if isinstance(tree, tuple):
        return tuple(each if isinstance(each, str) else each.as_written() for each in tree)
    return tree


def mask(source: Source, where: Where) -> Masked:
    """Put a marker for each secret; TemplateRefused for control characters, and for a text that is too long."""
    references = [each for each in pieces(source) if not isinstance(each, str)]
    numbers = iter(range(len(references)))
    clean = ["\0" if each == "\0" else each for each in pieces(source) if isinstance(each, str)]
    if found := _CONTROL.search("".join(clean)):
        raise TemplateRefused([Refusal(where, 1, 1, f"a control character (U+{ord(found[0]):04X}): remove it")])
    text = "".join(each if isinstance(each, str) else f"\0{next(numbers)}\0" for each in pieces(source))
    if len(text) > MAX_CHARACTERS:
        raise TemplateRefused([Refusal(where, 1, 1, f"a template of over {MAX_CHARACTERS} characters")])
    return Masked(text.replace("\r", _RETURN), tuple(references))
