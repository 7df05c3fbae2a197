"""Times, and lengths of time, in the fields of a form: what people write there -> what the operations read."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any, TypeVar

from relay.admin.console.languages import gettext as _
from relay.admin.console.lengths import LONGEST, shortened
from relay.operations.ages import is_age
from relay.operations.reading import Fault, InvalidParameters
from relay.operations.written_times import instant
from relay.rfc3339 import rfc3339
from relay.routes import units
from relay.routes.diagnostics import Unfit, quoted

NAMES = ("since", "until", "settled_since", "settled_until")
FIELDS = ("since", "until")
"""Those that forms have."""

LENGTHS = ("slower",)
"""Durations, as in the routes file."""

P = TypeVar("P")
Lists = Mapping[str, list[str]]

_DAYS = {"today": "today", "yesterday": "yesterday", "сегодня": "today", "вчера": "yesterday"}
_DAY = re.compile(rf"({'|'.join(_DAYS)})\b", re.IGNORECASE)
_DOTTED = re.compile(
    r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})(?:\.(?P<year>\d{4}|\d\d))?(?:,?\s+(?P<hour>\d{1,2})[.:](?P<rest>\S.*))?",
    re.ASCII,
)
_CLOCK = re.compile(r"(\d{1,2})\.(\d\d)", re.ASCII)
_FULL = re.compile(r"\d{4}-\d\d-\d\dT\S+(Z|[+-]\d\d:\d\d)")


def moment_of(name: str, value: object) -> datetime | None:
    """The instant that a parameter is; None of an age, and of what is no time."""
    if name not in NAMES or not isinstance(value, str) or not _FULL.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def read(query: Lists, now: datetime) -> dict[str, list[str]]:
    """The query with ages and RFC 3339 in its times, and with durations. InvalidParameters for each unreadable one."""
    found, wrong = dict(query), []
    for name in NAMES:
        try:
            found |= {name: [_read(each, now) for each in query[name]]} if name in query else {}
        except (ValueError, OverflowError, OSError):
            wrong.append(Fault(pointer=f"/{name}", detail=_unread(query[name][0])))
    for name in LENGTHS:
        try:
            found |= {name: [_length(each) for each in query[name]]} if name in query else {}
        except Unfit:
            wrong.append(Fault(pointer=f"/{name}", detail=_no_length(query[name][0])))
    if wrong:
        raise InvalidParameters(*wrong)
    return found


def in_zone(query: Lists, now: datetime, zone: tzinfo) -> dict[str, list[str]]:
    """The query with its times as instants in this zone; ages, and what cannot be read, stay as they are."""
    return {**query, **{name: [_in_zone(each, now, zone) for each in query[name]] for name in NAMES if name in query}}


def _in_zone(text: str, now: datetime, zone: tzinfo) -> str:
    try:
        read = _read(text, now, zone)
        return read if is_age(read) or read == text else datetime.fromisoformat(read).astimezone(zone).isoformat()
    except (ValueError, OverflowError, OSError):
        return text


def _read(text: str, now: datetime, zone: tzinfo | None = None) -> str:
    """An age, or RFC 3339."""
    if len(text) > LONGEST:  # it would be looked through several times
        raise ValueError(text)
    written = shortened(_undotted(_DAY.sub(lambda each: _DAYS[each[0].lower()], text)))
    if is_age(written):
        instant(written, now)  # OverflowError if it is too long ago
        return written
    return text if _FULL.fullmatch(text) else rfc3339(instant(written, now, zone))


def _length(text: str) -> str:
    """A duration, as in the routes file."""
    written = shortened(text)
    units.duration(written)
    return written


def _undotted(text: str) -> str:
    """`30.11.2026 23:16` -> `2026-11-30 23:16`, `23.16` -> `23:16`. ValueError for `10.11`, a day and a time."""
    dotted, clock = _DOTTED.fullmatch(text), _CLOCK.fullmatch(text)
    is_clock = clock is not None and int(clock[1]) < 24 and int(clock[2]) < 60
    is_day = dotted is not None and 1 <= int(dotted["day"]) <= 31 and 1 <= int(dotted["month"]) <= 12
    if is_clock and is_day:
        raise ValueError(text)
    if clock and is_clock:
        return f"{clock[1]}:{clock[2]}"
    if not dotted or not is_day:
        return text
    year = f"20{dotted['year']}"[-4:] + "-" if dotted["year"] else ""
    day = f"{year}{dotted['month'].zfill(2)}-{dotted['day'].zfill(2)}"
    return f"{day} {dotted['hour']}:{dotted['rest'].replace('.', ':')}" if dotted["hour"] else day


def _unread(text: str) -> str:
    said = _(
        "{text} cannot be read: write 2h or 3 days for so long ago, 20:40, yesterday, 22.11 10:53 or 2026-11-22T10:53"
    )
    return said.format(text=quoted(text[:80]))


def _no_length(text: str) -> str:
    said = _("{text} is no length of time: write 500ms, 2 s or 5 minutes")
    return said.format(text=quoted(text[:80]))


def tried(read: Callable[[], P]) -> tuple[P | None, dict[str, str]]:
    """The parameters; or None, and by field what is wrong. InvalidParameters if anything but times and lengths is."""
    try:
        return read(), {}
    except InvalidParameters as error:
        wrong = {each.pointer[1:]: each.detail for each in error.faults}
        if wrong.keys() <= {*FIELDS, *LENGTHS}:
            return None, wrong
        raise


def shown(parameters: Any) -> dict[str, datetime]:
    """How the fields were read."""
    return {name: at for name in FIELDS if (at := getattr(parameters, name, None))}
