"""Tree -> [Event], and Event <-> the JSON that targets receive.

How the events of a body are told apart (`places` says which are believed):

    leads[add][0][id]=7     entity[action][index]: one event for each index
    leads[add][id]=7        fields where the index should be: one event
    leads[delete]=7         a deletion that says the id alone: one event
    add[0][chat_id]=…       an index where the action should be: `add` is the action, the fields tell the entity
    event[type_code]=…      a call of a digital-pipeline widget

What belongs to no event (`foo=bar`, `leads[add]=7`) goes under `_extra` of the first event, and what lost a conflict
under `_conflicts` of its event, or of the first one. A name that is taken gets an underscore in front.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import orjson

from relay.amocrm import form, places, widget
from relay.amocrm.fields import fields, free, is_index, value
from relay.amocrm.form import CONFLICTS, Tree, bracketed, place
from relay.amocrm.query import values
from relay.amocrm.vocabulary import ACTIONS, ENTITIES
from relay.errors import UnreadableError
from relay.frozen import frozen
from relay.model import Event, Json
from relay.printable import printable

MAX_ACCOUNT = 2048
"""Bytes of an account block as JSON: each event of a body carries it, so a large one would multiply."""

EXTRA = "_extra"

_DIRECTIONS = ("incoming", "outgoing")  # types of messages


def read(tree: Tree, *, source: str, received_at: datetime, new_id: Callable[[], str], query: str = "") -> list[Event]:
    """The events of one body, in the order they came in, at least one; UnreadableError says why there are none.

    `received_at` is aware; `new_id` is asked once for each event; `query` is that of the webhook's address. The tree
    is left as it is.
    """
    rest = dict(tree)
    account = _account(rest)
    conflicts = rest.pop(CONFLICTS, {})
    items, extra = _items(rest)
    if not items:
        raise UnreadableError(f"no events: {_why_none(tree)}")
    if extra:
        _keep(items[0].data, EXTRA, extra)
    if conflicts:
        _keep_conflicts(items, conflicts)
    queried = values(query)
    return [
        Event(
            id=new_id(),
            source=source,
            received_at=received_at,
            account=account,
            entity=item.entity,
            action=item.action,
            data=item.data,
            query=queried,
        )
        for item in items
    ]


def alone(tree: Tree, position: int) -> Tree:
    """The tree that amoCRM would have sent for one event of a body alone: `position` counts from 0, as `read` orders.

    Everything keeps its place and its text, and the index becomes 0. What was no event's stays with an only event.
    """
    rest = {name: node for name, node in tree.items() if name != CONFLICTS}
    paths = [path for path, _entity, action, _node in places.split(_without_account(rest)) if action is not None]
    if len(paths) == 1 or widget.is_call(tree):
        return rest
    chosen = paths[position]
    indexed = (*chosen[:-1], "0") if is_index(chosen[-1]) else chosen
    one: Tree = {}
    for name, node in rest.items():
        if name == chosen[0]:
            place(one, indexed, _at(node, chosen[1:]))
        elif name == "account":
            one[name] = node
    return one


def dump(event: Event) -> bytes:
    """The JSON of an event, as event.schema.json describes it; the time to the millisecond."""
    at = event.received_at.astimezone(UTC)
    time = orjson.dumps(at).decode()[1:]  # as isoformat writes it, in a third of the time
    document = {
        "id": event.id,
        "type": event.type,
        "timestamp": f"{time[:23]}Z" if at.microsecond else f"{time[:19]}.000Z",
        "source": event.source,
        "account": event.account,
        "entity": event.entity,
        "action": event.action,
        "data": event.data,
    }
    if event.query:
        document["query"] = event.query
    return orjson.dumps(document)


def load(payload: bytes) -> Event:
    """The event that `dump` made `payload` of."""
    event = orjson.loads(payload)
    return Event(
        id=event["id"],
        source=event["source"],
        received_at=datetime.fromisoformat(event["timestamp"]),
        account=event["account"],
        entity=event["entity"],
        action=event["action"],
        data=event["data"],
        query=event.get("query", {}),
    )


@frozen
class _Item:
    """An event to be; `path` is where its fields stood in the body."""

    path: tuple[str, ...]
    entity: str
    action: str
    data: dict[str, Json]


def _account(tree: Tree) -> Tree:
    """The account block, taken out of the tree; {} when none came."""
    if isinstance(tree.get("account"), dict):
        account = fields(tree.pop("account"))
    elif widget.is_call(tree):
        account = widget.account(tree)
    else:
        return {}
    if (size := len(orjson.dumps(account))) > MAX_ACCOUNT:
        raise UnreadableError(f"an account block of {size} bytes; at most {MAX_ACCOUNT}")
    return account


def _items(tree: Tree) -> tuple[list[_Item], Tree]:
    """What will be events, and what cannot be."""
    items = []
    extra: Tree = {}
    if widget.is_call(tree):
        entity, said, data = widget.call(tree)
        items.append(_Item(path=("event",), entity=entity, action=said, data=data))
    for path, name, action, node in places.split(tree):
        if action is not None and isinstance(node, dict):
            items.append(_Item(path=path, entity=_entity(name, node), action=action, data=_data(action, node)))
        else:
            place(extra, path, node)
    return items, extra


def _why_none(tree: Tree) -> str:
    for key, node in tree.items():
        if _is_a_form(node):
            name = _shortened(key)
            return f"the form is under `{name}`, in an envelope: have the node that sends it on send `{name}` alone"
    keys = ", ".join(map(_shortened, list(tree)[:5])) or "none"
    return f"expected entity[action][index], got keys: {keys}"


def _is_a_form(node: Json) -> bool:
    """Whether amoCRM's whole body stands here: as text, as an object, or as one with bracket keys."""
    try:
        match node:
            case dict():
                inner = form.unfolded(node)
            case str() if "[" in node or "%5B" in node:
                inner = form.decode(node.encode())
            case _:
                return False
    except UnreadableError:
        return False
    return any(name in ENTITIES and action in ACTIONS for _path, name, action, _node in places.split(inner))


