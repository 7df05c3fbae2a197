"""Times in the fields of a form: what people write there -> what the operations read."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from relay.admin.console.languages import gettext as _
from relay.operations.ages import is_age
from relay.operations.reading import Fault, InvalidParameters
from relay.operations.written_times import instant
from relay.rfc3339 import rfc3339
from relay.routes.diagnostics import quoted

NAMES = ("since", "until", "settled_since", "settled_until")
FIELDS = ("since", "until")
"""Those that forms have."""

P = TypeVar("P")
Lists = Mapping[str, list[str]]

_DAYS = {"today": "today", "yesterday": "yesterday", "сегодня": "today", "вчера": "yesterday"}
_UNITS = {"мс": "ms", "с": "s", "мин": "m", "м": "m", "ч": "h", "д": "d", "н": "w"}
_RUSSIAN = re.compile(rf"({'|'.join(_DAYS)})\b|(?<=\d)\s?({'|'.join(_UNITS)})(?=\d|$)", re.IGNORECASE)
_FULL = re.compile(r"\d{4}-\d\d-\d\dT\S+(Z|[+-]\d\d:\d\d)")


def read(query: Lists, now: datetime) -> dict[str, list[str]]:
    """The query with ages and RFC 3339 in its times. InvalidParameters for each that cannot be read."""
    found, wrong = dict(query), []
    for name in NAMES:
        try:
            found |= {name: [_read(each, now) for each in query[name]]} if name in query else {}
        except (ValueError, OverflowError, OSError):
            wrong.append(Fault(pointer=f"/{name}", detail=_unread(query[name][0])))
    if wrong:
        raise InvalidParameters(*wrong)
    return found


def _read(text: str, now: datetime) -> str:
    written = _RUSSIAN.sub(lambda each: (_DAYS | _UNITS)[each[0].strip().lower()], text)
    if is_age(written):
        instant(written, now)  # OverflowError if it is too long ago
        return written
    return text if _FULL.fullmatch(text) else rfc3339(instant(written, now))


def _unread(text: str) -> str:
    said = _("{text} cannot be read: write 2h or 3d for so long ago, 20:40, yesterday, or 2026-11-22T10:53")
    return said.format(text=quoted(text[:80]))


def tried(read: Callable[[], P]) -> tuple[P | None, dict[str, str]]:
    """The parameters; or None, and by field what is wrong. InvalidParameters if anything but times is."""
    try:
        return read(), {}
    except InvalidParameters as error:
        wrong = {each.pointer[1:]: each.detail for each in error.faults}
        if wrong.keys() <= {*FIELDS}:
            return None, wrong
        raise


def shown(parameters: Any) -> dict[str, datetime]:
    """How the fields were read."""
    return {name: at for name in FIELDS if (at := getattr(parameters, name, None))}
