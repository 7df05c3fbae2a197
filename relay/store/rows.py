"""Rows as every kind of store selects them -> records. The order of the columns is that of the assignments here."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

import orjson

from relay.model import Dead, Delivered, RetryAt, State, Verdict, Webhook
from relay.store import cursors
from relay.store.checksum import is_corrupt
from relay.store.question_records import StoryEvent
from relay.store.records import AttemptRecord, DeliveryRecord, EventRecord, Page
from relay.store.times import from_ms, to_ms

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]


def page(
    listing: str, found: Sequence[Row], limit: int, key: Callable[[Row], cursors.Key], record: Callable[[Row], T]
) -> Page[T]:
    """Return the first `limit` of the rows found; whether one more was decides whether there is a next page."""
    shown = found[:limit]
    next_ = cursors.cursor(listing, key(shown[-1])) if shown and len(found) > limit else None
    return Page((record(row) for row in shown), next_=next_)


def webhook_of(row: Row) -> Webhook:
    """Return the webhook; one that fails its checksum is `corrupt`."""
    id_, source, received_at, body, content_type, request_id, query, signature = row[:8]
    why, checksum, traceparent, kind, dismissed_at = row[8:]
    return Webhook(
        id=id_,
        source=source,
        received_at=from_ms(received_at),
        body=body,
        content_type=content_type,
        request_id=request_id,
        query=query,
        signature=signature,
        traceparent=traceparent or "",
        unparsed=why,
        kind=kind,
        corrupt=is_corrupt(body, checksum),
        dismissed_at=None if dismissed_at is None or why is None else from_ms(dismissed_at),
    )


def start_of(row: Sequence[Any], start: bytes, size: int) -> Webhook:
    """Return the webhook with only the start of its body, of so many bytes; its checksum is of the whole."""
    return replace(webhook_of((*row[:3], start, *row[4:9], None, *row[10:])), cut_from=size)


def delivery_of(row: Row, attempts: tuple[AttemptRecord, ...] = ()) -> DeliveryRecord:
    """Return the delivery; a claimed one waits for no time."""
    _seq, event_id, entity, action, entity_id, received_at, target, routes, state, claimed, attempt, replays = row[:12]
    due_at, settled_at, why, raw, healed, dismissed_at = row[12:]
    return DeliveryRecord(
        event_id=event_id,
        entity=entity,
        action=action,
        entity_id=entity_id,
        received_at=from_ms(received_at),
        target=target,
        routes=tuple(orjson.loads(routes)),
        state=State(state),
        claimed=bool(claimed),
        attempt=attempt,
        replays=replays,
        due_at=None if due_at is None or claimed else from_ms(due_at),
        settled_at=None if settled_at is None else from_ms(settled_at),
        why=why,
        raw=bool(raw),
        healed=bool(healed),
        dismissed_at=None if dismissed_at is None else from_ms(dismissed_at),
        attempts=attempts,
    )


def attempt_of(row: Row) -> AttemptRecord:
    """Return the attempt."""
    number, started_at, took_us, verdict, reason, status, detail = row
    return AttemptRecord(
        number=number,
        started_at=from_ms(started_at),
        took=timedelta(microseconds=took_us),
        verdict=verdict,
        reason=reason,
        status=status,
        detail=detail,
    )


def attempt_or_none(row: Row) -> AttemptRecord | None:
    """Return the attempt of an outer join."""
    return None if row[0] is None else attempt_of(row)


def story_of(row: Row, deliveries: Sequence[DeliveryRecord]) -> StoryEvent:
    """Return the event of a story."""
    _seq, id_, payload, checksum, webhook, source, received_at, healed = row
    corrupt = is_corrupt(payload, checksum, id_.encode())
    return StoryEvent(
        event=EventRecord(id=id_, payload=payload, deliveries=tuple(deliveries), corrupt=corrupt),
        webhook=webhook,
        source=source,
        received_at=from_ms(received_at),
        healed=bool(healed),
    )


def next_state(verdict: Verdict) -> tuple[State, int | None, str]:
    """Return what a settled delivery is from then on: state, due time in milliseconds, the reason of a dead one."""
    match verdict:
        case Delivered():
            return State.DELIVERED, None, ""
        case RetryAt(due_at):
            return State.PENDING, to_ms(due_at), ""
        case Dead(why):
            return State.DEAD, None, why
