"""/ -> is all well: findings with what to do, targets, sources, the routes file, relays; and how to begin."""

from functools import partial
from typing import Any

from aiohttp import web

from relay.admin.auth import ASKER
from relay.admin.console.page import Page, ask, fragment, render
from relay.admin.console.spark import spark
from relay.admin.console.streams import renew
from relay.errors import StoreError
from relay.operations.documents.overview import OverviewDocument
from relay.operations.overview import OVERVIEW
from relay.operations.status import Everything

LATEST = web.AppKey("latest overview", dict[bool, OverviewDocument])
"""What was shown last, by whether it has field values: the page stands while the store is busy."""


async def get(request: web.Request) -> web.Response:
    """Show the state of the relay."""
    return await render(request, "overview.html", refresh=request.query.get("refresh") == "1", **await _values(request))


async def stream(request: web.Request) -> web.StreamResponse:
    """Send the page's content whenever it has changed."""
    return await renew(request, "overview", partial(_content, request))


async def _content(request: web.Request) -> str:
    return await fragment(request, "parts/overview.html", path="/", here="/", **await _values(request))


async def _values(request: web.Request) -> dict[str, Any]:
    """The overview; as it was, if the store cannot be asked now."""
    latest, payloads = request.app[LATEST], request[ASKER].payloads
    try:
        seen = latest[payloads] = await ask(request, OVERVIEW, Everything())
        why = ""
    except StoreError as error:
        if payloads not in latest:
            raise
        seen, why = latest[payloads], str(error)
    status, hours = seen.status, seen.activity.targets if seen.activity else {}
    return {
        "seen": seen,
        "why": why,
        "standing": status,
        "files": status.files if isinstance(status.files, dict) else {},
        "sparks": {name: spark(hour) for name, hour in hours.items()},
        "silent": [each.route for each in seen.activity.routes if each.silent_7d] if seen.activity else [],
        "unrouted": seen.activity.unrouted_24h if seen.activity and status.webhooks.unrouted else 0,
        "first_start": status.webhooks.last_at is None,
    }


PAGES = (
    Page(path="/", handler=get),
    Page(path="/overview/stream", handler=stream, stream=True),
)
