"""/events/{id} -> an event: the body, its deliveries, attempts and answers, why these routes; replay, dismissal."""

import asyncio
from functools import partial
from typing import Any
from urllib.parse import quote

from aiohttp import web

from relay.admin.auth import ASKER
from relay.admin.console import bodies, counted, forms
from relay.admin.console.cards import card, host_of
from relay.admin.console.curl import curl
from relay.admin.console.filters import json
from relay.admin.console.page import Page, ask, fragment, render
from relay.admin.console.streams import renew
from relay.admin.console.subjects import objects_of
from relay.errors import NotFoundError, RelayError
from relay.model import State
from relay.operations.dismiss import DISMISS
from relay.operations.documents.routes import ExplanationDocument
from relay.operations.documents.webhooks import EventHistoryDocument, WebhookHistoryDocument
from relay.operations.replays import REPLAYS
from relay.operations.routes import EXPLAIN, Explain
from relay.operations.webhooks import WEBHOOK, Shown

RUNNING = "data-running"
"""In the part with the deliveries while one is pending."""


async def get(request: web.Request) -> web.Response:
    """Show an event by its id, or a start of it; an id of a webhook leads to that."""
    id_ = request.match_info["id"]
    found = await ask(request, WEBHOOK, Shown(id=id_))
    if found.webhook.id.startswith(id_):
        return forms.see_other(f"/webhooks/{found.webhook.id}")
    event = _event(found, id_)
    tree = await asyncio.to_thread(bodies.as_tree, found.webhook)
    explained, unexplained = await _explained(request, event.id if event else found.webhook.id)
    return await render(
        request,
        "event.html",
        webhook=found.webhook,
        event=event,
        **_deliveries(found, event),
        id=event.id if event else found.raw.id if found.raw else id_,
        body=bodies.as_it_came(found.webhook),
        tree=tree,
        json=bodies.text(json(event.event)) if event else None,
        enriched=bodies.text(json(event.enriched)) if event and event.enriched is not None else None,
        stories=objects_of(event.event or {}) if event else (),
        card=_card(event, found.account_host, tree.host),
        explained=explained,
        unexplained=unexplained,
        curls=_curls(explained) if request[ASKER].payloads else {},
    )


async def stream(request: web.Request) -> web.StreamResponse:
    """Send its deliveries whenever they have changed, until none is pending."""
    id_ = request.match_info["id"]
    return await renew(request, f"event {id_}", partial(_content, request), while_has=RUNNING)


async def _content(request: web.Request) -> str:
    id_ = request.match_info["id"]
    found = await ask(request, WEBHOOK, Shown(id=id_))
    values = _deliveries(found, _event(found, id_))
    return await fragment(request, "parts/event_deliveries.html", here=f"/events/{quote(id_, safe='')}", **values)


def _deliveries(found: WebhookHistoryDocument, event: EventHistoryDocument | None) -> dict[str, Any]:
    deliveries = event.deliveries if event else found.raw.deliveries if found.raw else ()
    dead = [each for each in deliveries if each.state is State.DEAD and not each.dismissed_at]
    return {
        "deliveries": deliveries,
        "running": any(each.state is State.PENDING for each in deliveries),
        "dead": len(dead) if event else 0,
    }


def _event(found: WebhookHistoryDocument, id_: str) -> EventHistoryDocument | None:
    """The one that is meant; None for the raw deliveries of a webhook that was not read."""
    named = [each for each in found.events if each.id.startswith(id_)]
    if len(named) > 1:
        raise NotFoundError(f"{len(named)} events have an id that starts with {id_[:80]!r}: {named[0].id}, …")
    return named[0] if named else None


def _card(event: EventHistoryDocument | None, configured: str, named: str) -> str | None:
    about: Any = event.event if event and event.event else {}
    data = about.get("data")
    id_ = str(data.get("id", "")) if isinstance(data, dict) else ""
    account = about.get("account")
    return card(str(about.get("entity", "")), id_, account=account, host=host_of(account, configured, named))


# ---- why these routes


async def _explained(request: web.Request, id_: str) -> tuple[ExplanationDocument | None, str]:
    """What the routes of today say of it; or why that cannot be said."""
    try:
        return await ask(request, EXPLAIN, Explain(id=id_)), ""
    except RelayError as error:
        return None, str(error)


def _curls(explained: ExplanationDocument | None) -> dict[str, bodies.Text]:
    """By target the request that it would get, as a command."""
    if explained is None:
        return {}
    parts = [each.requests for each in explained.events] + ([explained.raw["requests"]] if explained.raw else [])
    return {
        request["target"]: bodies.text(curl(request))
        for requests in parts
        for request in requests
        if "failed" not in request
    }


# ---- replay, dismissal


async def replay(request: web.Request) -> web.Response:
    """Make one delivery due now."""
    form = await forms.fields(request)
    chosen = {"target": form.get("target", ""), "state": [form.get("state", "dead")]}
    return await forms.act(request, REPLAYS, {"ids": [request.match_info["id"]], "filter": chosen}, counted.replayed)


async def dismiss(request: web.Request) -> web.Response:
    """Dismiss what is dead of it, unless more is than the page has shown."""
    given = {"ids": [request.match_info["id"]], **counted.most(await forms.lists(request))}
    return await forms.act(request, DISMISS, given, counted.dismissed)


PAGES = (
    Page(path="/events/{id}", handler=get),
    Page(path="/events/{id}/stream", handler=stream, stream=True),
    Page(path="/events/{id}/replay", handler=replay, method="POST"),
    Page(path="/events/{id}/dismiss", handler=dismiss, method="POST"),
)
