"""A document -> the same without personal values: text becomes `***`, JSON keeps its keys, its ids and its shape.

Fields are personal by the mark in their type (`documents.marks`); everything else is shown.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar, get_type_hints

from relay.model import Reason
from relay.operations.documents.marks import EVENT, PERSONAL, REASON
from relay.operations.documents.routes import ConditionDocument
from relay.routes.fields import data_path

D = TypeVar("D")

MASK = "***"
CARRIED = frozenset({"data", "query", "enriched"})
"""What of an event's JSON may be personal."""

CLOSED = frozenset({"source", "entity", "action"})
IDS = frozenset(
    {"id", "stage", "old_stage", "pipeline", "pipeline_id", "status_id", "old_pipeline_id", "old_status_id"}
)
"""Fields of a match whose values are words of the relay, and those whose values are ids, if they are digits."""

_KIND = f"(?:{'|'.join(map(re.escape, Reason))})"
_DIGITS = re.compile(r"[0-9]+(?:/[0-9]+)?")
_FAILED = re.compile(
    r"(?:(?:\d+ attempts failed|older than max_age after \d+ attempts), the last one: |"
    r"asked by Retry-After to wait \d+ s: )?"
    rf"(?:answered \d{{3}}(?:, which is in dead_on)?|{_KIND}(?: \d{{3}})?|\d{{3}})(?![^ :])"
    r"|the request cannot be made:|not sent:|cannot be rendered,"
)
"""How a reason begins, in words that are no stranger's."""


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


def mask_reason(text: str) -> str:
    """Mask what a target answered, or an error says: `5xx 503 Ann's order` -> `5xx 503 ***`."""
    known = _FAILED.match(text)
    return text if known and known.end() == len(text) else f"{known[0]} {MASK}" if known else text and MASK


def _mask_condition(check: ConditionDocument) -> ConditionDocument:
    """Mask the values of the event, but for closed words and ids."""
    field = data_path(check.field)
    shown = check.field in CLOSED or (field in IDS and all(map(_DIGITS.fullmatch, check.values)))
    return check if shown else replace(check, values=(MASK,) * len(check.values))


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
        case ConditionDocument():
            return _mask_condition(value)
        case _ if is_dataclass(value) and not isinstance(value, type):
            masks = _masks(type(value))
            return replace(value, **{each.name: masks[each.name](getattr(value, each.name)) for each in fields(value)})
        case _:
            return value


def _mask_personal(value: Any) -> Any:
    return "" if value == "" else mask_json(value)


_MASKS: dict[str, Callable[[Any], Any]] = {
    repr(PERSONAL): _mask_personal,
    repr(EVENT): mask_event,
    repr(REASON): mask_reason,
}


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
