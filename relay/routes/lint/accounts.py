"""Config -> warnings about accounts that are named by their whole address, of which only the subdomain arrives."""

import re
from collections.abc import Iterator

from relay.routes.config import Config
from relay.routes.diagnostics import Finding, Where
from relay.routes.lint.asked import asked
from relay.routes.words import quoted

_ADDRESS = re.compile(r"(?:https?://)?([A-Za-z0-9-]+)(?:\.[A-Za-z0-9-]+)+(?:[:/].*)?", re.DOTALL)
_FIELDS = ("account", "account.subdomain")


def whole_addresses(config: Config) -> Iterator[Finding]:
    """`example.amocrm.ru` in the `accounts` of a source refuses every webhook; in a match it never holds."""
    for where in _places(config):
        for each in asked(config, where):
            if each.operator in ("", "not") and (address := _ADDRESS.fullmatch(each.text)):
                said = f"an account's id or subdomain arrives, and never {quoted(each.text)}"
                yield each.where, f"{said}: write {address[1].lower()}"


def _places(config: Config) -> Iterator[Where]:
    for name in config.sources:
        if config.document.has(("sources", name, "accounts")):
            yield "sources", name, "accounts"
    for position, route in enumerate(config.routes):
        for field in _FIELDS:
            if field in route.match:
                yield "routes", position, "match", field
