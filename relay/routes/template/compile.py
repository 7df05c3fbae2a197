"""Texts and trees of the routes file -> compiled templates; TemplateRefused says all that is wrong with one.

"Lead {{ data.id }}"            a text
"{{ data.id }}"                 in a tree, alone: the value itself, null if the event lacks it
{id: "{{ data.id }}", a: [1]}   JSON, by one compiled template however many texts it has
"""

import re
from collections.abc import Iterator, Sequence

from jinja2 import nodes

from relay.model import Json
from relay.routes.diagnostics import Where
from relay.routes.template.compiled import (
    MAX_OUTPUT,
    MAX_PLACE,
    RESULT,
    CompiledBody,
    CompiledExpression,
    CompiledText,
    CompiledUrl,
    climbs,
)
from relay.routes.template.escapes import Form, Place
from relay.routes.template.language import MAX_TOKENS, NO_REFERENCE, TOO_MANY, Unparsable, parse
from relay.routes.template.node_trees import Part, assembled, too_deep
from relay.routes.template.source import Masked, Refusal, Source, TemplateRefused, has_template, mask, plain
from relay.routes.template.translate import Translation
from relay.routes.template.values import as_json, quoted

_IN_JSON = Form("relay:quoted", quoted)
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\\\s]+[/?]")


def compile_text(source: Source, names: frozenset[str], place: Place = Place.TEXT) -> CompiledText:
    """Compile a text; what its `{{ … }}` give is escaped for its place."""
    compiling = _Compiling(names)
    body = compiling.finished(compiling.text((), source, place.value))
    limit = MAX_OUTPUT if place is Place.TEXT else MAX_PLACE
    return CompiledText(body, frozenset(compiling.fields), [place.name, source], limit)


def compile_url(source: Source, names: frozenset[str]) -> CompiledUrl:
    """Compile a URL whose scheme, host and port no event can change."""
    compiling = _Compiling(names)
    if has_template(source):
        compiling.check_host(source)
    body = compiling.finished(compiling.text((), source, Place.URL.value))
    return CompiledUrl(body, frozenset(compiling.fields), source, MAX_PLACE)


def compile_tree(tree: Json, names: frozenset[str]) -> CompiledBody:
    """Compile a mapping or a list into JSON, or a text into text. A tree holds sources, numbers, booleans and nulls."""
    compiling = _Compiling(names)
    if not isinstance(tree, dict | list | str | tuple):
        raise TemplateRefused([Refusal((), 1, 1, "must be a mapping, a list or a text")])
    if isinstance(tree, dict | list):
        body, content_type = compiling.finished(list(compiling.json((), tree))), "application/json"
    else:
        body, content_type = compiling.finished(compiling.text((), tree, Place.TEXT.value)), "text/plain; charset=utf-8"
    return CompiledBody(body, frozenset(compiling.fields), tree, content_type)


def compile_expression(source: Source, names: frozenset[str]) -> CompiledExpression:
    """Compile a text that is one `{{ … }}`."""
    compiling = _Compiling(names)
    translation, parsed = compiling.translation((), source, Place.TEXT.value)
    alone = _alone(parsed)
    if alone is None and not compiling.refusals:
        compiling.refusals.append(Refusal((), 1, 1, 'must be one expression: "{{ … }}"'))
    value = nodes.Const(None) if alone is None or translation is None else translation.expression(alone)
    compiling.take(translation)
    body = compiling.finished([nodes.Assign(nodes.Name(RESULT, "store"), value)])
    return CompiledExpression(body, frozenset(compiling.fields), source)


