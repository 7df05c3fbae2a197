"""The text of a `match` outside a routes file -> whether an event fits it, by the same rules."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from relay.errors import RoutesInvalid
from relay.model import Event
from relay.routes.config import Config, parse
from relay.routes.diagnostics import Unfit
from relay.routes.lint.fields import unknown_fields

_MATCH = "routes[0].match"
_STARTS_ON = re.compile(" that starts on line [0-9]+")  # of the file around the text
_ALREADY_ON = re.compile("already on line [0-9]+")
_FILE = """\
version: 1
{sources}
targets: {{any: {{url: "http://any.invalid/"}}}}
routes:
- name: given
  to: any
  match: {text}
"""
_ANY = "sources: {any: {token: stands-for-every-source}}"


def compile_match(
    text: str, config: Config | None = None, names: Path | None = None
) -> tuple[Callable[[Event], bool], list[str]]:
    """`{entity: leads, action: [status, add]}`, as under `match` of a route; and what in it may never match.

    `config`, and the folder with `names`: whose sources and accounts names in it are looked up at. Unfit says every
    problem in one line.
    """
    try:
        sources = _ANY if config is None else _sources(config)
        found = parse(_FILE.format(text=text, sources=sources), file="", env={}, names=names)
    except RoutesInvalid as invalid:
        raise Unfit("; ".join(_said(problem.path, problem.message) for problem in invalid.problems)) from None
    warnings = [_said("", message) for _where, message in unknown_fields(found)]
    return (lambda event: bool(found.matcher.match(event).routes)), warnings


def _sources(config: Config) -> str:
    """The sources and accounts of the file, without a secret: nothing is asked with it."""
    accounts = {
        each.name: {"host": each.host, "token": "stands-for-the-token"}
        | ({"names": str(each.names)} if each.names else {})
        for each in config.accounts.values()
    }
    sources = {
        each.name: {"token": f"stands-for-the-token-{number}"} | ({"account": each.account} if each.account else {})
        for number, each in enumerate(config.sources.values())
    }
    parts = {"accounts": accounts} if accounts else {}
    return "\n".join(f"{key}: {json.dumps(value)}" for key, value in {**parts, "sources": sources}.items())


def _said(path: str, message: str) -> str:
    """The message, with the key that it is about."""
    message = _ALREADY_ON.sub("already there", _STARTS_ON.sub("", message))
    key = path.removeprefix(_MATCH).removeprefix(".")
    return f"{key}: {message}" if path.startswith(_MATCH) and key else message
