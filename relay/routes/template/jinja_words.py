"""What Jinja2 says of a template that it cannot read -> the same in words that say what to write."""

import re
from collections.abc import Callable

from relay.routes.diagnostics import shortened

NO_STATEMENT = "only {% if %} and {% for %}"

_SIGNS = {"end of print statement": "`}}`", "end of statement block": "`%}`", "name": "a name"}
_QUOTES = ("'", '"')
_HINTS = {"=": ": write == to compare", "if": ": write elif", "&": ": write and", "|": ": write or", "!": ": write not"}


def plain_words(message: str) -> str:
    """`expected token 'in', got 'data'` -> "`in` is missing before `data`"."""
    for pattern, said in _MESSAGES:
        if found := pattern.match(message):
            return said(found)
    return shortened(message)


def _sign(token: str) -> str:
    return _SIGNS.get(token, f"`{shortened(token)}`")


def _too_much(token: str, end: str) -> str:
    """`{{ data.id data.name }}`, `{% if data.a = 1 %}`."""
    hint = _HINTS.get(token, f": {_sign(end)} or an operator is missing before it")
    return f"unexpected {_sign(token)}{hint}"


def _tag(name: str) -> str:
    closes = name in ("endif", "endfor", "else", "elif")
    return f"{{% {name} %}} belongs to nothing here" if closes else f"no tag {name!r}: {NO_STATEMENT}"


def _character(character: str) -> str:
    if character in _QUOTES:
        return "a quote is not closed"
    return f"unexpected `{character}`{_HINTS.get(character, '')}"


def _missing(token: str, before: str) -> str:
    if token in ("end of print statement", "end of statement block"):
        return _too_much(before, token)
    return f"{_sign(token)} is missing before {_sign(before)}"


_MESSAGES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern, re.DOTALL), said)
    for pattern, said in (
        (r"Unexpected end of template.* needs to be closed is '(\w+)'", lambda m: f"{{% end{m[1]} %}} is missing"),
        (r"unexpected end of template, expected '(.+?)'", lambda m: f"{_sign(m[1])} is missing"),
        (r"Expected an expression, got '(.+)'", lambda m: f"an expression is missing before {_sign(m[1])}"),
        (r"expected name or number", lambda _: "the name of a field is missing after the dot"),
        (r"expected token '(.+)', got '(.+)'", lambda m: _missing(m[1], m[2])),
        (r"Encountered unknown tag '(\w+)'", lambda m: _tag(m[1])),
        (r"tag name expected", lambda _: f"a tag is missing: {NO_STATEMENT}"),
        (r"unexpected char (['\"])(.+?)\1", lambda m: _character(m[2])),
        (r"unexpected '(end of .+)'", lambda m: f"an expression is missing before {_sign(m[1])}"),
        (r"unexpected '(.+)', expected '(.+)'", lambda m: f"`{m[2]}` is missing before `{m[1]}`"),
        (r"unexpected '(.+)'", lambda m: f"unexpected `{m[1]}`"),
        (r"Missing end of comment", lambda _: "`#}` is missing"),
        (r"Missing end of raw", lambda _: "{% endraw %} is missing"),
    )
)
