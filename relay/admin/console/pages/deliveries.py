"""/deliveries -> the table of deliveries, newest first; every filter is in the address."""

from aiohttp import web

from relay.admin.console.listing import listing
from relay.admin.console.page import Page, ask, asked, fragment, given, link, render
from relay.admin.console.streams import renew
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
    return await render(
        request,
        "deliveries.html",
        **await listing(request, DELIVERIES, FILTERS),
        targets=[each.target for each in (await ask(request, TARGETS, Everything())).data],
        follow=request.query.get("follow") == "true" and "before" not in given(request),
        states=[str(each) for each in State],
        reasons=[str(each) for each in Reason],
    )


async def news(request: web.Request) -> web.StreamResponse:
    """Send how many came since the `first` row of a page that stays open; its rows stay where they are."""
    query, first = given(request), request.query.get("first", "")
    parameters = asked(request, Deliveries)

    async def make() -> str:
        found = (await ask(request, DELIVERIES, parameters)).data
        rows = [f"{each.event} {each.target}" for each in found]
        number = rows.index(first) if first in rows else len(rows)
        address = link("/deliveries", query, follow="true")
        return await fragment(request, "deliveries_news.html", number=number, most=parameters.limit, address=address)

    return await renew(request, f"deliveries {request.query_string}", make)


PAGES = (
    Page(path="/deliveries", handler=get),
    Page(path="/deliveries/news", handler=news, stream=True),
)
