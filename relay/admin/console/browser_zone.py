"""The zone of a browser, which a script sends with a form that has times -> an address that has instants.

So it says the same to whomever it is sent. Without scripts times without a zone are of the relay's machine.
"""

import re
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from aiohttp import web

from relay.admin.console import moments
from relay.operations.reading import Fault, InvalidParameters

FIELD = "zone"
"""`+03:00 Europe/Moscow`: the offset of now, for machines that do not know the name."""
_ZONE = re.compile(r"(?P<offset>[+-](?:[01]\d|2[0-3]):[0-5]\d) (?P<name>[\w+/-]{1,64})", re.ASCII)


def instants(request: web.Request, now: datetime) -> dict[str, list[str]] | None:
    """What the address is to have instead, without fields left empty; None if no zone was sent."""
    if not request.query.get(FIELD):
        return None
    found = {name: request.query.getall(name) for name in request.query}
    return sent({name: [text for each in texts if (text := each.strip())] for name, texts in found.items()}, now)


def sent(form: moments.Lists, now: datetime) -> dict[str, list[str]]:
    """The fields of a form but for its zone, if it has one: its times without a zone are instants in that."""
    rest = {name: texts for name, texts in form.items() if name != FIELD}
    return moments.in_zone(rest, now, _zone(form[FIELD][0])) if form.get(FIELD) else rest


def _zone(text: str) -> tzinfo:
    found = _ZONE.fullmatch(text)
    if not found:
        raise InvalidParameters(Fault(pointer=f"/{FIELD}", detail="must be like +03:00 Europe/Moscow"))
    try:
        return ZoneInfo(found["name"])
    except (ValueError, KeyError, OSError):
        return timezone(datetime.strptime(found["offset"], "%z").utcoffset() or timedelta())
