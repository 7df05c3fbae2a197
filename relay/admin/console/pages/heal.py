"""/heal -> what healing found of each source and what the guard saw; approve what waits, look once more, switch on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from relay.admin.auth import ASKER
from relay.admin.console import browser_zone, forms, moments
from relay.admin.console.flash import Flash
from relay.admin.console.languages import gettext as _
from relay.admin.console.languages import ngettext
from relay.admin.console.page import ASKING, Page, ask, render
from relay.errors import RelayError
from relay.operations.documents.heals import ApprovedDocument, GuardDocument
from relay.operations.heals import GUARD_RESUME, HEAL, HEAL_APPROVE, HEAL_RUN, HEALED, Healing, HealRunOf
from relay.operations.status import STATUS, Everything


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A look that was asked for, and why its time cannot be read."""

    source: str
    since: str
    dry_run: bool
    why: str


async def get(request: web.Request) -> web.Response:
    """Show each source that heals or is guarded."""
    return await _page(request)


async def _page(request: web.Request, tried: Tried | None = None) -> web.Response:
    return await render(
        request,
        "heal.html",
        status=400 if tried else 200,
        healing=(await ask(request, HEAL, Healing())).sources,
        guards=(await ask(request, STATUS, Everything())).subscriptions,
        tried=tried,
        moments={},
    )


async def scan(request: web.Request) -> web.Response:
    """Have the relay look once more at what happened since, then show what came of it."""
    form, asking = await forms.lists(request), request.app[ASKING]
    source, dry_run = form.get("source", [""])[0], "dry_run" in form
    given, wrong = moments.tried(lambda: _since(form, asking.now()) | {"source": source, "dry_run": dry_run})
    if given is None:
        since = form.get("since", [""])[0]
        return await _page(request, Tried(source=source, since=since, dry_run=dry_run, why=wrong["since"]))
    try:
        asked = await asking.act(request[ASKER], HEAL_RUN, given, key=form.get(forms.KEY, [""])[0])
    except RelayError as error:
        return forms.back(await forms.fields(request), Flash(kind="failed", text=str(error)))
    return forms.see_other(f"/heal/runs/{asked.id}")


def _since(form: moments.Lists, now: datetime) -> dict[str, Any]:
    """As the operation takes it; an age stays one, so that the same form sent twice is the same act."""
    times = browser_zone.sent({"since": [""], **form}, now)
    return {"since": moments.read({"since": times["since"]}, now)["since"][0]}


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
