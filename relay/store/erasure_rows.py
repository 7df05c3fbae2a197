"""Rows as every kind of store selects them -> what erasure reads. The order of the columns is that here."""

from collections.abc import Sequence
from typing import Any

from relay.model.erasure import Ref, Tombstone
from relay.store.erasure_records import StoredEvent, StoredWebhook
from relay.store.times import from_ms

Row = Sequence[Any]


def tombstone_of(row: Row) -> Tombstone:
    """Return the tombstone."""
    entity, id_, source, at, act = row
    return Tombstone(Ref(entity, id_), source, from_ms(at), act)


def webhook_of(row: Row, events: Sequence[Row]) -> StoredWebhook:
    """Return the webhook; what a disk has changed into no bytes is empty."""
    seq, id_, source, at, content_type, body, query, unparsed = row
    return StoredWebhook(
        seq=seq,
        id=id_,
        source=source,
        received_at=from_ms(at),
        content_type=content_type,
        body=_bytes(body),
        query=query,
        unparsed=unparsed,
        events=tuple(map(_event_of, events)),
    )


def _event_of(row: Row) -> StoredEvent:
    seq, id_, payload, raw, erased, enriched = row
    beside = None if enriched is None else _bytes(enriched)
    return StoredEvent(seq=seq, id=id_, payload=_bytes(payload), raw=bool(raw), erased=bool(erased), enriched=beside)


def _bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, (bytes, memoryview)) else b""
