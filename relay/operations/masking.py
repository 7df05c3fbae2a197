"""A document -> the same without personal values: text becomes `***`, JSON keeps its keys, its ids and its shape.

Fields are personal by the mark in their type (`documents.marks`); everything else is shown.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeVar, get_type_hints

from relay.operations.documents.marks import PERSONAL

D = TypeVar("D")

MASK = "***"


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


def _masked(value: Any) -> Any:
    match value:
        case tuple() | list():
            return type(value)(_masked(each) for each in value)
        case Mapping():
            return {name: _masked(each) for name, each in value.items()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            kinds = _personal(type(value))
            changes = {each.name: _field_mask(each.name in kinds)(getattr(value, each.name)) for each in fields(value)}
            return replace(value, **changes)
        case _:
            return value


def _field_mask(personal: bool) -> Callable[[Any], Any]:
    return _mask_personal if personal else _masked


def _mask_personal(value: Any) -> Any:
    return "" if value == "" else mask_json(value)


@cache
def _personal(document: type) -> frozenset[str]:
    """The names of the fields that are marked."""
    hints = get_type_hints(document, include_extras=True)
    return frozenset(name for name, hint in hints.items() if _is_marked(hint))


def _is_marked(hint: Any) -> bool:
    marks = getattr(hint, "__metadata__", ())
    return PERSONAL in marks or any(_is_marked(each) for each in getattr(hint, "__args__", ()))
