"""An event and references to a person -> how much of it belongs to that person, and the event without that.

    contacts.update of 777           the whole event: it is about 777
    message.add, contact_id=777      the whole event: a message, a talk, a task, a note hangs on what it refers to
    leads.update, contacts[0]=777    a part: the card of somebody else loses what refers to 777

Of a whole event the ids remain, so that its body has as many events as before.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from relay.amocrm.cards import CARDS
from relay.model import Event, Json
from relay.model.erasure import Extent, Ref

Path: TypeAlias = tuple[str, ...]
"""Keys from the root of a tree; of a list its indexes."""

_OWN = frozenset({*CARDS, "customers", "catalogs"})
"""Entities with data of their own, whatever they refer to."""

_SINGULAR = {"leads": "lead", "contacts": "contact", "companies": "company", "customers": "customer"}
_TYPES = {
    "leads": ("leads", "lead", "2"),
    "contacts": ("contacts", "contact", "1"),
    "companies": ("companies", "company", "3"),
    "customers": ("customers", "customer", "12"),
}
"""Words of `entity_type` and `element_type` for an entity."""

_PAIRS = (("entity_type", "entity_id"), ("element_type", "element_id"))
_IDS = ("id", "ID", "element_type", "element_id", "entity_type", "entity_id", "contact_id", "talk_id", "chat_id", "uid")
_AN_ID = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_KINDS = ("company", "contact", "incoming", "outgoing")  # of `type`: it decides the entity
_PARTS = {"leads": "lead", "contacts": "contacts", "companies": "company"}  # of an enrichment


def extent(event: Event, refs: Collection[Ref]) -> Extent:
    """Return how much of the event belongs to one of these."""
    if any(event.entity == ref.entity and event.entity_id == ref.id for ref in refs):
        return Extent.WHOLE
    if not (found := references(event.data, refs)):
        return Extent.NONE
    hangs_on_it = event.entity not in _OWN or event.action == "note" or () in found
    return Extent.WHOLE if hangs_on_it else Extent.PART


def erased(event: Event, refs: Collection[Ref], how: Extent) -> Event:
    """Return the event without what belongs to them."""
    match how:
        case Extent.NONE:
            return event
        case Extent.PART:
            return replace(event, data=without(event.data, references(event.data, refs)))
        case Extent.WHOLE:
            return replace(event, data=ids(event.data), query={})


def erased_cards(value: Mapping[str, Json], refs: Collection[Ref]) -> dict[str, Json]:
    """Return what was fetched beside an event without the cards of these, and without what refers to them."""
    kept: dict[str, Json] = {}
    for part, cards in value.items():
        gone = {ref.id for ref in refs if _PARTS.get(ref.entity) == part}
        if isinstance(cards, list):
            kept[part] = [_without_refs(card, refs) for card in cards if _own_id(card) not in gone]
        else:
            kept[part] = None if _own_id(cards) in gone else _without_refs(cards, refs)
    return kept


def ids(node: Mapping[str, Json]) -> dict[str, Json]:
    """Return what tells an item from others and no more: what is no id has no place here."""
    kept = {name: node[name] for name in _IDS if name in node and _is_id(node[name])}
    if node.get("type") in _KINDS:
        kept["type"] = node["type"]
    return {name: kept[name] for name in node if name in kept}  # in their order


def references(node: Json, refs: Collection[Ref]) -> list[Path]:
    """Return the smallest nodes below `node` that refer to one of these, by their paths; () is `node` itself."""
    return [path for ref in refs for path in _references(node, ref, ())]


def without(node: Mapping[str, Json], paths: Sequence[Path]) -> dict[str, Json]:
    """Return a copy without the nodes at these paths; indexes of other list items stay valid for this call."""
    kept = _cut(node, frozenset(paths), ())
    return kept if isinstance(kept, dict) else {}


def _cut(node: Json, paths: frozenset[Path], here: Path) -> Json:
    if isinstance(node, Mapping):
        return {key: _cut(child, paths, (*here, key)) for key, child in node.items() if (*here, key) not in paths}
    if isinstance(node, list):
        items = [(child, (*here, str(index))) for index, child in enumerate(node)]
        return [_cut(child, paths, path) for child, path in items if path not in paths]
    return node


def _references(node: Json, ref: Ref, here: Path) -> Iterator[Path]:
    if isinstance(node, list):
        for index, child in enumerate(node):
            yield from _references(child, ref, (*here, str(index)))
    if not isinstance(node, Mapping):
        return
    if any(_refers(node.get(kind), node.get(id_), ref) for kind, id_ in _PAIRS):
        yield here
        return
    for key, child in node.items():
        path = (*here, key)
        if not (_names_id_of(key, ref.entity) or key in (ref.entity, _SINGULAR.get(ref.entity))):
            yield from _references(child, ref, path)
        elif _is(child, ref):
            yield path
            if (name := f"{key.removesuffix('_id')}_name") != f"{key}_name" and name in node:
                yield (*here, name)  # linked_company_id, and linked_company_name beside it
        else:
            yield from _held(child, ref, path)


def _held(node: Json, ref: Ref, here: Path) -> Iterator[Path]:
    """Those of the children that are the reference, or hold it: ids, cards, or cards by their ids."""
    children = enumerate(node) if isinstance(node, list) else node.items() if isinstance(node, Mapping) else ()
    for key, child in children:
        path = (*here, str(key))
        if _is(child, ref):
            yield path
        else:
            yield from _references(child, ref, path)


def _is(node: Json, ref: Ref) -> bool:
    """Whether a node is the id, or a card with this id."""
    return _own_id(node) == ref.id if isinstance(node, Mapping) else _text(node) == ref.id


def _own_id(card: Json) -> str:
    return _text(card.get("id", card.get("ID"))) if isinstance(card, Mapping) else ""


def _names_id_of(key: str, entity: str) -> bool:
    """`contact_id`, `main_contact_id`, `linked_leads_id`, `talk_id`."""
    words = (entity, _SINGULAR.get(entity, entity))
    return any(key == f"{word}_id" or key.endswith(f"_{word}_id") for word in words)


def _refers(kind: Json, id_: Json, ref: Ref) -> bool:
    return _text(kind) in _TYPES.get(ref.entity, (ref.entity,)) and _text(id_) == ref.id


def _text(node: Json) -> str:
    return str(node) if isinstance(node, (str, int)) else ""


def _is_id(node: Json) -> bool:
    return isinstance(node, (str, int)) and _AN_ID.fullmatch(str(node)) is not None


def _without_refs(card: Json, refs: Collection[Ref]) -> Json:
    return without(card, references(card, refs)) if isinstance(card, Mapping) else card
