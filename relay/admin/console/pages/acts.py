"""/acts -> what operators did, newest first; /acts/{id} -> one act: who asked for what, and how far it is."""

from aiohttp import web

from relay.admin.auth import ASKER
from relay.admin.console import forms
from relay.admin.console.flash import Flash
from relay.admin.console.languages import gettext as _
from relay.admin.console.page import ASKING, Page, ask, asked, given, render
from relay.errors import NotFoundError, RelayError
from relay.operations.acts import AUDIT, Audit
from relay.operations.documents.acts import ActDocument

FILTERS = ("who", "command")


async def get(request: web.Request) -> web.Response:
    """Show one page of the audit."""
    query = given(request)
    return render(
        request,
        "acts.html",
        found=await ask(request, AUDIT, asked(request, Audit)),
        filters={name: query[name] for name in FILTERS if name in query},
        query=query,
    )


async def one(request: web.Request) -> web.Response:
    """Show an act; NotFoundError if neither the audit nor this relay knows it."""
    id_ = request.match_info["id"]
    entries = (await ask(request, AUDIT, Audit(id=id_, limit=1))).data
    progress = await _progress(request, id_)
    if not entries and progress is None:
        raise NotFoundError(f"no act has the id {id_[:80]!r}: see the list of acts")
    return render(request, "act.html", entry=entries[0] if entries else None, progress=progress, id=id_)


async def stop(request: web.Request) -> web.Response:
    """Leave the rest of it undone."""
    id_, form = request.match_info["id"], await forms.fields(request)
    try:
        await request.app[ASKING].stop(request[ASKER], id_)
    except RelayError as error:
        return forms.back(form, Flash(kind="failed", text=str(error)))
    return forms.back(form, Flash(kind="done", text=_("Stopped.")))


async def _progress(request: web.Request, id_: str) -> ActDocument | None:
    """How far it is, as long as this relay remembers it."""
    try:
        return await request.app[ASKING].progress(request[ASKER], id_)
    except NotFoundError:
        return None


PAGES = (
    Page(path="/acts", handler=get),
    Page(path="/acts/{id}", handler=one),
    Page(path="/acts/{id}/stop", handler=stop, method="POST"),
)
