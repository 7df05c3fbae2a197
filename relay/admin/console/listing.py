"""The query of a page -> values of its template: one page of a listing, its filters, what is wrong with their times."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from relay.admin.console import browser_zone, moments
from relay.admin.console.page import ASKING, ask, asked, given, link
from relay.operations.desk import Operation


async def listing(
    request: web.Request, operation: Operation[Any, Any], filters: Sequence[str], **named: str
) -> dict[str, Any]:
    """Ask for the page, with what is `named` beside the query; status 400 and no rows if a time cannot be read.

    `filters`: the parameters that narrow the listing, in the order of the form. A form sent with a zone is shown at
    the address that has instants.
    """
    instants = browser_zone.instants(request, request.app[ASKING].now())
    if instants is not None:
        raise web.HTTPSeeOther(link(request.path, instants))
    query = given(request)
    parameters, wrong = moments.tried(lambda: asked(request, operation.parameters, **named))
    return {
        "found": await ask(request, operation, parameters) if parameters else operation.document(data=()),
        "moments": moments.shown(parameters),
        "wrong": wrong,
        "status": 400 if wrong else 200,
        "filters": {name: query[name] for name in filters if name in query},
        "query": query,
    }
