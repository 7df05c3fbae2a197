"""/heal -> what healing found of each source and what the guard saw; approve what waits, look once more, switch on."""

from aiohttp import web

from relay.admin.auth import ASKER
from relay.admin.console import forms
from relay.admin.console.flash import Flash
from relay.admin.console.languages import gettext as _
from relay.admin.console.languages import ngettext
from relay.admin.console.page import ASKING, Page, ask, render
from relay.errors import RelayError
from relay.operations.documents.heals import ApprovedDocument, GuardDocument
from relay.operations.heals import GUARD_RESUME, HEAL, HEAL_APPROVE, HEAL_RUN, HEALED, Healing, HealRun, HealRunOf
from relay.operations.reading import parameters
from relay.operations.status import STATUS, Everything


async def get(request: web.Request) -> web.Response:
    """Show each source that heals or is guarded."""
    return await render(
        request,
        "heal.html",
        healing=(await ask(request, HEAL, Healing())).sources,
        guards=(await ask(request, STATUS, Everything())).subscriptions,
    )


async def scan(request: web.Request) -> web.Response:
    """Have the relay look once more at what happened since, then show what came of it."""
    form, asking = await forms.fields(request), request.app[ASKING]
    given = {"source": form.get("source", ""), "since": form.get("since", "").strip(), "dry_run": "dry_run" in form}
    parameters(
        HealRun, given, now=asking.now(), strict=True
    )  # an age stays one: the same form sent twice is the same act
    try:
        asked = await asking.act(request[ASKER], HEAL_RUN, given, key=form.get(forms.KEY))
    except RelayError as error:
        return forms.back(form, Flash(kind="failed", text=str(error)))
    return forms.see_other(f"/heal/runs/{asked.id}")


async def scanned(request: web.Request) -> web.Response:
    """Show what came of a scan."""
    found = await ask(request, HEALED, HealRunOf(id=request.match_info["id"]))
    return await render(request, "heal_run.html", found=found)


async def approve(request: web.Request) -> web.Response:
    """Let what waits be healed."""
    return await forms.act(request, HEAL_APPROVE, await _source(request), _approved)


async def resume(request: web.Request) -> web.Response:
    """Have the guard switch the webhook on."""
    return await forms.act(request, GUARD_RESUME, await _source(request), _resumed)


async def _source(request: web.Request) -> dict[str, str]:
    return {"source": (await forms.fields(request)).get("source", "")}


def _approved(done: ApprovedDocument) -> str:
    text = ngettext(
        "{count} event is healed with the next scan.", "{count} events are healed with the next scan.", done.approved
    )
    return text.format(count=done.approved)


def _resumed(done: GuardDocument) -> str:
    return _("The guard switches the webhook of {source} on at its next look, within 5 minutes.").format(
        source=done.source
    )


PAGES = (
    Page(path="/heal", handler=get),
    Page(path="/heal/approve", handler=approve, method="POST"),
    Page(path="/heal/guard", handler=resume, method="POST"),
    Page(path="/heal/runs", handler=scan, method="POST"),
    Page(path="/heal/runs/{id}", handler=scanned),
)
