"""Rows of the table `refused` <-> records, for every kind of store."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from relay.store import cursors
from relay.store.question_records import RefusedMinute, RefusedTotal
from relay.store.times import LAST, from_ms, to_ms

KEPT = timedelta(days=30)


def read(row: Sequence[Any]) -> RefusedMinute:
    """Return the record of a row: minute, source, reason, count, last_at, detail, remote, address."""
    minute, source, reason, count, last_at, detail, remote, address = row
    return RefusedMinute(
        minute=from_ms(minute),
        source=source,
        reason=reason,
        count=count,
        last_at=from_ms(last_at),
        detail=detail,
        remote=remote,
        address=address,
    )


def write(each: RefusedMinute) -> tuple[Any, ...]:
    """Return the row of a record."""
    return (
        to_ms(each.minute),
        each.source,
        each.reason,
        each.count,
        to_ms(each.last_at),
        each.detail,
        each.remote,
        each.address,
    )


def oldest(refused: Sequence[RefusedMinute]) -> int:
    """Return the first minute that is kept once these are recorded."""
    return to_ms(max(each.minute for each in refused) - KEPT)


def values(
    source: str | None,
    reason: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    before: str | None,
) -> dict[str, Any]:
    """Return the values of the statement that lists them; a minute is listed if it began between the times."""
    last = LAST if until is None else to_ms(until) - 1
    minute, after_source, after_reason = cursors.key("refused", before, int, str, str) if before else (last, "", "")
    return {
        "source": source,
        "reason": reason,
        "least": 0 if since is None else first_minute(since),
        "minute": minute,
        "after_source": after_source,
        "after_reason": after_reason,
        "limit": limit + 1,
    }


def total(row: Sequence[Any]) -> RefusedTotal:
    """Return the total of a row: source, reason, count, last_at."""
    source, reason, count, last_at = row
    return RefusedTotal(source=source, reason=reason, count=count, last_at=from_ms(last_at))


def first_minute(since: datetime) -> int:
    """Return the first minute of what was refused since then."""
    return to_ms(since.replace(second=0, microsecond=0))
