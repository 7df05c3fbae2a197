"""Event JSON and format -> content type and body. Pure."""

from collections.abc import Mapping
from typing import assert_never
from urllib.parse import quote

import orjson

from relay.amocrm import form
from relay.model import Format, Json


def body(payload: bytes, format_: Format) -> tuple[str, bytes]:
    """The content type, and the event as `format_` has it; `json` is the payload itself, byte for byte."""
    match format_:
        case Format.JSON:
            return "application/json", payload
        case Format.CLOUDEVENTS:
            return "application/cloudevents+json; charset=utf-8", _cloudevent(payload)
        case Format.FORM:
            return "application/x-www-form-urlencoded", form.encode(_tree(orjson.loads(payload)))
        case never:
            assert_never(never)


def _cloudevent(payload: bytes) -> bytes:
    """CloudEvents 1.0, structured mode; `data` is our event."""
    event = orjson.loads(payload)
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": event["id"],
            "source": f"/amocrm/{quote(event['source'], safe='')}",
            "type": f"com.amocrm.{event['type']}",
            "time": event["timestamp"],
            "datacontenttype": "application/json",
            "data": orjson.Fragment(payload),
        }
    )


# ---- amoCRM's own encoding: what `amocrm.events` did, undone. Reading it again gives the same event, but for what
# lost a conflict: a form with it would be read differently by everyone.


def _tree(event: Mapping[str, Json]) -> form.Tree:
    """The body that amoCRM would send for this event alone; a widget call becomes an ordinary event."""
    entity, action = event["entity"], event["action"]
    item = {name: _worded(node, name) for name, node in event["data"].items() if name != form.CONFLICTS}
    if action == "note":
        item = _with_inner_note(entity, item)
    items = {action: {"0": item}}
    match entity:
        case "unknown" | "chat_template_review":  # came without an entity key
            pass
        case "companies":
            items = {"contacts": items}
        case _:
            items = {entity: items}
    return {"account": event["account"], **items}


def _with_inner_note(entity: str, data: form.Tree) -> form.Tree:
    """The fields of a note stand under `note`; beside it only the `type` that tells a contact from a company."""
    outer = ("_type" if "_type" in data else "type") if entity in ("contacts", "companies") else None
    note = {name: value for name, value in data.items() if name != outer}
    return {"note": note} | ({"type": data[outer]} if outer in data else {})


def _worded(node: Json, name: str = "") -> Json:
    """Values in the shapes that amoCRM gives them."""
    match node:
        case {} | [*_] if name == "metadata":
            return orjson.dumps(node).decode()
        case [*ids] if name == "linked_leads_id" and all(isinstance(id_, int | str) for id_ in ids):
            return {str(id_): {"ID": id_} for id_ in ids}
        case {}:
            return {key: _worded(child, key) for key, child in node.items()}
        case [*children]:
            return [_worded(child) for child in children]
        case _:
            return node
