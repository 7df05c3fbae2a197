"""A document -> the same without personal values: text becomes `***`, JSON keeps its keys, its ids and its shape.

Fields are personal by the mark in their type (`documents.marks`); everything else is shown.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar, get_type_hints

from relay.operations.documents.marks import EVENT, PERSONAL

D = TypeVar("D")

MASK = "***"
CARRIED = frozenset({"data", "query", "enriched"})
"""What of an event's JSON may be personal."""


def mask(document: D) -> D:
    """Mask a document and the documents in it."""
    masked: D = _masked(document)
    return masked


def mask_json(value: Any) -> Any:
    """Mask each leaf but integers under `id` and `…_id`: `{"id": 7, "name": "Ann"}` -> `{"id": 7, "name": "***"}`."""
    match value:
        case None:
            return None
        case Mapping():
            return {name: each if _is_id(name, each) else mask_json(each) for name, each in value.items()}
        case list() | tuple():
            return [mask_json(each) for each in value]
        case _:
            return MASK


def _is_id(name: str, value: object) -> bool:
    return (name == "id" or name.endswith("_id")) and isinstance(value, int) and not isinstance(value, bool)


def mask_event(event: Any) -> Any:
    """Mask what an event carries, and keep what it is: entity, action, account, times."""
    if not isinstance(event, Mapping):
        return event
    return {name: mask_json(value) if name in CARRIED else value for name, value in event.items()}


def _masked(value: Any) -> Any:
    match value:
        case tuple() | list():
            return type(value)(_masked(each) for each in value)
        case Mapping():
            return {name: _masked(each) for name, each in value.items()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            masks = _masks(type(value))
            return replace(value, **{each.name: masks[each.name](getattr(value, each.name)) for each in fields(value)})
        case _:
            return value


def _mask_personal(value: Any) -> Any:
    return "" if value == "" else mask_json(value)


_MASKS: dict[str, Callable[[Any], Any]] = {repr(PERSONAL): _mask_personal, repr(EVENT): mask_event}


@lru_cache(maxsize=256)
def _masks(document: type) -> dict[str, Callable[[Any], Any]]:
    """By field what masks it."""
    hints = get_type_hints(document, include_extras=True)
    return {name: next(_marks(hint), _masked) for name, hint in hints.items()}


def _marks(hint: Any) -> Iterator[Callable[[Any], Any]]:
    for mark in getattr(hint, "__metadata__", ()):
        if mask_ := _MASKS.get(repr(mark)):
            yield mask_
    for each in getattr(hint, "__args__", ()):
        yield from _marks(each)
