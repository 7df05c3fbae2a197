"""/unrouted -> events that no route took, by type or one by one; replay them through the routes of today."""

from datetime import timedelta
from typing import Any

from aiohttp import web

from relay.admin.console import forms, trials
from relay.admin.console.languages import ngettext
from relay.admin.console.page import ASKING, Page, ask, asked, given, render
from relay.operations.documents.replays import ReplayDocument
from relay.operations.reading import Fault, InvalidParameters
from relay.operations.replays import REPLAYS
from relay.operations.unrouted import UNROUTED, Unrouted
from relay.operations.which import WhichEvents
from relay.rfc3339 import rfc3339
from relay.routes.diagnostics import quoted

FILTERS = ("entity", "action", "id", "pipeline", "source", "account", "since", "until")
"""Parameters that narrow the listing, in the order of the form."""
REPLAY = "/unrouted/replay"
MILLISECOND = timedelta(milliseconds=1)


async def get(request: web.Request) -> web.Response:
    """Show how many there are of each type; or, by event, one page of them."""
    query = given(request)
    by_event = query.get("by") == ["event"]
    return render(
        request,
        "unrouted.html",
        found=await ask(request, UNROUTED, asked(request, Unrouted, **({} if by_event else {"by": "type"}))),
        by_event=by_event,
        filters={name: query[name] for name in FILTERS if name in query},
        query=query,
    )


# ---- replay


async def replay(request: web.Request) -> web.Response:
    """Ask at which rate, and show what the dry run found."""
    query = given(request)
    return render(
        request,
        "unrouted_replay.html",
        filters={name: query[name][0] for name in FILTERS if name in query},
        rate=request.query.get("rate", ""),
        trial=await trials.found(request),
    )


async def try_(request: web.Request) -> web.Response:
    """Only count what the filter finds."""
    form = await forms.fields(request)
    wanted = _frozen(request, form)
    return await trials.begin(request, REPLAYS, _given(wanted, form), REPLAY, {**wanted, "rate": form.get("rate", "")})


async def post(request: web.Request) -> web.Response:
    """Replay it."""
    form = await forms.fields(request)
    return await forms.act(request, REPLAYS, _given(form, form), _replayed)


def _frozen(request: web.Request, form: dict[str, str]) -> dict[str, str]:
    """The filter with instants in the place of ages, so that what is counted is what is replayed."""
    wanted = {name: form[name] for name in FILTERS if form.get(name)}
    read = asked(request, WhichEvents, **wanted)
    instants = {"since": read.since, "until": read.until or request.app[ASKING].now() + MILLISECOND}
    return wanted | {name: rfc3339(at) for name, at in instants.items() if at}


def _given(wanted: dict[str, str], form: dict[str, str]) -> dict[str, Any]:
    rate = {"rate": _number(form["rate"])} if form.get("rate") else {}
    return {"unrouted": True, "filter": {name: wanted[name] for name in FILTERS if wanted.get(name)}, **rate}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidParameters(Fault(pointer="/rate", detail=f"{quoted(text[:80])} is not a number")) from None


def _replayed(done: ReplayDocument) -> str:
    text = ngettext("{count} delivery is due now.", "{count} deliveries are due now.", done.done)
    return text.format(count=done.done)


PAGES = (
    Page(path="/unrouted", handler=get),
    Page(path=REPLAY, handler=replay),
    Page(path=REPLAY, handler=post, method="POST"),
    Page(path=f"{REPLAY}/try", handler=try_, method="POST"),
)
