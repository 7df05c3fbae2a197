"""/unparsed -> webhooks that could not be read, oldest first; read them again, a dry run first, or dismiss them."""

from typing import Any

from aiohttp import web

from relay.admin.console import forms, trials
from relay.admin.console.languages import ngettext
from relay.admin.console.page import Page, ask, asked, given, render
from relay.amocrm.form import CHARSETS
from relay.operations.dismiss import DISMISS
from relay.operations.documents.acts_done import DismissDocument
from relay.operations.documents.listing import Listing
from relay.operations.documents.replays import ReparseDocument
from relay.operations.documents.webhooks import WebhookDocument
from relay.operations.reparses import REPARSE
from relay.operations.webhooks import UNPARSED, Unparsed
from relay.operations.which import MAX_PAGE
from relay.printable import printable

ROWS = "20"
FIRST = 160  # bytes
AGAIN = "/unparsed/reparse"


async def get(request: web.Request) -> web.Response:
    """Show one page of the listing."""
    query = given(request)
    rows = {} if "limit" in query else {"limit": ROWS}
    found = await ask(request, UNPARSED, asked(request, Unparsed, body_bytes=str(FIRST), **rows))
    return await render(
        request,
        "unparsed.html",
        found=found,
        first={each.id: first_bytes(each) for each in found.data},
        dismissed=query.get("dismissed") == ["true"],
        away=None if found.data or query else await _away(request),
        query=query,
    )


async def _away(request: web.Request) -> Listing[WebhookDocument]:
    """Those that were dismissed, as far as one page has them, without bodies."""
    return await ask(request, UNPARSED, Unparsed(dismissed=True, limit=MAX_PAGE, body_bytes=0))


def first_bytes(webhook: WebhookDocument) -> str:
    """How the body begins, as text; `***` for who may not see it."""
    if webhook.body_base64 is not None and webhook.body_base64.strip("*") == "":
        return webhook.body_base64
    return printable(webhook.bytes_of_body()[:FIRST].decode("utf-8", "replace"))  # newlines too


# ---- read again


async def again(request: web.Request) -> web.Response:
    """Ask in which charset one webhook, or all, shall be read again, and show what the dry run found."""
    return await render(
        request,
        "reparse.html",
        id=request.query.get("id", ""),
        charset=request.query.get("charset", ""),
        charsets=[*CHARSETS],
        trial=await trials.found(request),
        followed=await trials.followed(request),
    )


async def try_(request: web.Request) -> web.Response:
    """Only see what would become of each."""
    form = await forms.fields(request)
    query = {name: form.get(name, "") for name in ("id", "charset")}
    return await trials.begin(request, REPARSE, _wanted(form), AGAIN, query)


async def reparse(request: web.Request) -> web.Response:
    """Read again."""
    return await forms.act(request, REPARSE, _wanted(await forms.fields(request)), _read)


def _wanted(form: dict[str, str]) -> dict[str, Any]:
    id_, charset = form.get("id"), form.get("charset")
    return {"ids": [id_] if id_ else [], "charset": charset or None}


def _read(done: ReparseDocument) -> str:
    text = ngettext("{count} webhook was read.", "{count} webhooks were read.", done.read).format(count=done.read)
    if not done.left:
        return text
    left = ngettext("{count} stays unparsed.", "{count} stay unparsed.", done.left).format(count=done.left)
    return f"{text} {left}"


# ---- dismiss


async def dismiss(request: web.Request) -> web.Response:
    """Take one webhook off the list and out of the alerts."""
    form = await forms.fields(request)
    return await forms.act(request, DISMISS, {"ids": [form.get("id", "")]}, _dismissed)


def _dismissed(done: DismissDocument) -> str:
    return ngettext("{count} webhook was dismissed.", "{count} webhooks were dismissed.", done.unparsed).format(
        count=done.unparsed
    )


PAGES = (
    Page(path="/unparsed", handler=get),
    Page(path=AGAIN, handler=again),
    Page(path=AGAIN, handler=reparse, method="POST"),
    Page(path=f"{AGAIN}/try", handler=try_, method="POST"),
    Page(path="/unparsed/dismiss", handler=dismiss, method="POST"),
)
