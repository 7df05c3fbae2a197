"""What a browser prefers, in cookies of a year: the theme, and whether keys work."""

from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web

THEMES = ("system", "light", "dark")
KEYS = ("on", "off")
YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """`theme`: system is what the machine has. `keys`: whether single keys do something."""

    theme: str = THEMES[0]
    keys: str = KEYS[0]


def preferences(request: web.Request) -> Preferences:
    """Those of a browser; a cookie may say anything."""
    theme, keys = request.cookies.get("theme"), request.cookies.get("keys")
    return Preferences(
        theme=theme if theme in THEMES else THEMES[0],
        keys=keys if keys in KEYS else KEYS[0],
    )


def keep(response: web.StreamResponse, name: str, value: str) -> None:
    """Keep one of them for a year."""
    response.set_cookie(name, value, max_age=int(YEAR.total_seconds()), path="/", httponly=True, samesite="Lax")
