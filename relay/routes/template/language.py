"""Masked source -> Jinja2's nodes, each with its offset in the source; and the sandbox that runs what is made of them.

The sandbox is the second wall, behind `translate`: it knows no Python attribute, no call and no global.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.parser import Parser
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from relay.routes.diagnostics import listed, shortened
from relay.routes.template.filters import FILTERS
from relay.routes.template.jinja_words import plain_words
from relay.routes.template.operators import OPERATORS, TESTS
from relay.routes.template.source import Masked

OF_LOOPS = frozenset({"first", "index", "index0", "last", "length"})
"""What `loop` has."""
MAX_TOKENS = 10_000
"""In all texts of one template: some 2,000 expressions, which take half a second to compile."""
TOO_MANY = f"a template of over {MAX_TOKENS} words and signs"
MAX_DIGITS = 18
NO_REFERENCE = "a secret cannot stand in {{ … }}, {% … %} or {# … #}: only in the text around"

_NO_OPERATOR = "only + - ~, comparisons, `in`, and, or, not"
REFUSED: dict[type[nodes.Node], str] = {
    nodes.Call: f"a call: nothing can be called; filters are {listed(FILTERS)}",
    nodes.Mul: f"`*`: {_NO_OPERATOR}",
    nodes.Div: f"`/`: {_NO_OPERATOR}",
    nodes.FloorDiv: f"`//`: {_NO_OPERATOR}",
    nodes.Mod: f"`%`: {_NO_OPERATOR}",
    nodes.Pow: f"`**`: {_NO_OPERATOR}",
    nodes.Pos: f"a sign: {_NO_OPERATOR}",
    nodes.Slice: "a slice: only a position, [0], or a name",
    nodes.List: "a list: only after `in`",
    nodes.Tuple: "a list: only after `in`",
    nodes.Dict: "a mapping: write it as YAML",
}
"""What to say of expressions that are not allowed."""

_NOT_PARSED = frozenset({"comment", "comment_begin", "comment_end", "raw_begin", "raw_end", "whitespace"})


class Unparsable(Exception):
    """The source is no template; `offset` says where."""

    def __init__(self, offset: int, message: str) -> None:
        self.offset, self.message = offset, message
        super().__init__(message)


class Sandbox(ImmutableSandboxedEnvironment):
    """Looks fields up in mappings, and positions in lists; nothing else has any."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a field; None if there is none."""
        if type(obj) is dict:
            return obj.get(attribute)
        if type(obj) is LoopContext and attribute in OF_LOOPS:
            return getattr(obj, attribute)
        return None

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return a field, or the item at a position; None if there is none."""
        if type(obj) is dict:
            return obj.get(str(argument))
        within = type(obj) is list and type(argument) is int and -len(obj) <= argument < len(obj)
        return obj[argument] if within else None

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Never."""
        return False

    def is_safe_callable(self, obj: Any) -> bool:
        """Never."""
        return False


@cache
def sandbox() -> Sandbox:
    """The one environment: without globals, with our filters and tests alone."""
    made = Sandbox(keep_trailing_newline=True, autoescape=False, extensions=[_Offsets], cache_size=0)
    made.globals = {}
    made.filters = {**{name: each.call for name, each in FILTERS.items()}, **OPERATORS}
    made.tests = dict(TESTS)
    return made


def parse(masked: Masked) -> tuple[nodes.Template, int]:
    """Return the nodes, whose `lineno` is their offset, and the number of tokens; Unparsable if it is no template."""
    try:
        tokens = len(_offsets(masked.text))
        return Parser(sandbox(), masked.text, masked.text).parse(), tokens
    except TemplateSyntaxError as error:
        raise Unparsable(error.lineno, _said(error)) from None
    except RecursionError:
        raise Unparsable(0, "nested too deeply") from None


def _said(error: TemplateSyntaxError) -> str:
    message = str(error.message)
    return NO_REFERENCE if "\0" in message else plain_words(message)


class _Offsets(Extension):
    """Has each token say its offset, where Jinja2 has its line; the name of a stream is its source."""

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        """Number the tokens that the parser reads."""
        offsets = _offsets(stream.name or "")
        return (Token(offset, token.type, token.value) for token, offset in zip(stream, offsets, strict=True))


def _offsets(text: str) -> list[int]:
    """Offset of each token that the parser reads; checks what Jinja2's lexer would report by line."""
    found: list[int] = []
    place = 0
    try:
        for _line, kind, value in sandbox().lex(text):
            place = max(text.find(value, place), place)  # white space that a `-` strips is in no token
            if kind not in _NOT_PARSED:
                _check(place, kind, value)
                found.append(place)
            place += len(value)
    except TemplateSyntaxError as error:
        secret = text[place : place + 1] == "\0"
        raise Unparsable(place, NO_REFERENCE if secret else _said(error)) from None
    if len(found) > MAX_TOKENS:
        raise Unparsable(found[MAX_TOKENS], TOO_MANY)
    return found


def _check(offset: int, kind: str, value: str) -> None:
    match kind:
        case "integer" if len(value) > MAX_DIGITS:
            raise Unparsable(offset, f"a number of over {MAX_DIGITS} digits")
        case "name" if not value.isidentifier():
            raise Unparsable(offset, f"{shortened(value)} is no name")
        case "string" if "\0" in value:
            raise Unparsable(offset, NO_REFERENCE)
        case "string":
            try:
                value[1:-1].encode("ascii", "backslashreplace").decode("unicode-escape")
            except UnicodeDecodeError:
                raise Unparsable(offset, "a backslash that begins no escape: write two") from None
