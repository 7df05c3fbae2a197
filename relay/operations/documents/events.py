"""Events without a delivery, refused requests, and the story of one object, as listings show them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import orjson

from relay.amocrm import events
from relay.operations.documents.deliveries import DeliveryDocument, delivery_document
from relay.operations.documents.listing import Listing
from relay.operations.documents.marks import PERSONAL, Moment
from relay.operations.next_step import Situation
from relay.store.question_records import RefusedMinute, StoryEvent, UnroutedKind
from relay.store.records import EventRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class UnroutedDocument:
    """An event that no route took: `event` as targets would receive it, null if it is `corrupt`, as what is read of it.

    `names`: what amoCRM calls the things in it, as far as that is known.
    """

    id: str
    type: str
    entity_id: str
    source: str
    received_at: Moment | None
    event: Annotated[dict[str, Any] | None, PERSONAL]
    corrupt: bool
    names: Annotated[dict[str, str], PERSONAL]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnroutedTypeDocument:
    """How many events of one type no route took; when the first and the last of those arrived."""

    type: str
    entity: str
    action: str
    count: int
    first_at: Moment
    last_at: Moment


@dataclass(frozen=True, kw_only=True)  # as Listing
class UnroutedListing(Listing[UnroutedDocument]):
    """Events that no route took; or, by type, `types` in place of them, for which `searched_to` holds alike."""

    types: tuple[UnroutedTypeDocument, ...] = ()


def unrouted_document(record: EventRecord, names: Mapping[str, str]) -> UnroutedDocument:
    """The document of an event that no route took."""
    payload = _payload(record)
    event = events.load(record.payload) if payload else None
    return UnroutedDocument(
        id=record.id,
        type=event.type if event else "",
        entity_id=event.entity_id if event else "",
        source=event.source if event else "",
        received_at=event.received_at if event else None,
        event=payload,
        corrupt=record.corrupt,
        names=dict(names),
    )


def _payload(record: EventRecord) -> dict[str, Any] | None:
    if record.corrupt:
        return None
    event: dict[str, Any] = orjson.loads(record.payload)
    return event


def unrouted_type_document(kind: UnroutedKind) -> UnroutedTypeDocument:
    """The document of a count."""
    return UnroutedTypeDocument(
        type=f"{kind.entity}.{kind.action}",
        entity=kind.entity,
        action=kind.action,
        count=kind.count,
        first_at=kind.first_at,
        last_at=kind.last_at,
    )


# ---- refused


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedDocument:
    """Requests of one source that were refused for one `reason` in the minute from `minute` on.

    `source` is `-` unless the token was right. `detail`, `remote` and `address` are those of the last one.
    """

    minute: Moment
    source: str
    reason: str
    count: int
    last_at: Moment
    detail: Annotated[str, PERSONAL]
    remote: Annotated[str, PERSONAL]
    address: Annotated[str, PERSONAL]


def refused_document(each: RefusedMinute) -> RefusedDocument:
    """The document of a minute."""
    return RefusedDocument(
        minute=each.minute,
        source=each.source,
        reason=each.reason,
        count=each.count,
        last_at=each.last_at,
        detail=each.detail,
        remote=each.remote,
        address=each.address,
    )


# ---- the story of one object


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryEventDocument:
    """An event about the object, with its deliveries; none: no route took it. `healed`: no webhook told of it."""

    event: str
    type: str
    action: str
    source: str
    webhook: str
    received_at: Moment
    healed: bool
    corrupt: bool
    data: Annotated[dict[str, Any] | None, PERSONAL]
    names: Annotated[dict[str, str], PERSONAL]
    deliveries: tuple[DeliveryDocument, ...]


@dataclass(frozen=True, kw_only=True)  # as Listing
class StoryListing(Listing[StoryEventDocument]):
    """The events of one object, newest first; `targets`: those of its deliveries here, by name."""

    entity: str
    id: str
    targets: tuple[str, ...] = ()


def story_event_document(
    story: StoryEvent, entity: str, situation: Situation, names: Mapping[str, str]
) -> StoryEventDocument:
    """The document of an event of a story."""
    payload = _payload(story.event) or {}
    return StoryEventDocument(
        event=story.event.id,
        type=payload.get("type", f"{entity}.?"),
        action=payload.get("action", "?"),
        source=story.source,
        webhook=story.webhook,
        received_at=story.received_at,
        healed=story.healed,
        corrupt=story.event.corrupt,
        data=payload.get("data"),
        names=dict(names),
        deliveries=tuple(delivery_document(each, situation) for each in story.event.deliveries),
    )
