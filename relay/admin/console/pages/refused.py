"""/refused -> requests that were not answered with 2xx, minute by minute, newest first."""

from aiohttp import web

from relay.admin.console.listing import listing
from relay.admin.console.page import Page, render
from relay.operations.refused import REFUSED
from relay.signals import Rejection

FILTERS = ("source", "reason", "since", "until")


async def get(request: web.Request) -> web.Response:
    """Show one page of the listing."""
    reasons = [str(each) for each in Rejection]
    return await render(request, "refused.html", **await listing(request, REFUSED, FILTERS), reasons=reasons)


PAGES = (Page(path="/refused", handler=get),)
