"""The named filters of a template: what each takes, and what it makes of a value.

Only `default`, `join` and `tojson` see a value that is missing; the others leave it missing. Jinja2's own are not used:
they take any object and call its methods. Babel and phonenumbers would each bring 10 MB of tables for one filter.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from urllib.parse import quote
from zoneinfo import ZoneInfo, available_timezones

from relay.model import Json
from relay.routes.diagnostics import Unfit, quoted, suggestion
from relay.routes.template.values import as_json, encodable, number, text
from relay.routes.template.work import CALL, STEP, Work

LONGEST_ARGUMENT = 100
NO_BREAK_SPACE = "\u00a0"
REQUIRED = object()
"""Default of an argument that has none."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument of a filter. With `check`, which raises Unfit, it is written out; without, it is an expression."""

    name: str
    default: Json
    check: Callable[[Json], object] | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter; `call` takes the value, the work of this rendering, and the arguments."""

    call: Callable[..., Json]
    parameters: tuple[Parameter, ...] = ()


# ---- arguments, checked when the routes are loaded


def _short_text(value: Json) -> None:
    if not isinstance(value, str) or len(value) > LONGEST_ARGUMENT:
        raise Unfit(f"must be a text of at most {LONGEST_ARGUMENT} characters")


def _path(value: Json) -> None:
    _short_text(value)
    if any(not part or part.startswith("_") for part in value.split(".")):
        raise Unfit("must be the name of a field: none that begins with an underscore can be read")


def _length(value: Json) -> None:
    if type(value) is not int or not 1 <= value <= 1_000_000:
        raise Unfit("must be a number of characters, from 1 to 1000000")


def _country(value: Json) -> None:
    if not isinstance(value, str) or not re.fullmatch("[1-9][0-9]{0,2}", value):
        raise Unfit('must be a calling code, such as "7"')


_DATE_FORMAT = re.compile(r"(?:[^%\x00-\x1f\ud800-\udfff]|%[aAbBdHIjmMpSyYzZ%])*")


def _date_format(value: Json) -> None:
    _short_text(value)
    if not _DATE_FORMAT.fullmatch(value):
        raise Unfit("must be made of %d %m %Y %H %M %S %y %j %I %p %a %A %b %B %z %Z %%, and text between them")


def _time_zone(value: Json) -> None:
    _short_text(value)
    try:
        _zone(value)
    except (ValueError, OSError, LookupError):
        known = available_timezones()
        advice = suggestion(value, _alike(value, known)) if known else "(this machine knows none: install tzdata)"
        raise Unfit(f"no time zone {quoted(value)} {advice}") from None


def _alike(name: str, known: set[str]) -> list[str]:
    """Those that begin as this one: `suggestion` compares few names."""
    return sorted(zone for zone in known if zone[:3].lower() == name[:3].lower()) or ["UTC", "Europe/Moscow"]


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


# ---- what they do


def default(value: Json, _work: Work, fallback: Json) -> Json:
    """The value, or the other one if it is missing, null or an empty text."""
    return fallback if value is None or value == "" else value


def join(value: Json, work: Work, separator: str, field: str | None) -> str:
    """The texts of a list, or of a field of its items, without those that are missing."""
    every = value if isinstance(value, list) else [value]
    work.spend(STEP * len(every))
    found = (each if field is None else _field_of(each, field) for each in every)
    texts = [text(each) for each in found if each is not None]
    work.join(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def _field_of(item: Json, path: str) -> Json:
    for name in path.split("."):
        item = item.get(name) if isinstance(item, dict) else None
    return item


def tojson(value: Json, work: Work) -> str:
    """The value as JSON."""
    written = as_json(value)
    work.spend(len(written))
    return written


def _of_text(change: Callable[..., str]) -> Callable[..., Json]:
    """A filter that reads the text of a value; its result may be so many times as long as a character can become."""

    def filtered(value: Json, work: Work, *arguments: Json) -> Json:
        if value is None:
            return None
        given = text(value)
        work.spend(CALL + len(given))
        made = change(given, *arguments)
        work.spend(len(made))
        return made

    return filtered


def date(given: str, zone: str, form: str) -> str:
    """A Unix time or an RFC 3339 text as a local time; without a zone it is one of `zone`. Others stay as they are."""
    try:
        return next(_instants(given, _zone(zone))).astimezone(_zone(zone)).strftime(form)
    except (StopIteration, ValueError, OverflowError, OSError):
        return given


def _instants(given: str, zone: tzinfo) -> Iterator[datetime]:
    if re.fullmatch(r"-?[0-9]{1,12}", given):
        yield datetime.fromtimestamp(int(given), UTC)
    elif 8 <= len(given) <= 40:
        at = datetime.fromisoformat(given)
        yield at if at.tzinfo else at.replace(tzinfo=zone)


def money(given: str, sign: str, thousands: str, point: str) -> str:
    """`1234567.5` -> `1 234 567,50`, followed by `sign`; whole amounts without decimals; no number stays as it is."""
    amount = number(given)
    if amount is None:
        return given
    plain = f"{amount:,.0f}" if amount == int(amount) else f"{amount:,.2f}"
    written = thousands.join(plain.partition(".")[0].split(","))
    cents = plain.partition(".")[2]
    return f"{written}{point + cents if cents else ''}{NO_BREAK_SPACE + sign if sign else ''}"


_PHONE = re.compile(r"\+?[0-9()\s.\-\u2010-\u2015]+")


def phone(given: str, country: str) -> str:
    """`8 (912) 345-67-89` -> `+79123456789` (E.164); what is no phone number stays as it is."""
    trimmed = given.strip()[:LONGEST_ARGUMENT]
    digits = "".join(re.findall("[0-9]", trimmed))
    if not _PHONE.fullmatch(trimmed) or len(trimmed) == LONGEST_ARGUMENT:
        return given
    if trimmed.startswith("+"):
        whole = digits
    elif digits.startswith("00"):
        whole = digits[2:]
    else:
        whole = _international(digits, country)
    return f"+{whole}" if 8 <= len(whole) <= 15 else given


def _international(digits: str, country: str) -> str:
    """With the calling code, for the trunk prefix if there is one: 8 in Russia and Kazakhstan, 0 in most others."""
    if country == "7":
        return f"7{digits[-10:]}" if len(digits) == 10 or (len(digits) == 11 and digits[0] in "78") else ""
    if digits.startswith("0"):
        return country + digits[1:]
    return digits if digits.startswith(country) else country + digits


def urlencode(given: str) -> str:
    """All but letters, digits and `-._~` percent-encoded."""
    return quote(encodable(given), safe="")


_MARKUP = str.maketrans({each: f"\\{each}" for each in "_*[]()~`>#+-=|{}.!\\<&"})


def markdown_escape(given: str) -> str:
    """A backslash before all that Telegram's MarkdownV2 or CommonMark could read as markup."""
    return given.translate(_MARKUP)


