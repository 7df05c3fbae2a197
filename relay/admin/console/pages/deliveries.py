"""/deliveries -> the table of deliveries, newest first; every filter is in the address."""

from collections.abc import Mapping

from aiohttp import web

from relay.admin.console.languages import gettext as _
from relay.admin.console.listing import listing
from relay.admin.console.page import Page, ask, asked, fragment, given, link, render
from relay.admin.console.pages.unrouted import FILTERS as UNROUTED_FILTERS
from relay.admin.console.streams import renew
from relay.model import Reason, State
from relay.operations.deliveries import DELIVERIES, Deliveries
from relay.operations.status import TARGETS, Everything

FILTERS = (
    "state", "target", "route", "entity", "action", "id", "pipeline", "reason", "source", "account", "since", "until",
    "dismissed", "settled_since", "settled_until",
)  # fmt: skip
"""Parameters of the operation that narrow the listing, in the order of the form."""

OF_ATTEMPTS = frozenset({"target", "reason", "since", "until"})
OF_DELIVERIES = frozenset({"state", "route", "reason", "dismissed", "settled_since", "settled_until"})
"""What an event has only if a route took it; a target is one that it may have been meant for."""
OF_EVENTS = frozenset({"entity", "action", "id", "pipeline"})
"""What a webhook has only if it could be read."""


async def get(request: web.Request) -> web.Response:
    """Show one page of the listing."""
    values = await listing(request, DELIVERIES, FILTERS)
    return await render(
        request,
        "deliveries.html",
        **values,
        elsewhere=_elsewhere(values["filters"]),
        targets=[each.target for each in (await ask(request, TARGETS, Everything())).data],
        follow=request.query.get("follow") == "true" and "before" not in given(request),
        states=[str(each) for each in State],
        reasons=[str(each) for each in Reason],
    )


def _elsewhere(filters: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    """Pages that may have what no delivery is, with the same filter as far as they have one, and what they show."""
    pages = []
    if not filters.keys() - OF_ATTEMPTS - OF_DELIVERIES and filters.get("state") != ["delivered"]:
        same = {name: filters[name] for name in filters if name in OF_ATTEMPTS}
        pages.append(
            (link("/attempts", same, failed="true"), _("failed attempts, by the time at which they were made"))
        )
    if not filters.keys() & OF_DELIVERIES:
        same = {name: filters[name] for name in filters if name in UNROUTED_FILTERS}
        pages.append((link("/unrouted", same, by="event"), _("events that no route took")))
    if not filters.keys() & {*OF_DELIVERIES, *OF_EVENTS}:
        pages.append((link("/unparsed", {}), _("webhooks that could not be read")))
    return pages


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
