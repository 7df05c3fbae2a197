"""/webhooks/{id} -> what came, as it came and as a tree, and every event that was made of it; …/body: the bytes."""

import asyncio

from aiohttp import hdrs, web

from relay.admin.auth import ASKER
from relay.admin.console import bodies
from relay.admin.console.page import Page, ask, render
from relay.operations.webhooks import WEBHOOK, Shown


async def get(request: web.Request) -> web.Response:
    """Show a webhook by its id, or a start of it."""
    found = await ask(request, WEBHOOK, Shown(id=request.match_info["id"]))
    tree = await asyncio.to_thread(bodies.as_tree, found.webhook)
    return await render(request, "webhook.html", found=found, body=bodies.as_it_came(found.webhook), tree=tree)


async def body(request: web.Request) -> web.Response:
    """Answer with the whole body, to be kept as a text file: no browser takes it for a page."""
    request[ASKER].demand_payloads("the body of a webhook")
    found = await ask(request, WEBHOOK, Shown(id=request.match_info["id"]))
    return web.Response(
        body=found.webhook.bytes_of_body(),
        content_type="text/plain",
        charset="utf-8",
        headers={hdrs.CONTENT_DISPOSITION: f'attachment; filename="{found.webhook.id}.txt"'},
    )


PAGES = (
    Page(path="/webhooks/{id}", handler=get),
    Page(path="/webhooks/{id}/body", handler=body),
)
