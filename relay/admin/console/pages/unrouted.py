"""/unrouted -> events that no route took, by type or one by one; replay them through the routes of today."""

from datetime import timedelta
from typing import Any

from aiohttp import web

from relay.admin.console import counted, forms, trials
from relay.admin.console.listing import listing
from relay.admin.console.page import ASKING, Page, asked, given, render
from relay.operations.replays import REPLAYS
from relay.operations.unrouted import UNROUTED
from relay.operations.which import WhichEvents
from relay.rfc3339 import rfc3339

FILTERS = ("entity", "action", "id", "pipeline", "source", "account", "since", "until")
"""Parameters that narrow the listing, in the order of the form."""
REPLAY = "/unrouted/replay"
MILLISECOND = timedelta(milliseconds=1)


async def get(request: web.Request) -> web.Response:
    """Show how many there are of each type; or, by event, one page of them."""
    by_event = given(request).get("by") == ["event"]
    found = await listing(request, UNROUTED, FILTERS, **({} if by_event else {"by": "type"}))
    return await render(request, "unrouted.html", **found, by_event=by_event)


# ---- replay


async def replay(request: web.Request) -> web.Response:
    """Ask at which rate, and show what the dry run found."""
    query = given(request)
    return await render(
        request,
        "unrouted_replay.html",
        filters={name: query[name][0] for name in FILTERS if name in query},
        listed={name: query[name] for name in FILTERS if name in query},
        rate=request.query.get("rate", ""),
        trial=await trials.found(request),
        followed=await trials.followed(request),
        typed_above=counted.TYPED_ABOVE,
    )


async def try_(request: web.Request) -> web.Response:
    """Only count what the filter finds."""
    form = await forms.lists(request)
    wanted = _frozen(request, _filter(form))
    query: trials.Query = {**wanted, "rate": form.get("rate", [])}
    return await trials.begin(request, REPLAYS, _given(wanted, form), REPLAY, query)


async def post(request: web.Request) -> web.Response:
    """Replay it, unless more are found than were counted, or the number that was typed is another."""
    form = await forms.lists(request)
    most = counted.most(form)
    if refused := counted.not_typed(form, most["most"], otherwise=REPLAY):
        return refused
    return await forms.act(request, REPLAYS, _given(_filter(form), form) | most, counted.replayed)


def _filter(form: counted.Lists) -> dict[str, str]:
    return {name: form[name][0] for name in FILTERS if name in form}


def _frozen(request: web.Request, wanted: dict[str, str]) -> dict[str, str]:
    """The filter with instants in the place of ages, so that what is counted is what is replayed."""
    read = asked(request, WhichEvents, **wanted)
    instants = {"since": read.since, "until": read.until or request.app[ASKING].now() + MILLISECOND}
    return wanted | {name: rfc3339(at) for name, at in instants.items() if at}


def _given(wanted: dict[str, str], form: counted.Lists) -> dict[str, Any]:
    return {"unrouted": True, "filter": wanted, **counted.rate(form)}


PAGES = (
    Page(path="/unrouted", handler=get),
    Page(path=REPLAY, handler=replay),
    Page(path=REPLAY, handler=post, method="POST"),
    Page(path=f"{REPLAY}/try", handler=try_, method="POST"),
)
