"""The text of a `match` outside a routes file -> whether an event fits it, by the same rules."""

import re
from collections.abc import Callable

from relay.errors import RoutesInvalid
from relay.model import Event
from relay.routes.config import parse
from relay.routes.diagnostics import Unfit
from relay.routes.lint.fields import unknown_fields

_MATCH = "routes[0].match"
_STARTS_ON = re.compile(" that starts on line [0-9]+")  # of the file around the text
_ALREADY_ON = re.compile("already on line [0-9]+")
_FILE = """\
version: 1
sources: {{any: {{token: stands-for-every-source}}}}
targets: {{any: {{url: "http://any.invalid/"}}}}
routes:
- name: given
  to: any
  match: {text}
"""


def compile_match(text: str) -> tuple[Callable[[Event], bool], list[str]]:
    """`{entity: leads, action: [status, add]}`, as under `match` of a route; and what in it may never match.

    Unfit says every problem in one line.
    """
    try:
        config = parse(_FILE.format(text=text), file="", env={})
    except RoutesInvalid as invalid:
        raise Unfit("; ".join(_said(problem.path, problem.message) for problem in invalid.problems)) from None
    warnings = [_said("", message) for _where, message in unknown_fields(config)]
    return (lambda event: bool(config.matcher.match(event).routes)), warnings


def _said(path: str, message: str) -> str:
    """The message, with the key that it is about."""
    message = _ALREADY_ON.sub("already there", _STARTS_ON.sub("", message))
    key = path.removeprefix(_MATCH).removeprefix(".")
    return f"{key}: {message}" if path.startswith(_MATCH) and key else message
