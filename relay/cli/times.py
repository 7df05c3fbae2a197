"""Times for people <-> instants: in the zone of this machine, shown beside them. Programs get UTC, see `rfc3339`.

The zone is the C library's: `TZ`, or /etc/localtime; UTC where its data is missing.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import click

from relay.cli.output import is_wide, note
from relay.operations.ages import is_age
from relay.operations.written_times import WANTED, has_zone, instant

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
            self.fail(f"{value!r} is neither {WANTED}", param, ctx)
        if at > now:
            self.fail(f"{value!r} is in the future: it is {local(now, seconds=True)} now", param, ctx)
        if not is_age(value) and not has_zone(value):
            note(f"{param.opts[0] if param else value} {shown}, in the zone of this machine")
        return at


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
