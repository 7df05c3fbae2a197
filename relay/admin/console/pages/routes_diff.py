"""/routes/diff -> a draft beside the file in force: its problems, its tests, and which events it would send elsewhere.

It writes nothing: the draft is downloaded, and goes to the machine as files do.
"""

from dataclasses import dataclass, replace

from aiohttp import web

from relay.admin.auth import ASKER
from relay.admin.console import drafts
from relay.admin.console.forms import Posted, posted
from relay.admin.console.page import ASKING, Page, ask, render
from relay.errors import NotAllowed
from relay.operations.documents.routes import CheckDocument, RoutesDiffDocument
from relay.operations.reading import parameters
from relay.operations.reloads import ROUTES, Nothing
from relay.operations.routes import CHECK, DIFF, NAME, Check, Diff

SPANS = ("24h", "3d", "7d", "30d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What the form has."""

    text: str
    since: str
    after: str | None


async def get(request: web.Request) -> web.Response:
    """Show the form; with `draft` the routes in force are in it."""
    begun = await from_force(request) if request.query.get("draft") else drafts.NONE
    return await _page(request, Form(text=begun.text, since=SPANS[0], after=None), begun=begun)


async def from_force(request: web.Request) -> drafts.Draft:
    """A draft of the routes in force; NotAllowed for whoever does not see their conditions."""
    request[ASKER].demand_payloads("a draft of the routes in force")
    begun = drafts.draft_of((await ask(request, ROUTES, Nothing())).text)
    return replace(begun, unfit=bool((await ask(request, CHECK, Check(text=begun.text))).errors))


async def compare(request: web.Request) -> web.Response:
    """Check the draft, and compare it with the file in force."""
    draft = await _draft(request)
    if not draft.text.strip():
        return await _page(request, draft)
    text = drafts.pasted(draft.text)
    checked = await ask(request, CHECK, Check(text=text))
    if checked.errors:
        return await _page(request, draft, checked, begun=await _unfit(request, text))
    given = {"text": text, "since": draft.since, "after": draft.after}
    wanted = parameters(Diff, given, now=request.app[ASKING].now(), strict=True)
    try:
        found = await ask(request, DIFF, wanted)
    except NotAllowed as error:  # whoever sees no field values may still check a draft
        return await _page(request, draft, checked, refused=str(error))
    return await _page(request, draft, checked, found)


async def _unfit(request: web.Request, text: str) -> drafts.Draft:
    """The draft of the routes in force, if the text has its hidden values and no such draft could be used."""
    if not (drafts.has_stand_ins(text) and request[ASKER].payloads):
        return drafts.NONE
    begun = await from_force(request)
    return begun if begun.unfit else drafts.NONE


async def download(request: web.Request) -> web.Response:
    """Answer with the draft as a file."""
    headers = {"Content-Disposition": f'attachment; filename="{NAME}"'}
    return web.Response(text=(await _draft(request)).text, content_type="application/yaml", headers=headers)


async def _draft(request: web.Request) -> Form:
    form = await posted(request)
    since, after = form.get("since"), form.get("after")
    return Form(
        text=text_of(form),
        since=since if isinstance(since, str) and since in SPANS else SPANS[0],
        after=after if isinstance(after, str) and after else None,
    )


def text_of(form: Posted) -> str:
    """The draft: a file that was chosen goes before the text in the field. Browsers send CRLF of fields."""
    file, text = form.get("file"), form.get("text")
    if isinstance(file, web.FileField) and file.filename:
        text = file.file.read().decode("utf-8-sig", "replace")
    return text.replace("\r\n", "\n") if isinstance(text, str) else ""


async def _page(
    request: web.Request,
    draft: Form,
    checked: CheckDocument | None = None,
    found: RoutesDiffDocument | None = None,
    refused: str = "",
    begun: drafts.Draft = drafts.NONE,
) -> web.Response:
    return await render(
        request,
        "routes_diff.html",
        draft=draft,
        lines=draft.text.split("\n"),
        checked=checked,
        masked=drafts.masked_lines(drafts.pasted(draft.text)) if checked else [],
        found=found,
        refused=refused,
        begun=begun,
        spans=SPANS,
    )


PAGES = (
    Page(path="/routes/diff", handler=get),
    Page(path="/routes/diff", handler=compare, method="POST"),
    Page(path="/routes/diff/download", handler=download, method="POST"),
)
