"""/refused -> requests that were not answered with 2xx, minute by minute, newest first."""

from aiohttp import web

from relay.admin.console import moments
from relay.admin.console.page import Page, ask, asked, given, render
from relay.operations.documents.listing import Listing
from relay.operations.refused import REFUSED, Refused
from relay.signals import Rejection

FILTERS = ("source", "reason", "since", "until")


async def get(request: web.Request) -> web.Response:
    """Show one page of the listing."""
    query = given(request)
    parameters, wrong = moments.tried(lambda: asked(request, Refused))
    return await render(
        request,
        "refused.html",
        found=await ask(request, REFUSED, parameters) if parameters else Listing(data=()),
        moments=moments.shown(parameters),
        wrong=wrong,
        status=400 if wrong else 200,
        reasons=[str(each) for each in Rejection],
        filters={name: query[name] for name in FILTERS if name in query},
        query=query,
    )


PAGES = (Page(path="/refused", handler=get),)
