"""Document -> what of a target's requests is rendered for each event, or every problem at its line and column."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from relay.model import BodyTemplate, Json, Secret, Target, TextTemplate
from relay.model.templates import Expression
from relay.routes.diagnostics import Where
from relay.routes.reader import Reader
from relay.routes.template import (
    ANSWER_NAMES,
    BATCH_NAMES,
    EVENT_NAMES,
    Place,
    Source,
    TemplateRefused,
    compile_expression,
    compile_text,
    compile_tree,
    compile_url,
)
from relay.routes.template import shown as unresolved
from relay.routes.yaml_document import Document

T = TypeVar("T")

_STRING = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
_CODE = re.compile(rf"\{{\{{(?:{_STRING}|[^\"'])*?\}}\}}|\{{%(?:{_STRING}|[^\"'])*?%\}}|\{{#.*?#\}}", re.DOTALL)


def is_template(reader: Reader, where: Where) -> bool:
    """True if the text at `where`, as written in the file, has a template in it."""
    return where in reader.document.templates


def read_url(reader: Reader, where: Where, url_of: Callable[[str], str]) -> tuple[str, TextTemplate | None]:
    """The URL as the file has it, each `${…}` resolved, and its template, if it has one; `url_of` refuses a bad URL."""
    if not is_template(reader, where):
        return reader.take(where, url_of, ""), None
    template = _compiled(reader, where, compile_url)

    def checked(text: str) -> str:
        url_of(_without_code(reader.document.source(where)))
        return text

    return reader.take(where, checked, ""), template


def _without_code(source: Source) -> str:
    """A URL with an `x` for each `{{ … }}`: what is around them, `${…}` resolved, must be fit for a URL."""
    pieces = (source,) if isinstance(source, str) else source
    secrets = iter([each.secret.reveal() for each in pieces if not isinstance(each, str)])
    masked = "".join(each if isinstance(each, str) else "\0" for each in pieces)
    plain = _CODE.sub(lambda code: "x" if code[0].startswith("{{") else "", masked)
    return re.sub("\0", lambda _: next(secrets), plain)


def read_header(reader: Reader, where: Where) -> TextTemplate | None:
    """The template of a header's value; None if there is a problem with it."""
    return _compiled(reader, where, _header)


def read_query(reader: Reader, where: Where) -> dict[str, TextTemplate | Secret]:
    """The parameters that are appended to the URL, in file order."""
    found: dict[str, TextTemplate | Secret] = {}
    for name in reader.keys(where):
        here = (*where, name)
        value = _compiled(reader, here, _query) if is_template(reader, here) else None
        found[name] = value or reader.take(here, lambda text: Secret(str(text)), Secret(""))
    return found


def read_body(reader: Reader, where: Where) -> tuple[BodyTemplate | None, str | None]:
    """The body of the target at `where`, if it has one of its own, and its content type, if that is given."""
    here, content_type = (*where, "body"), (*where, "content_type")
    if not reader.document.has(here):
        if reader.document.has(content_type):
            reader.wrong(content_type, "needs a body beside it that is text: a format has its own content type")
        return None, None
    if reader.document.has((*where, "format")):
        reader.wrong((*where, "format"), "cannot stand beside body, which is sent in its place: write one or the other")
    if reader.document.has(content_type) and not isinstance(reader.document.at(here), str):
        reader.wrong(content_type, "is for a body that is text: a mapping or a list is sent as application/json")
    return _compiled(reader, here, compile_tree), reader.take(content_type, str, None)


def read_expression(reader: Reader, where: Where) -> Expression | None:
    """The expression over an answer at `where`; None if there is none, or a problem with it."""
    return _compiled(reader, where, lambda source, _names: compile_expression(source, ANSWER_NAMES))


def hidden_texts(document: Document, where: Where) -> tuple[Secret, ...]:
    """What the `${…}` in query, body and templates of the target at `where` stand for."""
    below = len(where)
    found = (
        piece.secret
        for place, pieces in document.pieces.items()
        if place[:below] == where != place and (place in document.templates or place[below] in ("query", "body"))
        for piece in pieces
        if not isinstance(piece, str)
    )
    return tuple(dict.fromkeys(found))


def as_written(document: Document, target: Target) -> Target:
    """The target with each `${…}` unresolved: what is rendered for it may be printed, but for its constant headers."""
    where = ("targets", target.name)
    url = document.shown((*where, "url"))
    if not (target.query or target.has_templates):
        return replace(target, url=url)
    headers = {name: _as_written(document, (*where, "headers", name), _header) for name in target.header_templates}
    return replace(
        target,
        url=url,
        url_template=_url_as_written(document, (*where, "url")) if target.url_template else None,
        query={name: _query_as_written(document, (*where, "query", name)) for name in target.query},
        header_templates=headers,
        body=_as_written(document, (*where, "body"), compile_tree) if target.body else None,
    )


def _url_as_written(document: Document, where: Where) -> TextTemplate:
    try:
        return _as_written(document, where, compile_url)
    except TemplateRefused:  # its scheme or host is a `${…}`
        return _as_written(document, where, lambda source, names: compile_text(source, names, Place.URL))


def _query_as_written(document: Document, where: Where) -> TextTemplate | Secret:
    if where in document.templates:
        return _as_written(document, where, _query)
    return Secret(document.shown(where))


# ---- one template, a text or a tree


def _names(document: Document, where: Where) -> frozenset[str]:
    """What the templates at `where` may name: the event, or the events of a batch."""
    return BATCH_NAMES if document.has((*where[:2], "batch")) else EVENT_NAMES


def _query(source: Source, names: frozenset[str]) -> TextTemplate:
    return compile_text(source, names, Place.QUERY)


def _header(source: Source, names: frozenset[str]) -> TextTemplate:
    return compile_text(source, names, Place.HEADER)


def compiled_body(reader: Reader, where: Where, names: frozenset[str]) -> BodyTemplate | None:
    """Compile the body at `where`, over these names; None if there is a problem with it."""
    return _compiled(reader, where, lambda source, _names: compile_tree(source, names))


def _compiled(reader: Reader, where: Where, compile_: Callable[[Json, frozenset[str]], T]) -> T | None:
    """Compile what is at `where`; None if it is refused, or has a problem already."""
    if not reader.sound(where):
        return None
    try:
        return compile_(reader.document.source(where), _names(reader.document, where))
    except TemplateRefused as refused:
        for each in refused.refusals:
            here = (*where, *each.where)
            place = reader.document.templates.get(here)
            mark = place.at(each.line, each.column) if place else reader.document.mark(here)
            reader.problems.add(here, mark, each.message)
    return None


def _as_written(document: Document, where: Where, compile_: Callable[[Json, frozenset[str]], T]) -> T:
    return compile_(unresolved(document.source(where)), _names(document, where))
