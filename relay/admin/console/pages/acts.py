"""/acts -> what operators did, newest first; /acts/{id} -> one act: who asked for what, and what became of it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

from aiohttp import web

from relay.admin.console import forms
from relay.admin.console.languages import gettext as _
from relay.admin.console.listing import listing
from relay.admin.console.page import Page, ask, asked, fragment, given, render
from relay.admin.console.streams import renew
from relay.errors import NotFoundError
from relay.model import State
from relay.operations.act_deliveries import ACT_DELIVERIES, OF_DELIVERIES, REPLAYED, ActDeliveries
from relay.operations.acts import ACT, ACTS, STOP_ACT, ActsAsked, OneAct
from relay.operations.audits import AUDIT, Audit
from relay.operations.documents.acts import ActDeliveriesDocument, ActDocument, ActState, AuditDocument
from relay.operations.verify import VERIFY

FILTERS = ("who", "command", "since", "until")
UNDONE = tuple(each for each in ActState if each is not ActState.DONE)
MOST_UNDONE = 10
FOLLOWS = "data-follows"
"""In the page of an act that has not ended, or whose deliveries have not."""
FEW = 20
"""Deliveries of an act on one page."""


async def get(request: web.Request) -> web.Response:
    """Show one page of the audit; above the first one, acts that take long and are not done."""
    undone = () if given(request) else (await ask(request, ACTS, ActsAsked(state=UNDONE, limit=MOST_UNDONE))).data
    return await render(request, "acts.html", **await listing(request, AUDIT, FILTERS), undone=undone)


async def one(request: web.Request) -> web.Response:
    """Show an act; NotFoundError if neither the audit nor this relay knows it."""
    return await render(request, "act.html", **await _values(request))


async def stream(request: web.Request) -> web.StreamResponse:
    """Send the act whenever it has changed, until it and its deliveries end."""
    id_ = request.match_info["id"]
    return await renew(request, f"act {id_}", partial(_content, request), while_has=FOLLOWS)


async def _content(request: web.Request) -> str:
    return await fragment(request, "parts/act.html", **await _values(request))


async def _values(request: web.Request) -> dict[str, Any]:
    id_ = request.match_info["id"]
    entries = (await ask(request, AUDIT, Audit(id=id_, limit=1))).data
    progress = await _progress(request, id_)
    if not entries and progress is None:
        raise NotFoundError(f"no act has the id {id_[:80]!r}: see the list of acts")
    entry = entries[0] if entries else None
    running = progress is not None and progress.state is ActState.RUNNING
    wanted = replace(asked(request, ActDeliveries, act=id_), limit=FEW)
    about_deliveries = entry is not None and entry.command in OF_DELIVERIES and not running
    found: ActDeliveriesDocument | None = None
    if about_deliveries:
        found = await ask(request, ACT_DELIVERIES, wanted)
    return {
        "entry": entry,
        "progress": progress,
        "followed": running or (found is not None and _change(found) and not given(request)),
        "verified": None if running else _verified(entry, progress),
        "found": found,
        "replayed": found is not None and entry is not None and entry.command in REPLAYED,
        "pending": found is not None and await _pending(request, found, id_),
        "id": id_,
        "here": f"/acts/{quote(id_, safe='')}",
        "query": given(request),
    }


def _change(found: ActDeliveriesDocument) -> bool:
    """Whether some are pending: of more than can be counted at a glance none are looked for again and again."""
    return bool(found.states.get(State.PENDING)) and not found.more


async def _pending(request: web.Request, found: ActDeliveriesDocument, id_: str) -> bool:
    """Whether some are pending: of more than were counted, those that were not are looked for."""
    if found.states.get(State.PENDING) or not found.more:
        return bool(found.states.get(State.PENDING))
    rest = await ask(request, ACT_DELIVERIES, ActDeliveries(act=id_, state=(State.PENDING,), limit=1))
    return bool(rest.data) or rest.searched_to is not None


async def stop(request: web.Request) -> web.Response:
    """Leave the rest of it undone."""
    given = {"act": request.match_info["id"]}
    return await forms.act(request, STOP_ACT, given, lambda _done: _("Stopped."))


def _verified(entry: AuditDocument | None, progress: ActDocument | None) -> Mapping[str, Any] | None:
    """Whether the store was found sound: from the audit, else from what this relay remembers; None of other acts."""
    if entry is not None and entry.command == VERIFY.name:
        return entry.details
    if progress is not None and progress.operation == VERIFY.name and isinstance(progress.document, dict):
        return {"sound": progress.document.get("sound")}
    return None


async def _progress(request: web.Request, id_: str) -> ActDocument | None:
    """How far it is, as long as this relay remembers it."""
    try:
        return await ask(request, ACT, OneAct(act=id_))
    except NotFoundError:
        return None


PAGES = (
    Page(path="/acts", handler=get),
    Page(path="/acts/{id}", handler=one),
    Page(path="/acts/{id}/stream", handler=stream, stream=True),
    Page(path="/acts/{id}/stop", handler=stop, method="POST"),
)
