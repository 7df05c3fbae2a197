"""/targets/{target} -> its state and settings; POST …/probe and …/drop: a test request, and giving up what waits."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from aiohttp import web

from relay.admin.auth import ASKER
from relay.admin.console import forms
from relay.admin.console.flash import Flash
from relay.admin.console.languages import gettext as _
from relay.admin.console.page import Page, ask, fragment, render
from relay.admin.console.spark import spark
from relay.admin.console.streams import renew
from relay.errors import NotFoundError, RoutesInvalid
from relay.model import State
from relay.operations.activity import ACTIVITY
from relay.operations.attempts import ATTEMPTS, Attempts
from relay.operations.deliveries import DELIVERIES, Deliveries
from relay.operations.documents.activity import LastHourDocument
from relay.operations.documents.acts_done import DropDocument, ProbeDocument
from relay.operations.documents.deliveries import DeliveryDocument
from relay.operations.documents.listing import Listing
from relay.operations.documents.status import StatusDocument, TargetDocument
from relay.operations.documents.target_settings import TargetSettingsDocument
from relay.operations.drop import DROP
from relay.operations.probe import PROBE
from relay.operations.status import STATUS, TARGET, Everything, OneTarget
from relay.operations.target_settings import TARGET_SETTINGS
from relay.operations.which import MAX_PAGE

FEW = 10  # rows of each list
MOST = 100_000
SPANS = tuple(timedelta(minutes=1) / 4**step for step in range(8))  # down to 4 ms


async def get(request: web.Request) -> web.Response:
    """Show one target; a page says so if there is none of this name."""
    name, now = request.match_info["target"], await _now(request)
    target: TargetDocument = now["target"]
    return await render(
        request,
        "target.html",
        **now,
        failed=await ask(request, ATTEMPTS, Attempts(target=name, failed=True, limit=FEW)),
        oldest=await _oldest(request, target),
        pending=await ask(request, DELIVERIES, Deliveries(target=name, state=(State.PENDING,), limit=FEW)),
    )


async def stream(request: web.Request) -> web.StreamResponse:
    """Send its state, buttons and facts whenever they have changed, all of one moment."""
    return await renew(request, f"target {request.match_info['target']}", partial(_content, request))


async def _content(request: web.Request) -> str:
    here = f"/targets/{quote(request.match_info['target'], safe='')}"
    return await fragment(request, "parts/target_now.html", here=here, **await _now(request))


async def _now(request: web.Request) -> dict[str, Any]:
    """What the part of the page that renews itself is made of."""
    name = request.match_info["target"]
    status, target = await _state(request)
    hour = await _last_hour(request, name) if status.daemon is not None else None
    return {
        "target": target,
        "standing": status,
        "settings": await _settings(request, name),
        "drawn": spark(hour) if hour else None,
    }


async def _state(request: web.Request) -> tuple[StatusDocument, TargetDocument]:
    """NotFoundError, which says what it may be instead, if there is none of this name."""
    name = request.match_info["target"]
    status = await ask(request, STATUS, Everything())
    found = next((each for each in status.targets if each.target == name), None)
    if found is None:
        found = await ask(request, TARGET, OneTarget(target=name))
    return status, found


async def _oldest(request: web.Request, target: TargetDocument) -> Listing[DeliveryDocument] | None:
    """The first of the backlog, the oldest first: where there is an order, others wait behind them.

    None where the newest ones are all there are, and for a backlog in which to look would take long. Listings begin
    with the newest, so the span to list gets shorter until all of it is on one page.
    """
    if target.oldest_at is None or not FEW < target.pending <= MOST:
        return None
    for span in SPANS:
        asked = Deliveries(target=target.target, state=(State.PENDING,), until=target.oldest_at + span, limit=MAX_PAGE)
        found = await ask(request, DELIVERIES, asked)
        if found.searched_to:
            return None
        if found.next is None:
            break
    return replace(found, data=found.data[: -FEW - 1 : -1])


async def _settings(request: web.Request, name: str) -> TargetSettingsDocument | None:
    """None for a target that the routes do not name, or if they cannot be used."""
    try:
        return await ask(request, TARGET_SETTINGS, OneTarget(target=name))
    except (NotFoundError, RoutesInvalid):
        return None


async def _last_hour(request: web.Request, name: str) -> LastHourDocument | None:
    try:
        return (await ask(request, ACTIVITY, Everything())).targets.get(name)
    except NotFoundError:
        return None


async def probe(request: web.Request) -> web.Response:
    """Send a test request, and say what it returned."""
    form = await forms.fields(request)
    given = {"target": request.match_info["target"], "method": form.get("method", "OPTIONS")}
    payloads = request[ASKER].payloads
    return await forms.act(request, PROBE, given, lambda done: _probed(done, payloads=payloads))


def _is_well(done: ProbeDocument) -> bool:
    """Whether it answered without an error; one that has no such method is there all the same."""
    return done.status is not None and (
        done.status < HTTPStatus.BAD_REQUEST or done.status == HTTPStatus.METHOD_NOT_ALLOWED
    )


def _probed(done: ProbeDocument, *, payloads: bool) -> Flash:
    return Flash(kind="done" if _is_well(done) else "failed", text=_answered(done, payloads=payloads))


def _answered(done: ProbeDocument, *, payloads: bool) -> str:
    what = done.reason if done.status is None else str(done.status)
    detail = f": {done.detail}" if done.detail and payloads else ""
    took = round(done.took * 1000)
    if done.reached:
        return _("{target} answered {what} after {took} ms{detail}").format(
            target=done.target, what=what, took=took, detail=detail
        )
    return _("{target} was not reached: {what} after {took} ms{detail}").format(
        target=done.target, what=what, took=took, detail=detail
    )


async def drop(request: web.Request) -> web.Response:
    """Give up what waits for a target that the routes no longer name."""
    return await forms.act(request, DROP, {"target": request.match_info["target"]}, _dropped)


def _dropped(done: DropDocument) -> str:
    return _("{target}: {dropped} pending given up, {dismissed} dead dismissed.").format(
        target=done.target, dropped=done.dropped, dismissed=done.dismissed
    )


PAGES = (
    Page(path="/targets/{target}", handler=get),
    Page(path="/targets/{target}/drop", handler=drop, method="POST"),
    Page(path="/targets/{target}/stream", handler=stream, stream=True),
    Page(path="/targets/{target}/probe", handler=probe, method="POST"),
)
