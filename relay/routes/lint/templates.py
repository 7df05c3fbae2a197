"""Config -> warnings about the templates of its targets: fields that no event routed there has, raw deliveries."""

import re
from collections.abc import Iterator

from relay.amocrm.vocabulary import ENTITIES
from relay.model import Target
from relay.model.event_names import EVENT_NAMES
from relay.routes.config import Config
from relay.routes.diagnostics import Finding, Where, quoted, suggestion
from relay.routes.fields import CUSTOM
from relay.routes.lint.fields import unknown_field

_OF_CUSTOM_FIELDS = frozenset({"id", "name", "code", "values"})


def unknown_template_fields(config: Config) -> Iterator[Finding]:
    """Fields that templates read, and amoCRM is not known to send for what is routed to their target."""
    for name, target in config.targets.items():
        entities = _entities(config, name)
        for part, fields in _fields(target).items():
            for path in sorted(fields):
                if message := _unknown(path, entities):
                    yield _place(config, ("targets", name, *part), path), message


def raw_to_templates(config: Config) -> Iterator[Finding]:
    """Routes that send unparsed webhooks to a target whose requests are rendered of an event."""
    for position, route in enumerate(config.routes):
        for name in route.targets if route.unparsed else ():
            if config.targets[name].has_templates:
                said = f"{quoted(name)} has templates, and an unparsed webhook no fields: it is sent as it came"
                yield ("routes", position, "to"), said


def vain_expressions(config: Config) -> Iterator[Finding]:
    """`ok_if` that reads nothing, and names of headers that no answer has."""
    for name, target in config.targets.items():
        where = ("targets", name)
        if target.ok_if and not target.ok_if.fields:
            yield (*where, "ok_if"), "reads nothing of the answer: it says the same of each"
        for key, expression in (("ok_if", target.ok_if), ("retry_after", target.retry_after)):
            for path in sorted(expression.fields if expression else ()):
                if path.startswith("headers.") and path != path.lower():
                    yield (*where, key), f"names of headers are in lower case here: {quoted(path.lower())}"


def _fields(target: Target) -> dict[Where, frozenset[str]]:
    """By what it is of: `("body",)`, `("headers", "X-Lead")`."""
    found: dict[Where, frozenset[str]] = {tuple(name.split(".", 1)): each.fields for name, each in target.texts.items()}
    if target.body:
        found["body",] = target.body.fields
    return found


def _entities(config: Config, target: str) -> frozenset[str]:
    """What the events that are routed to a target are about: every entity, if a route does not ask."""
    found: set[str] = set()
    for route in config.routes:
        if target in route.targets and not route.unparsed:
            asked = route.match["entity"].any_of if "entity" in route.match else None
            types = route.match["type"].any_of if "type" in route.match else None
            found.update(asked or {each.partition(".")[0] for each in types or ()} or ENTITIES)
    return frozenset(found)


def _unknown(path: str, entities: frozenset[str]) -> str | None:
    path = path.removeprefix("events.")  # of a batch
    first, _, rest = path.partition(".")
    if first == "names" and rest and rest.partition(".")[0] not in EVENT_NAMES:
        return f"there is no name {quoted(rest)} {suggestion(rest, EVENT_NAMES)}"
    if first not in ("data", "account") or not rest:
        return None  # the field of an event, or a name that is known at load
    name, _, inside = rest.partition(".")
    if first == "data" and name == CUSTOM:
        return _inside_custom_fields(inside)
    return unknown_field(path, entities)


def _inside_custom_fields(inside: str) -> str | None:
    name = inside.partition(".")[0]
    if not name or name in _OF_CUSTOM_FIELDS:
        return None
    return f"custom_fields is a list, of which no item has a {quoted(name)}: walk through it with {{% for %}}"


def _place(config: Config, where: Where, path: str) -> Where:
    """The first text at or below `where` that names the field's last part; `where` if none does."""
    named = re.compile(rf"\b{re.escape(path.rpartition('.')[2])}\b")
    below = (
        place
        for place, text in config.document.templates.items()
        if place[: len(where)] == where and named.search(text.text)
    )
    return next(below, where)
