"""Document -> its routes."""

from collections.abc import Callable

from relay.routes.conditions import Condition, condition
from relay.routes.diagnostics import Where, quoted
from relay.routes.fields import is_custom
from relay.routes.match import Route
from relay.routes.reader import Reader
from relay.routes.yaml_document import Document


def read_routes(reader: Reader) -> tuple[Route, ...]:
    """The routes in file order, each with its conditions as written."""
    target_name = reader.one_of_keys("target", ("targets",))
    lines: dict[str, int] = {}
    routes = []
    for where in reader.places(("routes",)):
        route = _route(reader, where, target_name)
        if route.name in lines:
            reader.wrong((*where, "name"), f"the name {quoted(route.name)} is already on line {lines[route.name]}")
        if route.name:
            lines.setdefault(route.name, reader.document.mark((*where, "name"))[0])
        routes.append(route)
    return tuple(routes)


def _route(reader: Reader, where: Where, target_name: Callable[[str], str]) -> Route:
    line, column = reader.document.mark(where)
    unparsed = reader.take((*where, "unparsed"), bool, False)
    match = _match(reader, (*where, "match"))
    for key in [key for key in match if unparsed and key != "source"]:
        reader.wrong(
            (*where, "match", key), "an unparsed webhook has no fields: beside `unparsed`, match `source` alone"
        )
    return Route(
        name=reader.take((*where, "name"), str, ""),
        match=match,
        targets=reader.each((*where, "to"), target_name),
        otherwise=reader.take((*where, "otherwise"), bool, False),
        unparsed=unparsed,
        line=line,
        column=column,
    )


def _match(reader: Reader, where: Where) -> dict[str, Condition]:
    conditions = {}
    for name in reader.keys(where):
        here = (*where, name)
        if not all(name.split(".")) and not is_custom(name):
            reader.wrong(here, "is not the name of a field")
        elif reader.sound(here):
            conditions[name] = condition(name, reader.document.at(here), condition_text(reader.document, here))
    return conditions


def condition_text(document: Document, where: Where) -> str:
    """The value at `where` on one line, with secrets unresolved: `{not: [won, lost]}`."""
    value = document.at(where)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {condition_text(document, (*where, key))}" for key in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(condition_text(document, (*where, index)) for index in range(len(value))) + "]"
    return str(value).lower() if isinstance(value, bool) else document.shown(where)
