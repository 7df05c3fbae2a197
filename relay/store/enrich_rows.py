"""Enrichments <-> rows. The order of the columns is that of the assignments here."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, TypeAlias

import orjson

from relay.model.enrich import Enrichment, HeldEvent
from relay.model.erasure import ERASED
from relay.store.checksum import checksum, is_corrupt
from relay.store.enrich_contract import CORRUPT
from relay.store.erasure_records import ErasedEvent
from relay.store.times import from_ms, to_ms

Row: TypeAlias = tuple[Any, ...]

COLUMNS = "event, at, value, reason, checksum"
OF_EVENTS = (
    "select e.id, n.event, n.at, n.value, n.reason, n.checksum from events e join enrichments n on n.event = e.seq"
)
"""SQL: rows of `beside`."""


def row_of(found: Enrichment) -> Row:
    """Return the columns of `COLUMNS`."""
    value = None if found.value is None else orjson.dumps(found.value)
    return found.row, to_ms(found.at), value, found.reason, checksum(value or b"", _key(found.row))


def erased_row(event: ErasedEvent) -> Row:
    """Return value, reason, checksum and the event: what is left of what was fetched beside it."""
    value = None if event.enriched is None else orjson.dumps(event.enriched)
    return value, "" if value else ERASED, checksum(value or b"", _key(event.seq)), event.seq


def read(rows: Iterable[Row]) -> dict[int, Enrichment]:
    """Return them by row of their event."""
    return {row[0]: _enrichment(*row) for row in rows}


def beside(rows: Iterable[Row]) -> dict[str, Enrichment]:
    """Return them by the id of their event, which is the first column."""
    return {row[0]: _enrichment(*row[1:]) for row in rows}


def held(rows: Sequence[Row]) -> list[HeldEvent]:
    """Return the events; rows of one follow each other: event, id, source, payload, checksum, target, held."""
    events = []
    for event, group in groupby(rows, key=lambda row: row[0]):
        each = [*group]
        _event, id_, source, payload, kept, _target, _until = each[0]
        sound = isinstance(id_, str) and not is_corrupt(payload, kept, id_.encode())
        events.append(
            HeldEvent(
                row=event,
                source=source,
                payload=payload if sound else b"",
                targets=tuple(str(row[5]) for row in each),
                until=from_ms(min(row[6] for row in each)),
            )
        )
    return events


def _enrichment(event: int, at: int, value: bytes | None, reason: str, kept: bytes | None) -> Enrichment:
    if is_corrupt(value or b"", kept, _key(event)):
        return Enrichment(row=event, at=from_ms(at), reason=CORRUPT)
    return Enrichment(row=event, at=from_ms(at), value=None if value is None else orjson.loads(value), reason=reason)


def _key(event: int) -> bytes:
    return b"%d:" % event
