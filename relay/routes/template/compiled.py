"""Statements that may run -> a template that renders them for a context: a text, a URL, a body, an expression."""

import hashlib
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from jinja2 import Template, TemplateError, nodes

from relay.errors import TemplateFailed
from relay.model import Json
from relay.model.templates import Context
from relay.routes.template.language import sandbox
from relay.routes.template.places import place_after
from relay.routes.template.source import Refusal, TemplateRefused
from relay.routes.template.translate import CONTEXT, WORK
from relay.routes.template.values import encodable
from relay.routes.template.work import Work

MAX_OUTPUT = 1_000_000
"""Bytes of a body."""
MAX_PLACE = 8_192
"""Characters of a URL or a header: servers refuse longer ones."""
RESULT = "result"
"""The name that an expression sets."""

_DOTS = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)


class _Compiled:
    """One compiled template; equal to another of the same source, so that a reload finds its target unchanged."""

    __slots__ = ("_digest", "_root", "_template", "fields")

    def __init__(self, body: Sequence[nodes.Node], fields: frozenset[str], source: Json) -> None:
        made = nodes.Template([*body])
        self._template: Template = _generated(made)
        self._root = self._template.root_render_func
        self._digest = hashlib.sha256(f"{type(self).__name__}{_canonical(source)}".encode(errors="replace")).digest()
        self.fields = fields

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Compiled) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def _scope(self, context: Context) -> Any:
        return self._template.new_context({CONTEXT: context, WORK: Work()}, True)

    def _text(self, context: Context, limit: int) -> str:
        pieces: list[str] = []
        try:
            return self._joined(context, limit, pieces)
        except TemplateFailed as error:
            raise TemplateFailed(str(error), self._place("".join(pieces))) from None
        except Exception as error:  # noqa: BLE001  # one event must not stop the others of a target
            said = f"cannot be rendered: {type(error).__name__}"
            raise TemplateFailed(said, self._place("".join(pieces))) from None

    def _place(self, _written: str) -> str:
        """Where rendering ended after this was written."""
        return ""

    def _joined(self, context: Context, limit: int, pieces: list[str]) -> str:
        """Join what the template yields; end it as soon as that is too long."""
        left = limit
        for piece in self._root(self._scope(context)):
            left -= len(piece)
            if left < 0:
                raise TemplateFailed(f"the output is over {limit:,} characters")
            pieces.append(piece)
        return "".join(pieces)


class CompiledText(_Compiled):
    """See TextTemplate."""

    __slots__ = ("_limit",)

    def __init__(self, body: Sequence[nodes.Node], fields: frozenset[str], source: Json, limit: int) -> None:
        super().__init__(body, fields, source)
        self._limit = limit

    def render(self, context: Context) -> str:
        """See TextTemplate."""
        return self._text(context, self._limit)


class CompiledUrl(CompiledText):
    """A URL whose path has the segments that its template has."""

    __slots__ = ()

    def render(self, context: Context) -> str:
        """TemplateFailed also for a segment that leads upwards."""
        url = super().render(context)
        if climbs(url):
            raise TemplateFailed("a segment of the path would be `.` or `..`")
        return url


class CompiledBody(_Compiled):
    """See BodyTemplate."""

    __slots__ = ("_is_tree", "content_type")

    def __init__(self, body: Sequence[nodes.Node], fields: frozenset[str], source: Json, content_type: str) -> None:
        super().__init__(body, fields, source)
        self.content_type = content_type
        self._is_tree = isinstance(source, dict | list)

    def _place(self, written: str) -> str:
        return place_after(written) if self._is_tree else ""

    def render(self, context: Context) -> bytes:
        """See BodyTemplate."""
        content = _utf8(self._text(context, MAX_OUTPUT))
        if len(content) > MAX_OUTPUT:
            raise TemplateFailed(f"the output is over {MAX_OUTPUT:,} bytes")
        return content


class CompiledExpression(_Compiled):
    """See Expression."""

    __slots__ = ()

    def evaluate(self, context: Context) -> Json:
        """See Expression."""
        scope = self._scope(context)
        try:
            for _ in self._root(scope):
                pass
        except TemplateFailed:
            raise
        except Exception as error:  # noqa: BLE001  # one answer must not stop a target
            raise TemplateFailed(f"cannot be evaluated: {type(error).__name__}") from None
        return scope.vars[RESULT]


def _utf8(content: str) -> bytes:
    try:
        return content.encode()
    except UnicodeEncodeError:
        return encodable(content).encode()


def climbs(url: str) -> bool:
    """True if a segment of the path would be removed, with the one before it, by a reader of the URL."""
    return any(map(_DOTS.fullmatch, re.split("[?#]", url, maxsplit=1)[0].split("/")))


def _generated(made: nodes.Template) -> Template:
    made.set_environment(sandbox())
    try:
        return sandbox().from_string(made)
    except (TemplateError, SyntaxError, RecursionError, MemoryError):
        raise TemplateRefused([Refusal((), 1, 1, "too large to be compiled: make it shorter")]) from None


def _canonical(source: Json) -> str:
    """The same for equal sources; secrets are in it, so only its digest is kept."""

    def revealed(value: Json) -> Json:
        match value:
            case dict():
                return {key: revealed(item) for key, item in value.items()}
            case list():
                return [revealed(item) for item in value]
            case tuple():
                return [each if isinstance(each, str) else [each.secret.reveal()] for each in value]
            case Decimal():
                return [str(value)]
        return value

    return json.dumps(revealed(source))
