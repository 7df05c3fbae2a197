"""/attempts -> attempts by the time at which they began, newest first, with how long each took; and which were slow."""

from aiohttp import web

from relay.admin.console.listing import listing
from relay.admin.console.page import Page, ask, render
from relay.model import Reason
from relay.operations.attempts import ATTEMPTS
from relay.operations.status import TARGETS, Everything

FILTERS = ("target", "slower", "failed", "reason", "since", "until")


async def get(request: web.Request) -> web.Response:
    """Show one page of the listing."""
    return await render(
        request,
        "attempts.html",
        **await listing(request, ATTEMPTS, FILTERS),
        targets=[each.target for each in (await ask(request, TARGETS, Everything())).data],
        reasons=[str(each) for each in Reason],
    )


PAGES = (Page(path="/attempts", handler=get),)
