"""/ -> is all well: problems with what to do, targets, sources, the routes file, relays; and how to begin."""

from aiohttp import web

from relay.admin.auth import ASKER
from relay.admin.console.page import Page, ask, render
from relay.admin.console.spark import spark
from relay.errors import StoreError
from relay.operations.documents.overview import OverviewDocument
from relay.operations.overview import OVERVIEW
from relay.operations.status import Everything

LATEST = web.AppKey("latest overview", dict[bool, OverviewDocument])
"""What was shown last, by whether it has field values: the page stands while the store is busy."""


async def get(request: web.Request) -> web.Response:
    """Show the state of the relay; as it was, if the store cannot be asked now."""
    latest, payloads = request.app[LATEST], request[ASKER].payloads
    try:
        seen = latest[payloads] = await ask(request, OVERVIEW, Everything())
        why = ""
    except StoreError as error:
        if payloads not in latest:
            raise
        seen, why = latest[payloads], str(error)
    status, hours = seen.status, seen.activity.targets if seen.activity else {}
    return render(
        request,
        "overview.html",
        seen=seen,
        why=why,
        standing=status,
        files=status.files if isinstance(status.files, dict) else {},
        sparks={name: spark(hour) for name, hour in hours.items()},
        silent=[each.route for each in seen.activity.routes if each.silent_7d] if seen.activity else [],
        first_start=status.webhooks.last_at is None,
    )


PAGES = (Page(path="/", handler=get),)