def _shortened(key: str) -> str:
    return printable(key[:40])


def _entity(name: str | None, item: Tree) -> str:
    if name == "contacts" and item.get("type") == "company":
        return "companies"
    if name is not None:
        return name
    if "chat_id" in item:
        return "message"
    if "reviews" in item:
        return "chat_template_review"
    return "message" if "message_type" in item or item.get("type") in _DIRECTIONS else "unknown"


def _data(action: str, item: Tree) -> dict[str, Json]:
    note = item.get("note") if action == "note" else None
    return _lifted(item, fields(note)) if isinstance(note, dict) else fields(item)


def _lifted(item: Tree, note: dict[str, Json]) -> dict[str, Json]:
    """The fields of the inner note in place of `note`; they keep their names, the outer ones give way."""
    data: dict[str, Json] = {}
    taken = set(note)
    for key, node in item.items():
        if key == "note":
            data.update(note)
        else:
            name = free(key, taken)
            taken.add(name)
            data[name] = value(key, node)
    return data


def _without_account(tree: Tree) -> Tree:
    return {name: node for name, node in tree.items() if not (name == "account" and isinstance(node, dict))}


def _at(node: Json, path: Sequence[str]) -> Json:
    for part in path:
        node = node[int(part)] if isinstance(node, list) else node[part]
    return node


def _keep(data: dict[str, Json], name: str, node: Json) -> None:
    data[free(name, data)] = node


def _keep_conflicts(items: list[_Item], conflicts: Mapping[str, list[Json]]) -> None:
    """Under `_conflicts` of the item whose fields they were, else of the first."""
    owners = {bracketed(item.path): item.data for item in items}
    shares: dict[str, dict[str, Json]] = {}
    for path, lost in conflicts.items():
        parts = path.split("[", 3)
        prefixes = ("[".join(parts[:depth]) for depth in (3, 2))
        owner = next((prefix for prefix in prefixes if prefix in owners), next(iter(owners)))
        shares.setdefault(owner, {})[path] = lost
    for owner, share in shares.items():
        _keep(owners[owner], CONFLICTS, share)
