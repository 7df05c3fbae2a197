"""/ -> is all well: the targets, and what to do about them."""

from aiohttp import web

from relay.admin.console.page import Page, ask, render
from relay.operations.status import STATUS, Everything


async def get(request: web.Request) -> web.Response:
    """Show the state of the relay."""
    return render(request, "overview.html", status_now=await ask(request, STATUS, Everything()))


PAGES = (Page(path="/", handler=get),)
