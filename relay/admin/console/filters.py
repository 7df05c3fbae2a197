"""Filters of templates: times, ages, sizes and counts as people read them."""

from datetime import UTC, datetime, timedelta

import orjson

from relay.admin.console.languages import gettext as _
from relay.admin.console.sentences import said
from relay.operations.durations import length
from relay.printable import printable

KIBIBYTE = 1024


def harmless(value: object) -> object:
    """Escape characters that steer, such as ESC or those that turn the direction of writing."""
    return printable(value, keep="\n\t\u00a0\u202f") if type(value) is str else value


def utc(at: datetime) -> str:
    """`2026-11-30 12:00:00`; a script shows it in the browser's time."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def instant(text: str) -> datetime:
    """Read an instant of JSON."""
    return datetime.fromisoformat(text)


def age(at: datetime | None, now: datetime) -> str:
    """How long ago an instant was: `14 min`."""
    return "" if at is None else said(length(max(now - at, timedelta())))


def size(count: int) -> str:
    """Bytes: `812 B`, `64.0 KiB`."""
    amount, unit = float(count), _("B")
    for larger in (_("KiB"), _("MiB"), _("GiB"), _("TiB")):
        if amount < KIBIBYTE:
            break
        amount, unit = amount / KIBIBYTE, larger
    return f"{count} {unit}" if count < KIBIBYTE else f"{amount:.1f} {unit}"


def json(value: object) -> str:
    """Indented; instants as RFC 3339."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def count(number: int) -> str:
    """`1 204`: with narrow no-break spaces between thousands."""
    return f"{number:,}".replace(",", "\u202f")


def span(seconds: float) -> str:
    """A length of time in seconds: `2.0 s`, `1 h`."""
    return said(length(timedelta(seconds=seconds)))
