"""Times for people <-> instants: in the zone of this machine, shown beside them. Programs get UTC, see `rfc3339`.

The zone is the C library's: `TZ`, or /etc/localtime; UTC where its data is missing.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from relay.cli.output import is_wide, note
from relay.operations.ages import age, is_age

_CLOCK = r"(?P<hour>\d{1,2})(?P<rest>:\d\d(?::\d\d(?:\.\d{1,6})?)?)"
_ZONE = r"\s*(?P<zone>Z|UTC|[+-]\d\d(?::?\d\d)?)"
_WRITTEN = re.compile(
    rf"(?:(?P<day>today|yesterday|(?P<year>\d{{4}}-)?\d\d-\d\d)(?:[T\s](?=\d)|\s(?=[ZU+-])|$))?(?:{_CLOCK})?(?:{_ZONE})?",
    re.ASCII,
)
_YEARS_BACK = 5  # one of them has a 29 February
_WANTED = "a time like 2026-11-22T10:53, 10:00 or yesterday nor an age like 2h, 1h30m or 3d"


# ---- in


class Instant(click.ParamType[datetime]):
    """The value of a flag: a time in the past. How a time without a zone was read goes to standard error."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Aware UTC."""
        if isinstance(value, datetime):
            return value
        now = datetime.now(UTC)
        try:
            at = instant(value, now)
            shown = local(at)  # fails before the year 1 of the local zone
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r} is neither {_WANTED}", param, ctx)
        if at > now:
            self.fail(f"{value!r} is in the future: it is {local(now, seconds=True)} now", param, ctx)
        if not is_age(value) and not _has_zone(value):
            note(f"{param.opts[0] if param else value} {shown}, in the zone of this machine")
        return at


def instant(text: str, now: datetime) -> datetime:
    """`2026-11-22T10:53:00Z`, `2026-11-22`, `11-22 10:53`, `10:53`, `yesterday`, `1h30m` -> aware UTC.

    Without a zone it is local, without a year the last such day. ValueError or OverflowError for anything else.
    """
    if is_age(text):
        return now - age(text)
    written = _WRITTEN.fullmatch(text)
    if written is None or not (written["day"] or written["hour"]):
        return datetime.fromisoformat(text).astimezone(UTC)
    clock = f"{written['hour'].zfill(2)}{written['rest']}" if written["hour"] else "00:00"
    zone = {None: "", "UTC": "Z"}.get(written["zone"], written["zone"])
    today = now.astimezone().date()
    match written["day"]:
        case None | "today":
            days = [today.isoformat()]
        case "yesterday":
            days = [(today - timedelta(days=1)).isoformat()]
        case day if written["year"]:
            days = [day]
        case day:
            days = [f"{today.year - back}-{day}" for back in range(_YEARS_BACK)]
    possible = [datetime.fromisoformat(f"{day}T{clock}{zone}").astimezone(UTC) for day in days if _is_date(day)]
    return next((at for at in possible if at <= now), possible[0] if possible else datetime.fromisoformat(text))


def _has_zone(text: str) -> bool:
    written = _WRITTEN.fullmatch(text)
    return bool(written["zone"]) if written else datetime.fromisoformat(text).tzinfo is not None


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def check_span(since: datetime | None, until: datetime | None, nothing: str, what: str = "") -> None:
    """Misuse if nothing can lie between `--since` and `--until`, or `--settled-since` … with `what` "settled-"."""
    if since is not None and until is not None and until <= since:
        between = f"--{what}since {local(since)} and --{what}until {local(until)}"
        raise click.UsageError(f"{nothing} between {between}")


# ---- out


def local(at: datetime, *, seconds: bool = False) -> str:
    """`2026-11-22T13:53:00.123+03:00`; at UTC, `2026-11-22T10:53:00.123Z`."""
    return at.astimezone().isoformat(timespec="seconds" if seconds else "milliseconds").replace("+00:00", "Z")


def short(at: datetime) -> str:
    """`11-22 13:53:00+03`."""
    return f"{at.astimezone():%m-%d %H:%M:%S}{_suffix(at)}"


def zone(at: datetime) -> str:
    """`+03`, `+05:30`, `UTC`."""
    offset = _suffix(at)
    return "UTC" if offset == "Z" else offset


def _suffix(at: datetime) -> str:
    offset = at.astimezone().isoformat(timespec="seconds")[19:]
    return "Z" if offset == "+00:00" else offset.removesuffix(":00")


class Times:
    """One column: the zone is in its heading or, if zones differ or an hour repeats, in each cell."""

    def __init__(self, shown: Iterable[datetime]) -> None:
        instants = [*shown] or [datetime.now(UTC)]
        zones = {zone(at) for at in instants}
        self._apart = len(zones) > 1 or any(_is_second(at) for at in instants)
        self._zone = zones.pop()

    def heading(self, name: str) -> str:
        """`ARRIVED +03`."""
        return name if self._apart else f"{name} {self._zone}"

    def cell(self, at: datetime) -> str:
        """`2026-11-22T13:53:00.123` or, where it is narrow, `11-22 13:53:00`; `Instant` reads both."""
        there = at.astimezone()
        text = f"{there:%Y-%m-%dT%H:%M:%S}.{there.microsecond // 1000:03}" if is_wide() else f"{there:%m-%d %H:%M:%S}"
        return text + (_suffix(at) if self._apart else "")


def _is_second(at: datetime) -> bool:
    """True in the hour that local time repeats when summer time ends."""
    return at.astimezone().replace(tzinfo=None).astimezone() != at
