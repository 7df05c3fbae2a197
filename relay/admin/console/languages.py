"""The language of a page: the choice in a cookie, else what the browser prefers; texts by gettext.

`_` and `ngettext` speak the language of the request that is being answered.
"""

from contextvars import ContextVar
from functools import lru_cache
from gettext import NullTranslations, translation
from pathlib import Path

from aiohttp import hdrs, web

LOCALES = Path(__file__).parent / "locales"
DOMAIN = "console"
ENGLISH = "en"
COOKIE = "language"

_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


@lru_cache(maxsize=1)
def languages() -> tuple[str, ...]:
    """English, and those that have a catalog."""
    return ENGLISH, *sorted(each.parent.parent.name for each in LOCALES.glob(f"*/LC_MESSAGES/{DOMAIN}.mo"))


def choose(request: web.Request) -> str:
    """The language of a request; English if it asks for none that there is."""
    known = languages()
    wanted = [request.cookies.get(COOKIE, ""), *_preferred(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))]
    return next((each for each in wanted if each in known), ENGLISH)


def _preferred(header: str) -> list[str]:
    """`ru-RU,ru;q=0.9,en;q=0.8` -> ru, ru, en: by weight (RFC 9110, 12.5.4)."""
    weighed: list[tuple[float, str]] = []
    for each in header.split(",")[:20]:
        tag, _, rest = each.strip().partition(";")
        if (weight := _weight(rest)) > 0:
            weighed.append((-weight, tag.partition("-")[0].lower()))
    return [language for _, language in sorted(weighed, key=lambda pair: pair[0])]


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


def speak(language: str) -> None:
    """Have texts from now on in this language, in this task."""
    _language.set(language)


def language() -> str:
    """The language that is spoken."""
    return _language.get()


def gettext(text: str) -> str:
    """The text in the language of the request."""
    return _catalog(language()).gettext(text)


_ = gettext


def pgettext(context: str, text: str) -> str:
    """The text where it means what `context` says: `open` of a circuit, `open` of a page."""
    return _catalog(language()).pgettext(context, text)


def ngettext(one: str, many: str, count: int) -> str:
    """One of the texts by the plural that a count asks for: Russian has three."""
    return _catalog(language()).ngettext(one, many, count)


@lru_cache(maxsize=8)
def _catalog(name: str) -> NullTranslations:
    return NullTranslations() if name == ENGLISH else translation(DOMAIN, LOCALES, [name])
