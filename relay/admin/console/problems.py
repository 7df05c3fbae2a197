"""Whatever goes wrong on the way to a page -> a page that says it in a sentence, and what to do."""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from uuid_utils import uuid7

from relay.admin import faults
from relay.admin.api.problems import STATUSES
from relay.admin.console.forms import see_other
from relay.admin.console.languages import gettext as _
from relay.admin.console.page import render
from relay.errors import RelayError
from relay.operations.lookup import SeveralWebhooks
from relay.operations.problem_types import kind_of

KEPT = (hdrs.ALLOW, hdrs.RETRY_AFTER)


def is_lost_browser(request: web.Request) -> bool:
    """Whether a browser asks for an address that is not there."""
    html = "text/html" in request.headers.get(hdrs.ACCEPT, "")
    return html and isinstance(request.match_info.http_exception, web.HTTPNotFound)


async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The answer, or the page of its problem; without log-in the page where to log in."""
    try:
        return await handler(request)
    except RelayError as error:
        kind = kind_of(error)
        several = error if isinstance(error, SeveralWebhooks) else None
        return await _page(request, STATUSES[kind], str(error), kind, several=several)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        if error.status == HTTPStatus.UNAUTHORIZED:
            return await _log_in(request, error)
        text = _("There is no such page.") if error.status == HTTPStatus.NOT_FOUND else error.text or error.reason
        kept = {name: value for name, value in error.headers.items() if name in KEPT}
        return await _page(request, error.status, text.strip(), "", kept)
    except Exception as error:
        if faults.is_too_late(request):
            raise
        text = _("The relay has made a mistake. Webhooks go on being kept and delivered.")
        return await _page(request, faults.STATUS, text, faults.KIND, id_=faults.id_of(request, error))


async def _log_in(request: web.Request, error: web.HTTPException) -> web.Response:
    script = request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
    if request.method == hdrs.METH_GET and not script:
        return see_other(f"/login?next={quote(request.path_qs, safe='')}")
    return await _page(request, error.status, _("You are logged out."), "logged-out")


async def _page(
    request: web.Request,
    status: int,
    text: str,
    kind: str,
    headers: Mapping[str, str] | None = None,
    id_: str | None = None,
    several: SeveralWebhooks | None = None,
) -> web.Response:
    """A page with the id that the problem has in a report of it; of `several` webhooks it leads to each."""
    values = {"text": text, "several": several, "advice": advice(kind), "kind": kind, "id": id_ or str(uuid7())}
    page = await render(request, "problem.html", status=status, **values)
    page.headers.update(headers or {})
    return page


def advice(kind: str) -> str:
    """What to do about a problem of this kind."""
    match kind:
        case "store-busy" | "store":
            return _("Webhooks go on being kept. Ask again in a moment.")
        case "bad-cursor":
            return _("The listing has changed since: begin with its first page.")
        case "not-allowed":
            return _("You may only look: this needs the role of an operator.")
        case "invalid-parameters":
            return _("Change the address, or begin with the page without filters.")
        case "routes-invalid":
            return _("See relay check for the routes file.")
        case faults.KIND:
            return _("Report it with the lines of the log that have this number.")
        case "logged-out":
            return _("Log in again, then send the form again.")
        case _:
            return ""
