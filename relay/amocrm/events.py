"""Tree -> [Event], and Event <-> the JSON that targets receive.

How a body is split into events (`event_paths` decides which paths count):

    leads[add][0][id]=7     entity[action][index]: one event per index
    leads[add][id]=7        fields in place of the index: one event
    leads[delete]=7         a deletion with the id alone: one event
    add[0][chat_id]=…       an index in place of the action: `add` is the action, the fields decide the entity
    event[type_code]=…      a call of a digital-pipeline widget

Fields of no event (`foo=bar`, `leads[add]=7`) go under `_extra` of the first event, and values that lost a conflict
under `_conflicts` of their event, or of the first one. A name that is taken gets an underscore in front.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from urllib.parse import parse_qsl

import orjson

from relay.amocrm import event_paths, form, widget
from relay.amocrm.fields import fields, is_index, unused_name, value
from relay.amocrm.form import CONFLICTS, Tree, put_at
from relay.amocrm.keys import bracket_path
from relay.amocrm.vocabulary import ACTIONS, ENTITIES
from relay.errors import UnreadableError
from relay.model import Event, Json, frozen
from relay.printable import printable
from relay.rfc3339 import rfc3339

MAX_ACCOUNT = 2048
"""Bytes of an account block as JSON: every event of a body carries a copy."""

EXTRA = "_extra"

_DIRECTIONS = ("incoming", "outgoing")  # values of `type` that only messages have


def read(tree: Tree, *, source: str, received_at: datetime, new_id: Callable[[], str], query: str = "") -> list[Event]:
    """Make the events of one body, at least one, in their order; UnreadableError says why there are none.

    `received_at` is aware; `new_id` is called once per event; `query` is the query string of the webhook's address.
    The tree is not changed.
    """
    rest = dict(tree)
    account = _account(rest)
    conflicts = rest.pop(CONFLICTS, {})
    items, extra = _items(rest)
    if not items:
        raise UnreadableError(f"no events: {_why_none(tree)}")
    if extra:
        _add(items[0].data, EXTRA, extra)
    if conflicts:
        _add_conflicts(items, conflicts)
    parts = [(item.entity, item.action, item.data) for item in items]
    return made_of(parts, account=account, source=source, received_at=received_at, new_id=new_id, query=query)


def made_of(
    parts: Iterable[tuple[str, str, dict[str, Json]]],
    *,
    account: dict[str, Json],
    source: str,
    received_at: datetime,
    new_id: Callable[[], str],
    query: str,
) -> list[Event]:
    """The events of one body, of their entities, actions and data."""
    by_name = query_values(query)
    return [
        Event(
            id=new_id(),
            source=source,
            received_at=received_at,
            account=account,
            entity=entity,
            action=action,
            data=data,
            query=by_name,
        )
        for entity, action, data in parts
    ]


def isolate(tree: Tree, position: int) -> Tree:
    """The tree that amoCRM would send for one event of a body alone; `position` counts from 0, in the order of `read`.

    Keys, order and texts stay, the index becomes 0. Fields of no event are kept only if the body has a single event.
    """
    rest = {name: node for name, node in tree.items() if name != CONFLICTS}
    paths = [path for path, _entity, action, _node in event_paths.walk(_without_account(rest)) if action is not None]
    if len(paths) == 1 or widget.is_call(tree):
        return rest
    chosen = paths[position]
    indexed = (*chosen[:-1], "0") if is_index(chosen[-1]) else chosen
    one: Tree = {}
    for name, node in rest.items():
        if name == chosen[0]:
            put_at(one, indexed, _at(node, chosen[1:]))
        elif name == "account":
            one[name] = node
    return one


def dump(event: Event) -> bytes:
    """Encode an event as the JSON that event.schema.json describes."""
    document = {
        "id": event.id,
        "type": event.type,
        "timestamp": rfc3339(event.received_at),
        "source": event.source,
        "account": event.account,
        "entity": event.entity,
        "action": event.action,
        "data": event.data,
    }
    if event.query:
        document["query"] = event.query
    if event.heal is not None:
        document |= {"timestamp": rfc3339(event.happened_at or event.received_at), "heal": event.heal}
    return orjson.dumps(document)


def load(payload: bytes) -> Event:
    """Decode what `dump` encoded."""
    event = orjson.loads(payload)
    heal = event.get("heal")
    at = datetime.fromisoformat(event["timestamp"])
    return Event(
        id=event["id"],
        source=event["source"],
        received_at=datetime.fromisoformat(heal["found_at"]) if heal else at,
        account=event["account"],
        entity=event["entity"],
        action=event["action"],
        data=event["data"],
        query=event.get("query", {}),
        heal=heal,
        happened_at=at if heal else None,
    )


def query_values(query: str) -> dict[str, Json]:
    """Parse a query string: try=1&tag=a&tag=b -> {"try": "1", "tag": ["a", "b"]}; a repeated name gives a list.

    Text is UTF-8; invalid bytes and NUL become U+FFFD.
    """
    found: dict[str, Json] = {}
    for name, text in parse_qsl(query.replace("%00", "%EF%BF%BD"), keep_blank_values=True) if query else ():
        if name not in found:
            found[name] = text
        elif isinstance(found[name], list):
            found[name].append(text)
        else:
            found[name] = [found[name], text]
    return found


@frozen
class _Item:
    """What becomes an event; `path` is where its fields were in the body."""

    path: tuple[str, ...]
    entity: str
    action: str
    data: dict[str, Json]


def _account(tree: Tree) -> Tree:
    """Take the account block out of the tree; {} if there is none."""
    if isinstance(tree.get("account"), dict):
        account = fields(tree.pop("account"))
    elif widget.is_call(tree):
        account = widget.account(tree)
    else:
        return {}
    check_size(account)
    return account


def check_size(account: Mapping[str, Json]) -> None:
    """UnreadableError if an account block is larger than any of amoCRM."""
    if (size := len(orjson.dumps(account))) > MAX_ACCOUNT:
        raise UnreadableError(f"an account block of {size} bytes; at most {MAX_ACCOUNT}")


def _items(tree: Tree) -> tuple[list[_Item], Tree]:
    """Split the tree into items, which become events, and everything else."""
    items = []
    extra: Tree = {}
    if widget.is_call(tree):
        entity, action, data = widget.call(tree)
        items.append(_Item(path=("event",), entity=entity, action=action, data=data))
    for path, name, found, node in event_paths.walk(tree):
        if found is not None and isinstance(node, dict):
            items.append(_Item(path=path, entity=_entity(name, node), action=found, data=_data(found, node)))
        else:
            put_at(extra, path, node)
    return items, extra


def _why_none(tree: Tree) -> str:
    for key, node in tree.items():
        if _is_a_form(node):
            name = _shortened(key)
            return f"the form is under `{name}`, in an envelope: have the node that sends it on send `{name}` alone"
    keys = ", ".join(map(_shortened, list(tree)[:5])) or "none"
    return f"expected entity[action][index], got keys: {keys}"


def _is_a_form(node: Json) -> bool:
    """True if a node contains amoCRM's whole body: as text, as an object, or as one with bracket keys."""
    try:
        match node:
            case dict():
                inner = form.unflatten(node)
            case str() if "[" in node or "%5B" in node:
                inner = form.decode(node.encode())
            case _:
                return False
    except UnreadableError:
        return False
    return any(name in ENTITIES and action in ACTIONS for _path, name, action, _node in event_paths.walk(inner))


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
    """Replace `note` by the fields of the inner note; where names clash, the outer field is renamed."""
    data: dict[str, Json] = {}
    taken = set(note)
    for key, node in item.items():
        if key == "note":
            data.update(note)
        else:
            name = unused_name(key, taken)
            taken.add(name)
            data[name] = value(key, node)
    return data


def _without_account(tree: Tree) -> Tree:
    return {name: node for name, node in tree.items() if not (name == "account" and isinstance(node, dict))}


def _at(node: Json, path: Sequence[str]) -> Json:
    for part in path:
        node = node[int(part)] if isinstance(node, list) else node[part]
    return node


def _add(data: dict[str, Json], name: str, node: Json) -> None:
    data[unused_name(name, data)] = node


def _add_conflicts(items: list[_Item], conflicts: Mapping[str, list[Json]]) -> None:
    """Add `_conflicts` to the item whose fields they were, else to the first."""
    owners = {bracket_path(item.path): item.data for item in items}
    by_owner: dict[str, dict[str, Json]] = {}
    for path, lost in conflicts.items():
        parts = path.split("[", 3)
        prefixes = ("[".join(parts[:depth]) for depth in (3, 2))
        owner = next((prefix for prefix in prefixes if prefix in owners), next(iter(owners)))
        by_owner.setdefault(owner, {})[path] = lost
    for owner, its_own in by_owner.items():
        _add(owners[owner], CONFLICTS, its_own)
