"""/relays -> the relays that share the store, with their routes and spools."""

from aiohttp import web

from relay.admin.console.page import Page, ask, render
from relay.operations.status import STATUS, Everything


async def get(request: web.Request) -> web.Response:
    """Show each relay; one that is gone until its spool is known to be empty."""
    return await render(request, "relays.html", state_now=await ask(request, STATUS, Everything()))


PAGES = (Page(path="/relays", handler=get),)
