"""What `relay export` takes out: events, or webhooks with all that came of them, as an archive holds them."""

from dataclasses import dataclass
from typing import Annotated, Any

import orjson

from relay.model import State
from relay.operations.documents.marks import EVENT, PERSONAL, AnyJson
from relay.store.records import EventRecord, WebhookRecord
from relay.store.webhook_lines import webhook_line


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedEvent:
    """An event; `event`, the JSON that targets receive, is null if it is `corrupt`."""

    id: str
    event: Annotated[AnyJson, EVENT]
    corrupt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedDelivery:
    """A delivery with its attempts."""

    target: str
    routes: tuple[str, ...]
    state: State
    replays: int
    settled_at: str | None
    why: Annotated[str, PERSONAL]
    dismissed_at: str | None
    attempts: Annotated[AnyJson, PERSONAL]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedHistory(ExportedEvent):
    """An event with its deliveries."""

    deliveries: tuple[ExportedDelivery, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedWebhook:
    """A webhook with its body, its events and their deliveries; `raw` are those of one that was sent on unparsed."""

    id: str
    webhook: Annotated[AnyJson, PERSONAL]
    events: tuple[ExportedHistory, ...]
    raw: tuple[ExportedDelivery, ...]


def exported_event(record: EventRecord) -> ExportedEvent:
    """The document of a stored event."""
    event = None if record.corrupt else orjson.loads(record.payload)
    return ExportedEvent(id=record.id, event=event, corrupt=record.corrupt)


def exported_webhook(record: WebhookRecord) -> ExportedWebhook:
    """The document of a webhook: what is in its line of an archive."""
    line = orjson.loads(webhook_line(record))
    return ExportedWebhook(
        id=record.webhook.id,
        webhook=line["webhook"],
        events=tuple(
            ExportedHistory(**{**each, "deliveries": _deliveries(each["deliveries"])}) for each in line["events"]
        ),
        raw=_deliveries(line["raw"]["deliveries"]) if "raw" in line else (),
    )


def _deliveries(found: Any) -> tuple[ExportedDelivery, ...]:
    return tuple(ExportedDelivery(**{**each, "routes": tuple(each["routes"])}) for each in found)
