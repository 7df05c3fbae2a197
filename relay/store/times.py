"""Aware UTC datetimes <-> whole milliseconds since 1970, which is what the database keeps."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(at: datetime) -> int:
    """Exact, rounded down; `timestamp()` would go through a float."""
    return (at - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """The instant, aware UTC."""
    return _EPOCH + ms * _MILLISECOND