def html_escape(given: str) -> str:
    """`&`, `<`, `>` and quotes as entities, for HTML and for Telegram's parse mode of that name."""
    return html.escape(given)


def truncate(given: str, length: int) -> str:
    """At most so many characters, the last of which is `…` if any are cut off."""
    return given if len(given) <= length else f"{given[: length - 1].rstrip()}…"


FILTERS: Mapping[str, Filter] = {
    "default": Filter(default, (Parameter("fallback", REQUIRED),)),
    "join": Filter(join, (Parameter("separator", ", ", _short_text), Parameter("field", None, _path))),
    "date": Filter(
        _of_text(date),
        (Parameter("tz", "UTC", _time_zone), Parameter("format", "%d.%m.%Y %H:%M", _date_format)),
    ),
    "money": Filter(
        _of_text(money),
        (
            Parameter("sign", "", _short_text),
            Parameter("thousands", NO_BREAK_SPACE, _short_text),
            Parameter("point", ",", _short_text),
        ),
    ),
    "phone": Filter(_of_text(phone), (Parameter("country", "7", _country),)),
    "tojson": Filter(tojson),
    "urlencode": Filter(_of_text(urlencode)),
    "markdown_escape": Filter(_of_text(markdown_escape)),
    "html_escape": Filter(_of_text(html_escape)),
    "truncate": Filter(_of_text(truncate), (Parameter("length", REQUIRED, _length),)),
}
