"""Cards as webhooks have them: the shape of API v2, whatever the API reads."""

import json
from datetime import UTC, datetime

from tests.fakeamo.values import Card, Fields, Json

ELEMENT_TYPES = {"contacts": 1, "leads": 2, "companies": 3, "customers": 12}
NOTE_TYPES = {
    "common": 4,
    "attachment": 5,
    "call_in": 10,
    "call_out": 11,
    "site_visit": 17,
    "service_message": 25,
    "geolocation": 20,
    "sms_in": 102,
    "sms_out": 103,
}
FORM_KEYS = {
    "leads": "leads",
    "contacts": "contacts",
    "companies": "contacts",
    "customers": "customers",
    "tasks": "task",
}
TYPES = {"contacts": "contact", "companies": "company"}


def card(card: Card, account_id: int, time: int) -> Fields:
    """All fields of a lead, contact, company, customer or task; `time` is that of the change."""
    if card.kind == "tasks":
        return _task(card, account_id)
    fields = card.fields
    found: Fields = {"id": card.id, "name": fields["name"]}
    if card.kind == "leads":
        found |= {name: fields[name] for name in ("status_id", "price")}
    if card.kind == "customers":
        found["status_id"] = fields["status_id"]
    found |= {"responsible_user_id": fields["responsible_user_id"], "last_modified": time}
    found |= {"modified_user_id": fields["updated_by"], "created_user_id": fields["created_by"]}
    found["date_create"] = fields["created_at"]
    if card.kind == "leads":
        found["pipeline_id"] = fields["pipeline_id"]
    if tags := fields["_embedded"]["tags"]:
        found["tags"] = [{"id": tag["id"], "name": tag["name"]} for tag in tags]
    found["account_id"] = account_id
    found |= custom_fields(fields.get("custom_fields_values"))
    if card.leads:
        found["linked_leads_id"] = {str(lead): {"ID": lead} for lead in card.leads}
    found |= {"created_at": fields["created_at"], "updated_at": time}
    return found | _type(card)


def custom_fields(values: list[Json] | None) -> Fields:
    if not values:
        return {}
    found = []
    for each in values:
        one = {"id": each["field_id"], "name": each["field_name"]}
        one["values"] = [
            {"value": value["value"], **({"enum": value["enum_id"]} if value.get("enum_id") else {})}
            for value in each["values"]
        ]
        found.append(one | ({"code": each["field_code"]} if each["field_code"] else {}))
    return {"custom_fields": found}


def deletion(card: Card) -> Fields:
    """Little more than the id."""
    if card.kind == "leads":
        return {"id": card.id, "status_id": card.fields["status_id"], "pipeline_id": card.fields["pipeline_id"]}
    return {"id": card.id, **_type(card)}


def note(card: Card, note: Fields, account_id: int) -> Fields:
    inner = {
        "text": text_of(note),
        "attachement": "",
        "date_create": stamp(note["created_at"]),
        "note_type": NOTE_TYPES[note["note_type"]],
        "element_type": ELEMENT_TYPES[card.kind],
        "element_id": card.id,
        "account_id": account_id,
        "metadata": json.dumps({"event_source": {"id": note["created_by"]}}, separators=(",", ":")),
        "created_by": note["created_by"],
        "main_user_id": note["responsible_user_id"],
        "id": note["id"],
        "created_at": note["created_at"],
        "updated_at": note["updated_at"],
    }
    return {"note": inner, **_type(card)}


def text_of(note: Fields) -> str:
    """A note's text; of calls its parameters as JSON."""
    if note["note_type"].startswith("call"):
        return json.dumps(note["params"], ensure_ascii=False, separators=(",", ":"))
    return str(note["params"].get("text", ""))


def _task(card: Card, account_id: int) -> Fields:
    fields = card.fields
    found = {
        "id": card.id,
        "element_id": fields["entity_id"],
        "element_type": ELEMENT_TYPES[fields["entity_type"]],
        "task_type": fields["task_type_id"],
        "date_create": stamp(fields["created_at"]),
        "text": fields["text"],
        "status": int(fields["is_completed"]),
        "account_id": account_id,
        "created_user_id": fields["created_by"],
        "last_modified": stamp(fields["updated_at"]),
        "responsible_user_id": fields["responsible_user_id"],
        "complete_till": stamp(fields["complete_till"]),
        "created_at": fields["created_at"],
        "updated_at": fields["updated_at"],
        "complete_before": fields["complete_till"],
    }
    return found | ({"result": {"text": fields["result"]["text"]}} if fields["result"] else {})


def _type(card: Card) -> Fields:
    return {"type": TYPES[card.kind]} if card.kind in TYPES else {}


def stamp(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S")
