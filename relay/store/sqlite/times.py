"""Aware UTC datetimes <-> whole milliseconds since 1970, as the database stores them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
LAST = 253_402_300_799_999  # of the year 9999; whatever is no number is above it


utc_now: Callable[[], datetime] = partial(datetime.now, UTC)  # no function: each event reads it six times
"""Read the machine's wall clock."""


def to_ms(at: datetime) -> int:
    """Convert exactly, rounded down; `timestamp()` would go through a float."""
    return (at - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """Return the instant, aware UTC; the last possible one for a corrupt time."""
    return _EPOCH + min(max(ms, 0), LAST) * _MILLISECOND
