"""Rows of the table guards <-> GuardRecord, alike in every store."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import orjson

from relay.model.subscription import GuardRecord, SubscriptionState, SwitchedOff
from relay.store.rows import Row
from relay.store.times import from_ms, to_ms

COLUMNS = "source, state, since, checked_at, detail, seen_on_at, disabled_at, spent_at, recreating, off, resumed_at"
_TIMES = ("since", "checked_at", "seen_on_at", "disabled_at", "spent_at", "resumed_at")


def read(found: Iterable[Row]) -> dict[str, GuardRecord]:
    """Return the records of rows of `COLUMNS`, by source."""
    return {each.source: each for each in map(_record, found)}


def _record(row: Row) -> GuardRecord:
    values = dict(zip(COLUMNS.split(", "), row, strict=True))
    times = {name: _time(values[name]) for name in _TIMES}
    return GuardRecord(
        source=values["source"],
        state=SubscriptionState(values["state"]) if values["state"] else None,
        detail=values["detail"],
        recreating=tuple(orjson.loads(values["recreating"])),
        off=bool(values["off"]),
        **times,
    )


def write(record: GuardRecord) -> dict[str, object]:
    """Return the values that a guard writes, by column."""
    times = {name: _ms(getattr(record, name)) for name in _TIMES if name != "resumed_at"}
    settings = orjson.dumps(list(record.recreating)).decode()
    state = record.state and record.state.value
    return {"source": record.source, "state": state, "detail": record.detail, "recreating": settings, **times}


def spans(found: Iterable[Row]) -> list[SwitchedOff]:
    """Return the spans of rows of since, until and ours."""
    return [SwitchedOff(from_ms(since), _time(until), bool(ours)) for since, until, ours in found]


def span(source: str, off: SwitchedOff) -> dict[str, object]:
    """Return the values of a row of switched_off."""
    return {"source": source, "since": to_ms(off.since), "until": _ms(off.until), "ours": off.ours}


def minutes(counts: Mapping[datetime, int]) -> list[tuple[int, int]]:
    """Return the begin of each minute, and its number."""
    return [(to_ms(minute), number) for minute, number in counts.items()]


def _time(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)
