"""What a page is made with: its parameters out of the query, the answer of the desk, and a template."""

from collections.abc import Mapping
from dataclasses import dataclass
from re import Pattern
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from aiohttp_jinja2 import get_env

from relay.admin.api.asking import Asking
from relay.admin.auth import ASKER
from relay.admin.console import flash, moments
from relay.admin.console.languages import language, languages
from relay.admin.console.preferences import preferences
from relay.admin.console.rendering import rendered
from relay.admin.console.session import Sessions
from relay.admin.console.waiting import Waiting
from relay.operations.asker import Asker, Role
from relay.operations.desk import Operation
from relay.operations.reading import parameters_of_query

P = TypeVar("P")
D = TypeVar("D")

OF_THE_PAGE = frozenset({"first", "follow", "zone"})
"""What a query has for the page alone: no parameter of an operation is called so."""

ASKING = web.AppKey("asking", Asking)
WAITING = web.AppKey("waiting", Waiting)
SESSIONS = web.AppKey("sessions", Sessions)
"""Only where tokens are demanded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One address of the console. `public`: without log-in. `stream`: for scripts, and it goes on until they leave."""

    path: str
    handler: Handler
    method: Literal["GET", "POST"] = "GET"
    public: bool = False
    stream: bool = False


def asked(request: web.Request, kind: type[P], **named: str) -> P:
    """The parameters of an operation: what is in the query, but for fields left empty, and what is `named`.

    InvalidParameters if they cannot be read.
    """
    query, now = given(request) | {name: [value] for name, value in named.items()}, request.app[ASKING].now()
    return parameters_of_query(kind, moments.read(query, now), now=now)


def given(request: web.Request) -> dict[str, list[str]]:
    """What is in the query, by name: an empty field of a form says nothing."""
    names = [each for each in request.query if each not in OF_THE_PAGE]
    found = {name: [each.strip() for each in request.query.getall(name)] for name in names}
    return {name: kept for name, values in found.items() if (kept := [each for each in values if each])}


async def ask(request: web.Request, operation: Operation[P, D], parameters: P) -> D:
    """The answer of the desk to whoever is logged in."""
    waiting = request.app[WAITING]
    generation = waiting.generation
    document = await request.app[ASKING].ask(request[ASKER], operation, parameters)
    waiting.note(document, asked_in=generation)
    return document


async def render(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A page of a template."""
    text = await fragment(request, template, **values)
    response = web.Response(text=text, status=status, content_type="text/html", charset="utf-8")
    flash.forget(request, response)
    return response


async def fragment(request: web.Request, template: str, **values: Any) -> str:
    """A part of a page, of a template of its own."""
    give_way = request.app[ASKING].give_way
    return await rendered(get_env(request.app).get_template(template), context(request, values), give_way)


def context(request: web.Request, values: Mapping[str, Any]) -> dict[str, Any]:
    """What every template has besides its values."""
    asker: Asker | None = request.get(ASKER)
    return {
        "asker": asker,
        "logged_in": asker is not None and SESSIONS in request.app,
        "operator": asker is not None and asker.role is Role.OPERATOR,
        "now": request.app[ASKING].now(),
        "path": request.path,
        "here": here(request),
        "language": language(),
        "languages": languages(),
        "preferences": preferences(request),
        "waits": request.app[WAITING].counts() if asker else None,
        "flashed": flash.take(request),
        **values,
    }


def here(request: web.Request) -> str:
    """The address to come back to: where a form was answered, the nearest above it that has a page."""
    if request.method != hdrs.METH_POST:
        return request.path_qs
    path = request.rel_url.raw_path
    routes = [each for each in request.app.router.routes() if each.method == hdrs.METH_GET]
    pages = [each.resource.get_info() for each in routes if each.resource]
    while path and not any(_is_at(page, path) for page in pages):
        path = path.rpartition("/")[0]
    return path or "/"


def _is_at(page: Mapping[str, object], path: str) -> bool:
    pattern = page.get("pattern")
    return bool(pattern.fullmatch(path)) if isinstance(pattern, Pattern) else page.get("path") == path


def link(path: str, query: Mapping[str, list[str]], **changed: str | None) -> str:
    """An address with the query changed: None takes a parameter out."""
    parameters = {**query, **{name: [value] if value else [] for name, value in changed.items()}}
    text = urlencode([(name, value) for name, values in parameters.items() for value in values])
    return f"{path}?{text}" if text else path


def new_key() -> str:
    """A key for one form: what is sent twice is done once."""
    return str(uuid4())


def own_path(text: str | None, *, otherwise: str = "/") -> str:
    r"""The address, if it is one of this site: neither `//elsewhere`, `/\elsewhere` nor a scheme."""
    safe = text is not None and text.startswith("/") and text[1:2] not in ("/", "\\") and text.isprintable()
    return text if safe and text is not None and "\\" not in text else otherwise