class _Compiling:
    """Collects the parts of one template, and all that is refused in them."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.fields: set[str] = set()
        self.refusals: list[Refusal] = []
        self.tokens = 0

    def finished(self, parts: Sequence[Part]) -> list[nodes.Node]:
        """The statements, if nothing was refused."""
        if self.refusals:
            raise TemplateRefused(self.refusals)
        return assembled(parts)

    def text(self, where: Where, source: Source, form: Form) -> list[Part]:
        """The parts of a text."""
        if not has_template(source):
            return [form.literal(plain(source))]
        translation, parsed = self.translation(where, source, form)
        parts = translation.parts(parsed.body) if translation else []
        self.take(translation)
        return parts

    def json(self, where: Where, value: Json) -> Iterator[Part]:
        """The parts of a tree."""
        match value:
            case dict():
                yield "{"
                for number, (key, item) in enumerate(value.items()):
                    yield f"{',' if number else ''}{as_json(key)}:"
                    self._check_key((*where, key), key)
                    yield from self.json((*where, key), item)
                yield "}"
            case list():
                yield "["
                for number, item in enumerate(value):
                    yield "," if number else ""
                    yield from self.json((*where, number), item)
                yield "]"
            case str() | tuple():
                yield from self._json_text(where, value)
            case _:
                yield as_json(value)

    def _json_text(self, where: Where, source: Source) -> Iterator[Part]:
        if not has_template(source):
            yield as_json(plain(source))
            return
        translation, parsed = self.translation(where, source, _IN_JSON)
        if translation is None:
            return
        if (alone := _alone(parsed)) is not None:
            yield nodes.Filter(translation.expression(alone), "relay:json", [], [], None, None)
        else:
            yield from ('"', *translation.parts(parsed.body), '"')
        self.take(translation)

    def translation(self, where: Where, source: Source, form: Form) -> tuple[Translation | None, nodes.Template]:
        """What translates the parsed source; None if it cannot be parsed."""
        nothing = nodes.Template([])
        if self.tokens > MAX_TOKENS:  # this was said
            return None, nothing
        try:
            masked = mask(source, where)
        except TemplateRefused as refused:
            self.refusals += refused.refusals
            return None, nothing
        return self._parsed(where, masked, form) or (None, nothing)

    def _parsed(self, where: Where, masked: Masked, form: Form) -> tuple[Translation, nodes.Template] | None:
        try:
            parsed, tokens = parse(masked)
        except Unparsable as error:
            self.refusals.append(masked.refusal(where, error.offset, error.message))
            return None
        self.tokens += tokens
        if self.tokens > MAX_TOKENS:
            self.refusals.append(Refusal(where, 1, 1, TOO_MANY))
            return None
        if deep := too_deep(parsed):
            self.refusals.append(masked.refusal(where, deep.lineno or 0, "nested too deeply"))
            return None
        if (hidden := masked.hidden(_literals(parsed))) is not None:
            self.refusals.append(masked.refusal(where, hidden, NO_REFERENCE))
        return Translation(masked, where, self.names, form), parsed

    def take(self, translation: Translation | None) -> None:
        """Keep what a translation found."""
        if translation is not None:
            self.fields |= translation.fields
            self.refusals += translation.refusals

    def check_host(self, source: Source) -> None:
        """Refuse a template that stands before the end of the host and the port."""
        before = ""
        for piece in source if isinstance(source, tuple) else (source,):
            begins = re.search(r"\{[{%#]", piece) if isinstance(piece, str) else None
            before += plain((piece,)) if begins is None else str(piece)[: begins.start()]
            if begins:
                break
        if not _HOST.match(before):
            self.refusals.append(Refusal((), 1, 1, "a template cannot change scheme, host or port: only what follows"))
        if climbs(plain(source)):
            self.refusals.append(Refusal((), 1, 1, "a path with `.` or `..`: write it without"))

    def _check_key(self, where: Where, key: str) -> None:
        if has_template(key):
            self.refusals.append(Refusal(where, 1, 1, "a key is no template: write it out"))


def _alone(parsed: nodes.Template) -> nodes.Expr | None:
    """The expression that is all of a text."""
    match parsed.body:
        case [nodes.Output(nodes=[only])] if not isinstance(only, nodes.TemplateData):
            return only
    return None


def _literals(parsed: nodes.Template) -> str:
    return "".join(node.data for node in parsed.find_all(nodes.TemplateData))
