"""Tree of a digital-pipeline widget call -> account, entity, action and data.

    event[type], event[type_code], event[time], event[data][id|element_type|status_id|pipeline_id|…]
    action[settings][widget][settings][…], subdomain, account_id

amoCRM's page on widgets in the digital pipeline shows it as JSON; what arrives is a form.
"""

from collections.abc import Sequence

from relay.amocrm.fields import fields, free, value
from relay.amocrm.form import Tree
from relay.model import Json

_ENTITIES = {"2": "leads", "12": "customers"}
_PREFIXES = {"lead": "leads", "customer": "customers"}
_ACTIONS = {"added": "add", "status_changed": "status", "appeared_in_status": "status"}


def is_call(tree: Tree) -> bool:
    """Whether the body is a widget call: `event[type_code]` tells."""
    event = tree.get("event")
    return isinstance(event, dict) and isinstance(event.get("type_code"), str)


def account(tree: Tree) -> Tree:
    """The account block that the top-level `account_id` and `subdomain` amount to; takes them out of the tree."""
    names = {"account_id": "id", "subdomain": "subdomain"}
    return fields({name: tree.pop(key) for key, name in names.items() if key in tree})


def call(tree: Tree) -> tuple[str, str, dict[str, Json]]:
    """Entity, action and data; takes `event` and `action` out of the tree.

    `data` is event[data], then the rest of the event, then `settings` (the innermost) and, if there is more in it,
    `action`. A name that is taken gets an underscore in front.
    """
    event = dict(tree.pop("event"))
    subject = event.pop("data", {})
    if not isinstance(subject, dict):
        subject = {"data": subject}
    entity, action = _words(event["type_code"], str(subject.get("element_type", "")))
    data = fields(subject)
    for key, node in [*event.items(), *_settings(tree.pop("action", {}))]:
        data[free(key, data)] = value(key, node)
    return entity, action, data


def _words(code: str, element_type: str) -> tuple[str, str]:
    """lead_added -> leads, add; customer_x -> customers, x; any other code is the action as it stands."""
    prefix, _, rest = code.partition("_")
    entity = _ENTITIES.get(element_type) or _PREFIXES.get(prefix, "unknown")
    if prefix not in _PREFIXES:
        return entity, code
    return entity, _ACTIONS.get(rest, rest if prefix == "customer" else code)


def _settings(action: Json) -> list[tuple[str, Json]]:
    settings, rest = _taken(action, ("settings", "widget", "settings"))
    return [(name, node) for name, node in (("settings", settings), ("action", rest)) if node not in (None, {})]


def _taken(node: Json, path: Sequence[str]) -> tuple[Json, Json]:
    """The node at `path`, and everything else."""
    if not path:
        return node, {}
    if not isinstance(node, dict) or path[0] not in node:
        return None, node
    found, left = _taken(node[path[0]], path[1:])
    beside = {key: child for key, child in node.items() if key != path[0]}
    return found, {**beside, path[0]: left} if left != {} else beside
