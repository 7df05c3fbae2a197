"""Filters of templates: times, ages, sizes and counts as people read them."""

from datetime import datetime, timedelta

import orjson

from relay.admin.console.figures import decimal
from relay.admin.console.languages import gettext as _
from relay.admin.console.sentences import said
from relay.operations.durations import length
from relay.printable import printable
from relay.rfc3339 import rfc3339

_KEPT = "\n\t\u00a0\u202f"
KIBIBYTE = 1024
MINUTE = 60


def harmless(value: object) -> object:
    """Escape characters that steer, such as ESC or those that turn the direction of writing; markup stays markup."""
    if not isinstance(value, str) or value.isprintable():
        return value
    rest: str = value
    for kept in _KEPT:  # most of what is not printable is a macro's lines: a hundred of them a page
        rest = str.replace(rest, kept, "")
    return value if rest.isprintable() else type(value)(printable(value, keep=_KEPT))


def utc(at: datetime) -> str:
    """`2026-11-30 12:00:00`; a script shows it in the browser's time."""
    return rfc3339(at)[: len("2026-11-30T12:00:00")].replace("T", " ")


def instant(text: str) -> datetime:
    """Read an instant of JSON."""
    return datetime.fromisoformat(text)


def age(at: datetime | None, now: datetime) -> str:
    """How long ago an instant was, in whole units: `14 min`, `4 s`."""
    return "" if at is None else whole(now - at)


def whole(age: timedelta) -> str:
    """An age in whole seconds, or in a larger unit."""
    seconds = max(0, int(age.total_seconds()))
    return said(f"{seconds} s" if seconds < MINUTE else length(timedelta(seconds=seconds)))


def size(count: int) -> str:
    """Bytes: `812 B`, `64.0 KiB`."""
    amount, unit = float(count), _("B")
    for larger in (_("KiB"), _("MiB"), _("GiB"), _("TiB")):
        if amount < KIBIBYTE:
            break
        amount, unit = amount / KIBIBYTE, larger
    return f"{count} {unit}" if count < KIBIBYTE else f"{decimal(f'{amount:.1f}')} {unit}"


def json(value: object) -> str:
    """Indented; instants as RFC 3339."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def count(number: int) -> str:
    """`1 204`: with narrow no-break spaces between thousands."""
    return f"{number:,}".replace(",", "\u202f")


def span(seconds: float) -> str:
    """A length of time in seconds: `2 s`, `1.5 s`, `1 h`."""
    return said(f"{seconds:.3g} s") if 1 <= seconds < MINUTE else said(length(timedelta(seconds=seconds)))
