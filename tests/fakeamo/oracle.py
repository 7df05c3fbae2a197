"""What ought to have been told, and what was -> the same words: channel, entity, action, id, before, after."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from tests.fakeamo.values import Exactness, Json, Row

TELLABLE = frozenset({Exactness.EXACT, Exactness.STATE})
"""Changes that can be told of one by one, also afterwards."""
_MANY = frozenset({"call_in", "mail_in", "chat", "site_visit"})
_TALKS = frozenset({"message", "outgoing_message", "talk"})


class Told(NamedTuple):
    channel: str
    entity: str
    action: str
    entity_id: str
    old: tuple[int, ...] = ()
    new: tuple[int, ...] = ()


def expected(rows: Iterable[Row]) -> Counter[Told]:
    """What of the oracle can be told of one by one."""
    return Counter(_of_row(row) for row in rows if row.exactness in TELLABLE)


def told(events: Iterable[Mapping[str, Json]]) -> Counter[Told]:
    """What of a target's events, as JSON, tells of one change."""
    return Counter(_of_event(event) for event in events if _tells_of_one(event))


def healed(events: Iterable[Mapping[str, Json]]) -> Counter[tuple[str, str, str]]:
    """Channel, action and the feed's event of each healed one: none may come twice. A move makes an update, too."""
    healed = (event for event in events if event.get("heal"))
    return Counter((_channel(event), event["action"], event["heal"]["event_id"]) for event in healed)


def _of_row(row: Row) -> Told:
    new = () if row.action in ("add", "delete", "restore") else row.new
    return Told(row.channel, row.entity, row.action, str(row.entity_id), row.old, new)


def _of_event(event: Mapping[str, Json]) -> Told:
    data, action = event["data"], event["action"]
    about = str(data["element_id"] if action == "note" else data.get("uid", data.get("id")))
    return Told(_channel(event), event["entity"], action, about, *_change(action, data))


def _change(action: str, data: Mapping[str, Json]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if action == "status":
        old = (data["old_status_id"], *([data["old_pipeline_id"]] if "old_pipeline_id" in data else []))
        return old, (data["status_id"], *([data["pipeline_id"]] if "pipeline_id" in data else []))
    if "old_responsible_user_id" in data:
        return (data["old_responsible_user_id"],), (data["responsible_user_id"],)
    return (), ((data["id"],) if action == "note" else ())


def _tells_of_one(event: Mapping[str, Json]) -> bool:
    if event["action"] == "update":
        return event["entity"] in ("contacts", "companies") and "old_responsible_user_id" in event["data"]
    left = event["entity"] == "unsorted" and event["action"] == "delete"
    return event["action"] not in _MANY and event["entity"] not in _TALKS and not left


def _channel(event: Mapping[str, Json]) -> str:
    data = event["data"]
    dated = "last_modified" in data or "updated_at" in data
    is_trigger = event["entity"] == "leads" and (
        "old_pipeline_id" in data or event["action"] in _MANY or (event["action"] == "add" and not dated)
    )
    if not is_trigger:
        return "account"
    query = urlencode(sorted(event.get("query", {}).items()), doseq=True)
    return f"dp:{event['action']}:{data['status_id']}:{query}"
