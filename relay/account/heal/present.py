"""An entity as API v4 has it now -> the fields that webhooks carry of it, which keep the shape of API v2."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from relay.amocrm.form import Tree
from relay.model import Json

_CARD = {
    "id": "id",
    "name": "name",
    "status_id": "status_id",
    "price": "price",
    "responsible_user_id": "responsible_user_id",
    "updated_at": "last_modified",
    "updated_by": "modified_user_id",
    "created_by": "created_user_id",
    "created_at": "date_create",
    "pipeline_id": "pipeline_id",
}
_TYPES = {"contacts": "contact", "companies": "company"}
_ELEMENTS = {"contacts": 1, "leads": 2, "companies": 3, "customers": 12}
_NOTES = {
    "common": 4,
    "attachment": 5,
    "call_in": 10,
    "call_out": 11,
    "service_message": 25,
    "extended_service_message": 25,
    "sms_in": 102,
    "sms_out": 103,
}
"""Numbers of kinds of notes in webhooks, as far as they were seen."""


def present(entity: str, found: Mapping[str, Json]) -> Tree:
    """The fields of an entity, a task or a note, in the order of amoCRM's webhooks."""
    return _SHAPES.get(entity, _card)(entity, found)


def note(entity: str, found: Mapping[str, Json]) -> Tree:
    """The item of a note: its own fields stand one level deeper."""
    params = found.get("params") or {}
    inner = {
        "text": params.get("text", "") if isinstance(params, Mapping) else "",
        "note_type": _NOTES.get(found.get("note_type", ""), found.get("note_type")),
        "element_type": _ELEMENTS.get(entity),
        "element_id": found.get("entity_id"),
        "created_by": found.get("created_by"),
        "main_user_id": found.get("responsible_user_id"),
        "id": found.get("id"),
        "created_at": found.get("created_at"),
        "updated_at": found.get("updated_at"),
    }
    return {"note": _given(inner), **typed(entity)}


def typed(entity: str) -> Tree:
    """Contacts and companies come under one word, and `type` tells them apart."""
    return {"type": _TYPES[entity]} if entity in _TYPES else {}


def _card(entity: str, found: Mapping[str, Json]) -> Tree:
    fields = {name: found.get(of) for of, name in _CARD.items()}
    embedded = found.get("_embedded") or {}
    tags = [_given({"id": each.get("id"), "name": each.get("name")}) for each in embedded.get("tags") or ()]
    custom = [_custom_field(each) for each in found.get("custom_fields_values") or ()]
    times = {"created_at": found.get("created_at"), "updated_at": found.get("updated_at")}
    more = {"tags": tags or None, "account_id": found.get("account_id"), "custom_fields": custom or None}
    return {**_given({**fields, **more, **times}), **typed(entity)}


def _task(_entity: str, found: Mapping[str, Json]) -> Tree:
    result = found.get("result") or {}
    fields = {
        "id": found.get("id"),
        "element_id": found.get("entity_id"),
        "element_type": _ELEMENTS.get(found.get("entity_type", "")),
        "task_type": found.get("task_type_id"),
        "text": found.get("text"),
        "status": int(bool(found.get("is_completed"))),
        "account_id": found.get("account_id"),
        "created_user_id": found.get("created_by"),
        "responsible_user_id": found.get("responsible_user_id"),
        "complete_before": found.get("complete_till"),
        "complete_till": _date(found.get("complete_till")),
        "created_at": found.get("created_at"),
        "updated_at": found.get("updated_at"),
        "result": {"text": result["text"]} if isinstance(result, Mapping) and "text" in result else None,
    }
    return _given(fields)


def _talk(_entity: str, found: Mapping[str, Json]) -> Tree:
    return {name: value for name, value in found.items() if isinstance(value, str | int) and not name.startswith("_")}


def _custom_field(field: Mapping[str, Json]) -> Tree:
    values = [_given({"value": each.get("value"), "enum": each.get("enum_id")}) for each in field.get("values") or ()]
    return _given(
        {
            "id": field.get("field_id"),
            "name": field.get("field_name"),
            "values": values,
            "code": field.get("field_code"),
        }
    )


def _date(seconds: Json) -> str | None:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}" if isinstance(seconds, int) else None


def _given(fields: Mapping[str, Json]) -> Tree:
    return {name: value for name, value in fields.items() if value is not None}


_SHAPES: Mapping[str, Callable[[str, Mapping[str, Json]], Tree]] = {"task": _task, "talk": _talk}
