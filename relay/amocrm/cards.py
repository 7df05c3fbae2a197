"""What an event is about, as amoCRM's API has it: a lead, contact or company with its number; and parts of such cards.

A card is the API's document of one of them (amoCRM, API v4, "Leads", "Contacts", "Companies", 2026).
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from relay.model import Event, Json

_KINDS: Mapping[str, str] = {
    "leads": "leads",
    "contacts": "contacts",
    "companies": "companies",
    "lead": "leads",  # `entity_type` of chats
    "contact": "contacts",
    "company": "companies",
    "1": "contacts",  # `element_type` of tasks and notes
    "2": "leads",
    "3": "companies",
}
CARDS = ("leads", "contacts", "companies")
_ID = re.compile("[1-9][0-9]{0,17}")  # a body may have anything in its place: int() of 5,000 digits raises
_ALWAYS = ("id", "is_main")


class Subject(NamedTuple):
    """A card by its number. `kind`: `leads`, `contacts` or `companies`, as in paths of the API."""

    kind: str
    number: int


def subject(event: Event) -> Subject | None:
    """Return what the event is about; of a task, a talk or a message what it belongs to. None for anything else."""
    data = event.data
    if event.entity in CARDS:
        return _subject(event.entity, event.entity_id)
    by_type = _subject(data.get("entity_type"), data.get("entity_id"))
    return by_type or _subject(data.get("element_type"), data.get("element_id"))


def _subject(kind: Json, number: Json) -> Subject | None:
    known, text = _KINDS.get(str(kind)), str(number)
    return Subject(known, int(text)) if known and _ID.fullmatch(text) else None


def only(card: Mapping[str, Json], fields: Sequence[str]) -> dict[str, Json]:
    """Return the card with these fields alone: the API's own, custom ones by code, name or id. None given: all."""
    if not fields:
        return {name: value for name, value in card.items() if name != "_links"}
    kept = {name: value for name, value in card.items() if name in fields or name in _ALWAYS}
    custom = card.get("custom_fields_values")
    if isinstance(custom, list) and "custom_fields_values" not in kept:
        kept["custom_fields_values"] = [each for each in custom if _is_one_of(each, fields)]
    return kept


def _is_one_of(field: Json, fields: Sequence[str]) -> bool:
    known = (field.get(key) for key in ("field_code", "field_name", "field_id")) if isinstance(field, dict) else ()
    return any(str(each) in fields for each in known if each is not None)
