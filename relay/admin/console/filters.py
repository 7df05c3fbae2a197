"""Filters of templates: times, ages, sizes and counts as people read them."""

from datetime import UTC, datetime, timedelta

from relay.admin.console.languages import gettext as _
from relay.operations.durations import length

KIBIBYTE = 1024


def utc(at: datetime) -> str:
    """`2026-11-30 12:00:00`; a script shows it in the browser's time."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def instant(text: str) -> datetime:
    """Read an instant of JSON."""
    return datetime.fromisoformat(text)


def age(at: datetime | None, now: datetime) -> str:
    """How long ago an instant was: `14 min`."""
    return "" if at is None else length(max(now - at, timedelta()))


def size(count: int) -> str:
    """Bytes: `812 B`, `64.0 KiB`."""
    amount, unit = float(count), _("B")
    for larger in (_("KiB"), _("MiB"), _("GiB"), _("TiB")):
        if amount < KIBIBYTE:
            break
        amount, unit = amount / KIBIBYTE, larger
    return f"{count} {unit}" if count < KIBIBYTE else f"{amount:.1f} {unit}"


def count(number: int) -> str:
    """`1 204`: with narrow no-break spaces between thousands."""
    return f"{number:,}".replace(",", "\u202f")
