"""Webhooks and events, alone or with their deliveries and every attempt."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated

import orjson

from relay.model import Webhook
from relay.model.enrich import Enrichment
from relay.model.trace import attempt_span_id, trace_id
from relay.operations.documents.deliveries import NO_NAMES, DeliveryDocument, delivery_document
from relay.operations.documents.marks import EVENT, PERSONAL, AnyJson, Moment
from relay.operations.next_step import Situation
from relay.rfc3339 import rfc3339
from relay.store.records import AttemptRecord, DeliveryRecord, EventRecord, WebhookRecord

Names = Mapping[str, Mapping[str, str]]
MAX_CHARACTER = 4  # bytes of UTF-8


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDocument:
    """One attempt; `took` is in seconds, `detail` the text of an error or the start of the answer.

    `span_id`: that of the `traceparent` that it sent, if that was not one of a batch.
    """

    number: int
    started_at: Moment
    verdict: str
    reason: str
    status: int | None
    took: float
    detail: Annotated[str, PERSONAL]
    span_id: str


def attempt_document(record: AttemptRecord, delivery: DeliveryRecord) -> AttemptDocument:
    """The document of an attempt of this delivery."""
    return AttemptDocument(
        number=record.number,
        started_at=record.started_at,
        verdict=record.verdict,
        reason=record.reason,
        status=record.status,
        took=record.took.total_seconds(),
        detail=record.detail,
        span_id=attempt_span_id(delivery.event_id, delivery.target, record.number),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryHistoryDocument(DeliveryDocument):
    """A delivery with every attempt."""

    attempts: tuple[AttemptDocument, ...]


def _history(record: DeliveryRecord, situation: Situation) -> DeliveryHistoryDocument:
    delivery = delivery_document(record, situation)
    known = {each.name: getattr(delivery, each.name) for each in fields(delivery)}
    return DeliveryHistoryDocument(**known, attempts=tuple(attempt_document(each, record) for each in record.attempts))


# ---- events


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDocument:
    """An event without its deliveries; `event`, the JSON that targets receive, is null if it is `corrupt`.

    `names`: what amoCRM calls the things in it, as far as that is known.
    """

    id: str
    event: Annotated[AnyJson, EVENT]
    names: Annotated[dict[str, str], PERSONAL]
    corrupt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EventHistoryDocument(EventDocument):
    """An event with its deliveries, and all that was fetched beside it: a target gets the parts that it asks for.

    `enriched` is null without a reason if nothing was asked for, or not fetched yet.
    """

    enriched: Annotated[AnyJson, PERSONAL]
    enriched_reason: str
    deliveries: tuple[DeliveryHistoryDocument, ...]


def event_document(record: EventRecord, names: Names) -> EventDocument:
    """The document of a stored event; `names` by its id."""
    return EventDocument(
        id=record.id,
        event=None if record.corrupt else orjson.loads(record.payload),
        names=dict(names.get(record.id, NO_NAMES)),
        corrupt=record.corrupt,
    )


def event_history(
    record: EventRecord, names: Names, fetched: Enrichment | None, situation: Situation
) -> EventHistoryDocument:
    """The same with its deliveries."""
    event = event_document(record, names)
    return EventHistoryDocument(
        id=event.id,
        event=event.event,
        names=event.names,
        corrupt=event.corrupt,
        enriched={**fetched.value, "at": rfc3339(fetched.at)} if fetched and fetched.value is not None else None,
        enriched_reason=fetched.reason if fetched and fetched.value is None else "",
        deliveries=tuple(_history(each, situation) for each in record.deliveries),
    )


# ---- webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDocument:
    """A webhook; `size` is in bytes. `body` is null if it is not UTF-8; `body_base64` is there instead.

    Only the start of the body is there if `body_bytes` was asked for; then `corrupt` is not known of one that is cut.

    `kind` is `heal` if it never came, but was made of the account's feed. `trace_id`: that of the `traceparent` it came
    with, else its own id; each attempt sends it on.
    """

    id: str
    source: str
    received_at: Moment
    content_type: str
    request_id: str
    query: Annotated[str, PERSONAL]
    signature: Annotated[str, PERSONAL]
    traceparent: str | None
    trace_id: str
    kind: str
    unparsed: Annotated[str | None, PERSONAL]
    dismissed_at: Moment | None
    corrupt: bool
    size: int
    body: Annotated[str | None, PERSONAL]
    body_base64: Annotated[str | None, PERSONAL]

    def bytes_of_body(self) -> bytes:
        """The body as it came."""
        return (self.body or "").encode() if self.body_base64 is None else base64.b64decode(self.body_base64)


def webhook_document(webhook: Webhook) -> WebhookDocument:
    """The document of a webhook."""
    text = _text(webhook.body, cut=bool(webhook.cut_from))
    return WebhookDocument(
        id=webhook.id,
        source=webhook.source,
        received_at=webhook.received_at,
        content_type=webhook.content_type,
        request_id=webhook.request_id,
        query=webhook.query,
        signature=webhook.signature,
        traceparent=webhook.traceparent or None,
        trace_id=trace_id(webhook.trace),
        kind=webhook.kind,
        unparsed=webhook.unparsed,
        dismissed_at=webhook.dismissed_at,
        corrupt=webhook.corrupt,
        size=webhook.size,
        body=text,
        body_base64=base64.b64encode(webhook.body).decode() if text is None else None,
    )


def _text(body: bytes, *, cut: bool) -> str | None:
    """The body as text; of one that is cut without the part of a character at its end."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        ends_there = cut and error.end == len(body) and len(body) - error.start < MAX_CHARACTER
        return body[: error.start].decode() if ends_there else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawHistoryDocument:
    """The deliveries of a webhook that went to targets unparsed; `id` is their `webhook-id`."""

    id: str
    deliveries: tuple[DeliveryHistoryDocument, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookHistoryDocument:
    """A webhook with all that came of it; `raw` is there if it went to targets unparsed. `as_of`: when that was so.

    `account_host`: of the account that the routes in force name for its source, or empty.
    """

    webhook: WebhookDocument
    events: tuple[EventHistoryDocument, ...]
    raw: RawHistoryDocument | None
    as_of: Moment
    account_host: str = ""


def webhook_history(
    record: WebhookRecord,
    names: Names,
    fetched: Mapping[str, Enrichment],
    situation: Situation,
    account_host: str = "",
) -> WebhookHistoryDocument:
    """The document of a webhook and its events; `names` and what was `fetched` by their ids."""
    raw = record.raw
    return WebhookHistoryDocument(
        webhook=webhook_document(record.webhook),
        events=tuple(event_history(each, names, fetched.get(each.id), situation) for each in record.events),
        raw=RawHistoryDocument(id=raw.id, deliveries=tuple(_history(each, situation) for each in raw.deliveries))
        if raw
        else None,
        as_of=situation.now,
        account_host=account_host,
    )
