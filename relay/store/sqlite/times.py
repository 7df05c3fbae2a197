"""Aware UTC datetimes <-> whole milliseconds since 1970, which is what the database keeps."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
LAST = 253_402_300_799_999  # of the year 9999; whatever is no number is above it


def utc_now() -> datetime:
    """Read the machine's wall clock."""
    return datetime.now(UTC)


def to_ms(at: datetime) -> int:
    """Exact, rounded down; `timestamp()` would go through a float."""
    return (at - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """The instant, aware UTC; the last one there is for what a disk may have made of a time."""
    return _EPOCH + min(max(ms, 0), LAST) * _MILLISECOND
