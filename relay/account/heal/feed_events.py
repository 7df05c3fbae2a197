"""Answer of `GET /api/v4/events` -> [FeedEvent]. Values may be absent, empty, or have keys that nobody described."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from relay.account.heal.channels import Stage
from relay.model import Json

ENTITIES: Mapping[str, str] = {
    "lead": "leads",
    "contact": "contacts",
    "company": "companies",
    "customer": "customers",
    "task": "task",
    "talk": "talk",
}
"""The feed's words -> those of webhooks."""


class FeedEvent(NamedTuple):
    """An event of the account's history. `entity` is the webhooks' word; `by` the user, 0 for robots and the API."""

    id: str
    type: str
    entity: str
    entity_id: int
    at: datetime
    by: int
    before: Json
    after: Json


def feed_events(answer: Mapping[str, Json]) -> list[FeedEvent]:
    """The events of one page, newest first as the account sends them; what is not an event is left out."""
    items = answer.get("_embedded", {})
    items = items.get("events") if isinstance(items, Mapping) else None
    return [event for item in items or () if (event := _event(item)) is not None]


def has_next(answer: Mapping[str, Json]) -> bool:
    """Whether there is a page after this one: a full page is no proof."""
    links = answer.get("_links")
    return isinstance(links, Mapping) and bool(links.get("next"))


def value_of(values: Json, *path: str) -> Json:
    """The first of a list of values, at a path: [{"note": {"id": 7}}], "note", "id" -> 7; None if there is none."""
    node = values[0] if isinstance(values, Sequence) and values and not isinstance(values, str) else None
    for name in path:
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def stage(values: Json) -> Stage | None:
    """The stage in an event's `before` or `after`."""
    pipeline, status = value_of(values, "lead_status", "pipeline_id"), value_of(values, "lead_status", "id")
    return Stage(pipeline, status) if isinstance(pipeline, int) and isinstance(status, int) else None


def _event(item: Json) -> FeedEvent | None:
    match item:
        case {
            "id": id_,
            "type": str(type_),
            "created_at": int(at),
            "entity_id": int(entity_id),
            "entity_type": str(of),
        }:
            return FeedEvent(
                id=str(id_),
                type=type_,
                entity=ENTITIES.get(of, of),
                entity_id=entity_id,
                at=datetime.fromtimestamp(at, UTC),
                by=item.get("created_by") or 0,
                before=item.get("value_before") or [],
                after=item.get("value_after") or [],
            )
    return None
