"""HealRecord, and what the account has of its entity now -> the body that amoCRM would have sent, as far as known.

An exact one has what the feed's event says, and nothing else: a route must not take what is now for what was then.
"""

from collections.abc import Mapping

from relay.account.heal.channels import ACCOUNT, UPDATES, parse
from relay.account.heal.feed_events import value_of
from relay.account.heal.keys import CAME
from relay.account.heal.present import note, present, typed
from relay.amocrm import form
from relay.amocrm.form import Tree
from relay.model import Json
from relay.model.heal import Exactness, HealRecord

_BODY_WORDS = {"companies": "contacts"}


def body(record: HealRecord, account: Mapping[str, Json], now: Mapping[str, Json] | None) -> bytes:
    """The form of a record's webhook. `account`: its id and subdomain; `now`: None if the account has it no more."""
    entity, _, action = record.action.partition(".")
    item = _item(record, entity, action, now)
    items = {_BODY_WORDS.get(entity, entity): {action: {"0": item}}}
    about = {"id": account["id"], "subdomain": account["subdomain"]}
    if record.channel in (ACCOUNT, UPDATES):
        links = {"self": account["self"]}
        return form.encode({"account": {"subdomain": about["subdomain"], "id": about["id"], "_links": links}, **items})
    return form.encode({**items, "account": about})


def needs_present(record: HealRecord) -> bool:
    """Whether a body is made of what the account has now."""
    known = record.action.startswith(("message.", "outgoing_message.")) or parse(record.channel) is not None
    known = known or record.action == CAME
    return record.exactness is not Exactness.EXACT and not known


def _item(record: HealRecord, entity: str, action: str, now: Mapping[str, Json] | None) -> Tree:
    match action:
        case "status" if entity == "customers":
            return _became(record)
        case "status":
            return _moved(record)
        case "responsible" | "update" if record.exactness is Exactness.EXACT:
            return _owned(record, entity)
        case "note":
            return note(entity, now or {"id": _number(record.key), "entity_id": record.entity_id})
        case "add" if entity in ("message", "outgoing_message"):
            return _message(record)
        case "call_in" | "mail_in" | "chat" | "site_visit" | "add" if trigger := parse(record.channel):
            return {
                "id": record.entity_id,
                "status_id": trigger.stage.status_id,
                "pipeline_id": trigger.stage.pipeline_id,
            }
        case "add" if entity == "unsorted":
            return _incoming(record)
        case "delete" if entity == "unsorted":
            return _left(record, now or {})
        case "delete":
            return {"id": record.entity_id, **typed(entity)}
    return present(entity, now) if now else {"id": record.entity_id, **typed(entity)}


def _moved(record: HealRecord) -> Tree:
    status, pipeline = (value_of(record.after, "lead_status", name) for name in ("id", "pipeline_id"))
    old_status, old_pipeline = (value_of(record.before, "lead_status", name) for name in ("id", "pipeline_id"))
    item = {"id": record.entity_id, "status_id": status, "pipeline_id": pipeline, "old_status_id": old_status}
    if record.channel == ACCOUNT:  # an account-level webhook dates a move, and does not say which pipeline it left
        return {**item, "last_modified": _seconds(record)}
    return {**item, "old_pipeline_id": old_pipeline}


def _became(record: HealRecord) -> Tree:
    old, new = (value_of(values, "customer_status", "id") for values in (record.before, record.after))
    return {"id": record.entity_id, "status_id": new, "last_modified": _seconds(record), "old_status_id": old}


def _owned(record: HealRecord, entity: str) -> Tree:
    old, new = (value_of(values, "responsible_user", "id") for values in (record.before, record.after))
    item = {"id": record.entity_id, "responsible_user_id": new, "last_modified": _seconds(record)}
    return {**item, **typed(entity), "old_responsible_user_id": old}


def _incoming(record: HealRecord) -> Tree:
    """An incoming lead as the list showed it; the names of its cards are not there."""
    shown = record.after or {}
    embedded = shown.get("_embedded") or {}
    cards = {kind: [{"id": each.get("id")} for each in embedded.get(kind) or ()] for kind in ("leads", "contacts")}
    return {
        "uid": _number(record.key),
        "category": record.type.partition("/")[2],
        "source_data": shown.get("metadata"),
        "data": {kind: ids for kind, ids in cards.items() if ids},
        "pipeline_id": shown.get("pipeline_id"),
        "account_id": shown.get("account_id"),
        "lead_id": record.entity_id or None,
        "created_at": _seconds(record),
    }


def _left(record: HealRecord, now: Mapping[str, Json]) -> Tree:
    """An incoming lead that is in its list no more; `action` if what became of its lead says which."""
    action = now.get("action")
    result = {f"{action}_result": {"leads": [record.entity_id]}} if action and record.entity_id else {}
    category = record.type.partition("/")[2]
    return {"action": action, "uid": _number(record.key), **result, "category": category, "lead_id": record.entity_id}


def _message(record: HealRecord) -> Tree:
    """Its text is in no list of amoCRM's."""
    message = value_of(record.after, "message") or {}
    element = {"leads": 2, "contacts": 1, "customers": 12}.get(record.entity)
    item = {
        "id": _number(record.key),
        "talk_id": message.get("talk_id"),
        "created_at": _seconds(record),
        "element_type": element,
        "element_id": record.entity_id,
        "type": "incoming" if record.action.startswith("message") else "outgoing",
        "origin": message.get("origin"),
    }
    return {name: value for name, value in item.items() if value is not None}


def _seconds(record: HealRecord) -> int:
    return int(record.at.timestamp())


def _number(key: str) -> str:
    """`leads.note:71` -> 71."""
    return key.partition(":")[2]
