"""Aware UTC datetimes <-> whole milliseconds since 1970, as the database stores them; lengths -> microseconds."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
LAST = 253_402_300_799_999  # of the year 9999; whatever is no number is above it


def utc_now() -> datetime:
    """Read the machine's wall clock."""
    return datetime.now(UTC)


def to_ms(at: datetime) -> int:
    """Convert exactly, rounded down; `timestamp()` would go through a float."""
    return (at - _EPOCH) // MILLISECOND


def span(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Return the first millisecond, and the one after the last; without an end the whole of time."""
    return 0 if since is None else to_ms(since), LAST + 1 if until is None else to_ms(until)


def microseconds(length: timedelta | None) -> int | None:
    """How long an attempt took, as it is stored; None stays None."""
    return None if length is None else length // timedelta(microseconds=1)


def from_ms(ms: int) -> datetime:
    """Return the instant, aware UTC; the last possible one for a corrupt time."""
    return _EPOCH + min(max(ms, 0), LAST) * MILLISECOND
