"""/sources -> what came to each, and how near amoCRM is to switching it off; POST …/sample: take a sample."""

from aiohttp import web

from relay.admin.console import forms
from relay.admin.console.languages import gettext as _
from relay.admin.console.page import Page, ask, render
from relay.operations.activity import SOURCES
from relay.operations.documents.samples import SampleDocument
from relay.operations.samples import SAMPLE
from relay.operations.status import STATUS, Everything


async def get(request: web.Request) -> web.Response:
    """Show the sources of the routes in force."""
    status = await ask(request, STATUS, Everything())
    sources = (await ask(request, SOURCES, Everything())).data
    return await render(request, "sources.html", seen={"sources": sources, "at": status.at}, intake=status.webhooks)


async def sample(request: web.Request) -> web.Response:
    """Have the relay take a sample, as if amoCRM had posted it."""
    return await forms.act(request, SAMPLE, {"source": request.match_info["source"]}, _taken)


def _taken(done: SampleDocument) -> str:
    return _("The sample came, and is stored as {webhook}: look at its deliveries.").format(webhook=done.webhook)


PAGES = (
    Page(path="/sources", handler=get),
    Page(path="/sources/{source}/sample", handler=sample, method="POST"),
)
