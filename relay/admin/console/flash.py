"""A sentence for the next page: what a form did, or why it did not. It is kept in a cookie until it was shown."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote

from aiohttp import web

COOKIE = "flash"
MAX_BYTES = 900
"""Of a text in UTF-8; each may take three in the cookie. Proxies take answers whose headers are below 4 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flash:
    """What is said, and whether it went well; a `note` is neither good nor bad.

    It may have been forged by another site of this host: it is text.
    """

    kind: Literal["done", "note", "failed"]
    text: str


def put(response: web.StreamResponse, said: Flash) -> None:
    """Say it on the next page."""
    start = said.text.encode(errors="replace")[:MAX_BYTES].decode(errors="ignore")
    value = f"{said.kind}:{quote(start)}"
    response.set_cookie(COOKIE, value, max_age=60, path="/", httponly=True, samesite="Lax")


def take(request: web.Request) -> Flash | None:
    """What is to be said on this page."""
    kind, _, text = request.cookies.get(COOKIE, "").partition(":")
    said = unquote(text)
    match kind:
        case "done":
            return Flash(kind="done", text=said)
        case "note":
            return Flash(kind="note", text=said)
        case "failed":
            return Flash(kind="failed", text=said)
        case _:
            return None


def forget(request: web.Request, response: web.StreamResponse) -> None:
    """It was shown."""
    if COOKIE in request.cookies:
        response.del_cookie(COOKIE, path="/")
