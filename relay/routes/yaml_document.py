"""YAML text -> Document: values with their lines and columns, or every problem with the text.

A strict subset of YAML 1.2: mappings with text keys, lists and scalars. Anchors, aliases, merge keys, tags and further
documents are refused, so the size of the file bounds the work.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from relay.model import Json, Secret
from relay.routes.diagnostics import Mark, Problems, Where, quoted, shortened
from relay.routes.stray_characters import copying_mistake, written_mistake
from relay.routes.text_places import TextPlace
from relay.routes.yaml_errors import LINE_END, explain, misread_key
from relay.routes.yaml_scalars import lookalike, plain_value, surprise

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_NODES = 100_000
START: Mark = (1, 1)

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's parser is ten times as fast
TEMPLATE = re.compile("{[{%#]")
"""What a text with a template in it has."""

_SWITCH = frozenset({"on", "off"})
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Reference:
    """A `${…}` within a text: what it stands for, and how the file writes it: safe to print."""

    secret: Secret
    written: str

    def as_written(self) -> "Reference":
        """Stand for itself."""
        return Reference(Secret(self.written), self.written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The value of a file, and the position of each part.

    `value` is made of dict, list, str, int, Decimal, bool and None. `marks` has the position of each key
    and list item. `written` has, for each text with `${…}`, the text of the file: safe to print; `pieces` has what it
    is made of. `doubtful` has a warning for each unquoted text that looks like something else. `templates` has, for
    each text that may hold a template, where its characters are.
    """

    value: Json = field(repr=False)
    marks: Mapping[Where, Mark] = field(repr=False)
    written: Mapping[Where, str] = field(default_factory=dict)
    pieces: Mapping[Where, tuple[str | Reference, ...]] = field(default_factory=dict, repr=False)
    doubtful: Mapping[Where, str] = field(default_factory=dict, repr=False)
    templates: Mapping[Where, TextPlace] = field(default_factory=dict, repr=False)

    def has(self, where: Where) -> bool:
        """True if the file has a value at `where`."""
        value = self.value
        for part in where:
            known = part in value if isinstance(value, dict) else isinstance(value, list) and part in range(len(value))
            if not known:
                return False
            value = value[part]
        return True

    def at(self, where: Where) -> Json:
        """The value at `where`, which must be there."""
        value = self.value
        for part in where:
            value = value[part]
        return value

    def source(self, where: Where) -> Json:
        """The value at `where` for a template: a text with `${…}` is in pieces, so that no secret is parsed."""
        return self._in_pieces(where, self.at(where))

    def _in_pieces(self, where: Where, value: Json) -> Json:
        if isinstance(value, dict):
            return {key: self._in_pieces((*where, key), item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._in_pieces((*where, number), item) for number, item in enumerate(value)]
        return self.pieces.get(where, value)

    def mark(self, where: Where) -> Mark:
        """The position of `where`; of a missing value, that of its parent."""
        return next((self.marks[where[:end]] for end in range(len(where), 0, -1) if where[:end] in self.marks), START)

    def shown(self, where: Where) -> str:
        """The scalar at `where` as the file has it, with every `${…}` unresolved."""
        return self.written.get(where) or str(self.at(where))

    def digest(self) -> str:
        """Return a text that is the same for the same value, whatever its `${…}` stand for."""
        value = json.dumps(self.as_written(()), sort_keys=True, default=str)
        return hashlib.blake2b(value.encode(), digest_size=8).hexdigest()

    def as_written(self, where: Where) -> Json:
        """The value at `where`, with every `${…}` unresolved."""
        return self._as_written(where, self.at(where))

    def _as_written(self, where: Where, value: Json) -> Json:
        if isinstance(value, dict):
            return {key: self._as_written((*where, key), item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._as_written((*where, number), item) for number, item in enumerate(value)]
        return self.written.get(where, value)

    def hint(self, where: Where) -> str:
        """What may be wrong with a text that does not fit, `; …`, or nothing; never shows what a variable holds."""
        value = self.at(where)
        if not isinstance(value, str):
            return ""
        written = self.written.get(where)
        mistake = copying_mistake(value, written) if written is not None and value else None
        return f"; its value {mistake}" if mistake else written_mistake(self.shown(where))


def parse(data: bytes | str, problems: Problems) -> Document | None:
    """Parse `data`; None if its problems leave no document."""
    text = _decoded(data, problems)
    return None if text is None else _Build(text, problems).document()


def _decoded(data: bytes | str, problems: Problems) -> str | None:
    if len(data) > MAX_BYTES:
        problems.add((), START, "the file is over 1 MB")
        return None
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8", "replace")
        problems.add((), _mark_after(before), "not UTF-8 from here on: save the file as UTF-8")
        return None
    if wrong := _NOT_TEXT.search(text):
        message = f"a control character (U+{ord(wrong[0]):04X}): remove it"
        problems.add((), _mark_after(text[: wrong.start()]), message)
        return None
    return text


def _mark_after(text: str) -> Mark:
    ends = [match.end() for match in LINE_END.finditer(text)]
    return len(ends) + 1, len(text) - (ends[-1] if ends else 0) + 1


class _TooLarge(Exception):
    """The document is too deep or too long; its problem is already added."""


class _Build:
    """One pass over the parser's events; recursion is bounded by MAX_DEPTH."""

    def __init__(self, text: str, problems: Problems) -> None:
        self.text = text
        self.problems = problems
        self.events: Iterator[Any] = yaml.parse(text, Loader=LOADER)
        self.marks: dict[Where, Mark] = {}
        self.doubtful: dict[Where, str] = {}
        self.templates: dict[Where, TextPlace] = {}
        self.nodes = 0

    def document(self) -> Document | None:
        try:
            return self._only_document()
        except _TooLarge:
            return None
        except yaml.MarkedYAMLError as error:
            line, column, message = explain(error, self.text)
            self.problems.add((), (line, column), message)
            return None

    def _only_document(self) -> Document | None:
        next(self.events)  # the stream starts
        if isinstance(next(self.events), yaml.StreamEndEvent):
            self.problems.add((), START, "the file is empty: it needs version, sources, targets and routes")
            return None
        top = next(self.events)
        if not isinstance(top, yaml.MappingStartEvent):
            self._note((), top, "must be a mapping with version, sources, targets and routes")
            return None
        value = self._value((), top)
        next(self.events)  # the document ends
        if isinstance(another := next(self.events), yaml.DocumentStartEvent):
            self._note((), another, "a second document (---): one file holds one document")
        return Document(value=value, marks=self.marks, doubtful=self.doubtful, templates=self.templates)

    def _value(self, where: Where, event: Any) -> Json:
        self._bound(where, event)
        if isinstance(event, yaml.AliasEvent):
            self._note(where, event, "an alias (*…): write the value out, or put text that starts with * in quotes")
            return None
        self._refuse_anchor_and_tag(where, event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(where, event)
        return self._pairs(where) if isinstance(event, yaml.MappingStartEvent) else self._items(where)

    def _bound(self, where: Where, event: Any) -> None:
        self.nodes += 1
        if len(where) >= MAX_DEPTH:
            self._note((), event, f"nested deeper than {MAX_DEPTH} levels")
            raise _TooLarge
        if self.nodes > MAX_NODES:
            self._note((), event, f"more than {MAX_NODES} values")
            raise _TooLarge

    def _refuse_anchor_and_tag(self, where: Where, event: Any) -> None:
        if event.anchor is not None:
            advice = "write the value out where it is used, or put text that starts with & in quotes"
            self._note(where, event, f"an anchor (&…): {advice}")
        if event.tag is not None:
            self._note(where, event, "a tag (!…): remove it, or put text that starts with ! in quotes")

    def _scalar(self, where: Where, event: Any) -> Json:
        if TEMPLATE.search(event.value):
            source = self.text[event.start_mark.index : event.end_mark.index]
            self.templates[where] = TextPlace(event.value, source, *_mark(event))
        if event.style:  # quoted or a block: text as it stands
            return event.value
        if (message := surprise(event.value)) and not (event.value in _SWITCH and _is_switch(where)):
            self._note(where, event, message)
        elif message := lookalike(event.value):
            self.doubtful[where] = message
        return plain_value(event.value)

    def _items(self, where: Where) -> list[Json]:
        items: list[Json] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            here = (*where, len(items))
            self.marks[here] = _mark(event)
            items.append(self._value(here, event))
        return items

    def _pairs(self, where: Where) -> dict[str, Json]:
        pairs: dict[str, Json] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            following = next(self.events) if isinstance(event, yaml.ScalarEvent) else None
            said = ""
            if following is not None and (slip := misread_key(event, following, self.text)):
                event.value, said = slip
            key = self._key(where, event)
            here = (*where, key)
            if said:
                self._note(here, event, said)
            if key in pairs:
                self._note(here, event, f"the key {quoted(key)} is already on line {self.marks[here][0]}")
            self.marks[here] = _mark(event)
            pairs[key] = self._value(here, following or next(self.events))
        return pairs

    def _key(self, where: Where, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            here = (*where, "?")
            self._value(here, event)
            template = self.text[event.start_mark.index - 1 : event.start_mark.index + 1] == "{{"
            said = 'a template needs quotes: "{{ … }}"' if template else "a key must be plain text"
            self._note(here, event, said)
            return "?"
        here = (*where, str(event.value))
        self._refuse_anchor_and_tag(here, event)
        if not event.style:
            self._refuse_plain_key(here, event)
        return str(event.value)

    def _refuse_plain_key(self, where: Where, event: Any) -> None:
        if event.value == "<<":
            self._note(where, event, "a merge key (<<): write the keys out")
        elif (message := surprise(event.value)) and not (event.value == "on" and _is_trigger(where[:-1])):
            self._note(where, event, message)
        elif not isinstance(plain_value(event.value), str):
            self._note(where, event, f'a key must be text: write "{shortened(event.value)}" in quotes')

    def _note(self, where: Where, event: Any, message: str) -> None:
        self.problems.add(where, _mark(event), message)


def _is_switch(where: Where) -> bool:
    """True where `on` and `off` are words of ours: `heal: off`. Any other value there is refused, so no reader errs."""
    return where[:1] == ("sources",) and where[2:] in (("heal",), ("heal", "mode"))


def _is_trigger(where: Where) -> bool:
    """True where `on` is a key of ours: in a trigger of `heal`, and in an item of `notify`."""
    if where[:1] == ("notify",):
        return len(where) == 2
    return where[:1] == ("sources",) and where[2:4] == ("heal", "dp") and len(where) == 5


def _mark(event: Any) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1
