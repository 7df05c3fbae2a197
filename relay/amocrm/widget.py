"""Tree of a digital-pipeline widget call -> account, entity, action and data.

    event[type], event[type_code], event[time], event[data][id|element_type|status_id|pipeline_id|…]
    action[settings][widget][settings][…], subdomain, account_id

amoCRM's page on widgets in the digital pipeline shows JSON; a form arrives.
"""

from collections.abc import Sequence

from relay.amocrm.fields import fields, unused_name, value
from relay.amocrm.form import Tree
from relay.amocrm.vocabulary import ELEMENT_TYPES
from relay.model import Json

_PREFIXES = {"lead": "leads", "customer": "customers"}
_ACTIONS = {"added": "add", "status_changed": "status", "appeared_in_status": "status"}


def is_call(tree: Tree) -> bool:
    """True if the body is a widget call: it has `event[type_code]`."""
    event = tree.get("event")
    return isinstance(event, dict) and isinstance(event.get("type_code"), str)


def account(tree: Tree) -> Tree:
    """Take the top-level `account_id` and `subdomain` out of the tree, as an account block."""
    names = {"account_id": "id", "subdomain": "subdomain"}
    return fields({name: tree.pop(key) for key, name in names.items() if key in tree})


def call(tree: Tree) -> tuple[str, str, dict[str, Json]]:
    """Take `event` and `action` out of the tree, as entity, action and data.

    `data` is event[data], then the rest of the event, then `settings` (the innermost) and, if there is more in it,
    `action`. A name that is taken gets an underscore in front.
    """
    event = dict(tree.pop("event"))
    subject = event.pop("data", {})
    if not isinstance(subject, dict):
        subject = {"data": subject}
    entity, action = _entity_and_action(event["type_code"], str(subject.get("element_type", "")))
    data = fields(subject)
    for key, node in [*event.items(), *_settings(tree.pop("action", {}))]:
        data[unused_name(key, data)] = value(key, node)
    return entity, action, data


def _entity_and_action(code: str, element_type: str) -> tuple[str, str]:
    """lead_added -> leads, add; customer_x -> customers, x; any other code is the action as it stands."""
    prefix, _, rest = code.partition("_")
    entity = ELEMENT_TYPES.get(element_type) or _PREFIXES.get(prefix, "unknown")
    if prefix not in _PREFIXES:
        return entity, code
    return entity, _ACTIONS.get(rest, rest if prefix == "customer" else code)


def _settings(action: Json) -> list[tuple[str, Json]]:
    settings, rest = _split_off(action, ("settings", "widget", "settings"))
    return [(name, node) for name, node in (("settings", settings), ("action", rest)) if node not in (None, {})]


def _split_off(node: Json, path: Sequence[str]) -> tuple[Json, Json]:
    """The node at `path`, and the tree without it."""
    if not path:
        return node, {}
    if not isinstance(node, dict) or path[0] not in node:
        return None, node
    found, left = _split_off(node[path[0]], path[1:])
    beside = {key: child for key, child in node.items() if key != path[0]}
    return found, {**beside, path[0]: left} if left != {} else beside
