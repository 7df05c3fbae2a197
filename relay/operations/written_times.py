"""Times as people write them -> instants; without a zone they are of the given one, else of this machine's."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from relay.operations.ages import age, is_age

_CLOCK = r"(?P<hour>\d{1,2})(?P<rest>:\d\d(?::\d\d(?:\.\d{1,6})?)?)"
_ZONE = r"\s*(?P<zone>Z|UTC|[+-]\d\d(?::?\d\d)?)"
_WRITTEN = re.compile(
    rf"(?:(?P<day>today|yesterday|(?P<year>\d{{4}}-)?\d\d-\d\d)(?:[T\s](?=\d)|\s(?=[ZU+-])|$))?(?:{_CLOCK})?(?:{_ZONE})?",
    re.ASCII,
)
_YEARS_BACK = 5  # one of them has a 29 February
WANTED = "a time like 2026-11-22T10:53, 10:00 or yesterday nor an age like 2h, 1h30m or 3d"


def instant(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """`2026-11-22T10:53:00Z`, `2026-11-22`, `11-22 10:53`, `10:53`, `yesterday`, `1h30m` -> aware UTC.

    Without a zone it is of `zone`, or local; without a year the last such day. ValueError or OverflowError for
    anything else.
    """
    if is_age(text):
        return now - age(text)
    written = _WRITTEN.fullmatch(text)
    if written is None or not (written["day"] or written["hour"]):
        return _in_utc(text, zone)
    clock = f"{written['hour'].zfill(2)}{written['rest']}" if written["hour"] else "00:00"
    said = {None: "", "UTC": "Z"}.get(written["zone"], written["zone"])
    today = now.astimezone(zone).date()
    match written["day"]:
        case None | "today":
            days = [str(today)]
        case "yesterday":
            days = [str(today - timedelta(days=1))]
        case day if written["year"]:
            days = [day]
        case day:
            days = [f"{today.year - back}-{day}" for back in range(_YEARS_BACK)]
    possible = [_in_utc(f"{day}T{clock}{said}", zone) for day in days if _is_date(day)]
    return next((at for at in possible if at <= now), possible[0] if possible else datetime.fromisoformat(text))


def _in_utc(text: str, zone: tzinfo | None) -> datetime:
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


def has_zone(text: str) -> bool:
    """Whether a time that `instant` reads says its zone."""
    written = _WRITTEN.fullmatch(text)
    return bool(written["zone"]) if written else datetime.fromisoformat(text).tzinfo is not None


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
