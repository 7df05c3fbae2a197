"""/deliveries -> the table of deliveries, newest first; every filter is in the address."""

from aiohttp import web

from relay.admin.console.page import Page, ask, asked, given, render
from relay.model import Reason, State
from relay.operations.deliveries import DELIVERIES, Deliveries
from relay.operations.status import TARGETS, Everything

FILTERS = (
    "state", "target", "route", "entity", "action", "id", "pipeline", "reason", "source", "account", "since", "until",
    "dismissed", "settled_since", "settled_until",
)  # fmt: skip
"""Parameters of the operation that narrow the listing, in the order of the form."""


async def get(request: web.Request) -> web.Response:
    """Show one page of the listing."""
    query = given(request)
    return render(
        request,
        "deliveries.html",
        found=await ask(request, DELIVERIES, asked(request, Deliveries)),
        targets=[each.target for each in (await ask(request, TARGETS, Everything())).data],
        filters={name: query[name] for name in FILTERS if name in query},
        query=query,
        states=[str(each) for each in State],
        reasons=[str(each) for each in Reason],
    )


PAGES = (Page(path="/deliveries", handler=get),)
