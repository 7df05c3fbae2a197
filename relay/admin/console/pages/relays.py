"""/relays -> the relays that share the store, with their routes and spools; have the store verified."""

from aiohttp import web

from relay.admin.console import forms
from relay.admin.console.flash import Flash
from relay.admin.console.languages import gettext as _
from relay.admin.console.page import Page, ask, render
from relay.operations.documents.verified import VerifiedDocument
from relay.operations.status import STATUS, Everything
from relay.operations.verify import VERIFY


async def get(request: web.Request) -> web.Response:
    """Show each relay; one that is gone until its spool is known to be empty."""
    return await render(request, "relays.html", state_now=await ask(request, STATUS, Everything()))


async def verify(request: web.Request) -> web.Response:
    """Have a process beside this relay verify the store."""
    return await forms.act(request, VERIFY, {}, _verified)


def _verified(found: VerifiedDocument) -> Flash:
    if found.sound:
        return Flash(kind="done", text=_("The store is sound."))
    return Flash(kind="failed", text=_("The store is not sound: the newest of the acts says what to do."))


PAGES = (
    Page(path="/relays", handler=get),
    Page(path="/relays/verify", handler=verify, method="POST"),
)
