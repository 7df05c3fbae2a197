"""POST /targets/{target}/pause and …/resume: the buttons of a target."""

from aiohttp import web

from relay.admin.console import forms
from relay.admin.console.languages import gettext as _
from relay.admin.console.page import Page
from relay.operations.documents.targets import PauseDocument
from relay.operations.pause import PAUSE, RESUME


async def pause(request: web.Request) -> web.Response:
    """Stop new attempts at a target, with the reason that the form gives."""
    form = await forms.fields(request)
    given = {"target": request.match_info["target"], "reason": form.get("reason", "").strip()}
    return await forms.act(request, PAUSE, given, _paused)


async def resume(request: web.Request) -> web.Response:
    """Let attempts go on."""
    return await forms.act(request, RESUME, {"target": request.match_info["target"]}, _resumed)


def _paused(done: PauseDocument) -> str:
    if not done.changed:
        return _("{target} was paused already.").format(target=done.target)
    return _("Paused {target}: what comes for it is kept until it is resumed.").format(target=done.target)


def _resumed(done: PauseDocument) -> str:
    return _("Resumed {target}.").format(target=done.target)


PAGES = (
    Page(path="/targets/{target}/pause", handler=pause, method="POST"),
    Page(path="/targets/{target}/resume", handler=resume, method="POST"),
)
