"""/deliveries/replay, /deliveries/dismiss -> an act on all that a filter finds: it is counted first, and shown.

The count has an address of its own, with the filter as it was frozen then: what comes later is not in it.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from relay.admin.console import forms, trials
from relay.admin.console.flash import Flash
from relay.admin.console.frozen import NAMES, as_json, as_query, freeze
from relay.admin.console.languages import gettext as _
from relay.admin.console.languages import ngettext
from relay.admin.console.page import ASKING, Page, ask, given, link, own_path, render
from relay.model import State
from relay.operations.deliveries import DELIVERIES, Deliveries
from relay.operations.desk import Operation
from relay.operations.dismiss import DISMISS
from relay.operations.documents.acts_done import DismissDocument
from relay.operations.documents.replays import ReplayDocument
from relay.operations.reading import Fault, InvalidParameters, parameters_of_query
from relay.operations.replays import REPLAYS
from relay.operations.status import TARGETS, Everything
from relay.operations.which import Which
from relay.routes.diagnostics import quoted

SAMPLE = 5
TYPED_ABOVE = 1_000
"""For an act on more than so many, the number has to be typed."""

MOST_DIGITS = 18
"""Of a number in a form: it is one of 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of the two acts: its address, and the operation behind it."""

    path: str
    operation: Operation[Any, Any]


REPLAY = Choice(path="/deliveries/replay", operation=REPLAYS)
DISMISSAL = Choice(path="/deliveries/dismiss", operation=DISMISS)


async def get(request: web.Request, choice: Choice) -> web.Response:
    """Show what the filter found when it was counted, and some of it; or the filter that is to be counted."""
    query = given(request)
    filters = {name: query[name] for name in NAMES if name in query}
    sample = None
    if filters:
        asked = parameters_of_query(Deliveries, {**filters, "limit": [str(SAMPLE)]}, now=request.app[ASKING].now())
        sample = await ask(request, DELIVERIES, asked)
    return render(
        request,
        "selection.html",
        choice=choice.operation.name,
        filters=filters,
        listing=link("/deliveries", filters),
        rate=request.query.get("rate", ""),
        sample=sample,
        standing={each.target: each for each in (await ask(request, TARGETS, Everything())).data},
        trial=await trials.found(request),
        typed_above=TYPED_ABOVE,
    )


async def count(request: web.Request, choice: Choice) -> web.Response:
    """Freeze the filter and count what it finds."""
    form = await forms.lists(request)
    which = freeze(form, request.app[ASKING].now(), otherwise=State.DEAD)
    rate = form.get("rate", [""])[0]
    query = {**as_query(which), "rate": [rate] if rate else []}
    return await trials.begin(request, choice.operation, _given(choice, which, rate), choice.path, query)


async def act(request: web.Request, choice: Choice) -> web.Response:
    """Do it, unless more are found than were counted, or the number that was typed is another."""
    form = await forms.lists(request)
    which = freeze(form, request.app[ASKING].now(), otherwise=State.DEAD)
    counted = _number(form, "count")
    if counted > TYPED_ABOVE and form.get("typed", [""])[0].strip() != str(counted):
        said = _("Nothing was done: type the number {count} to say that all of them are meant.").format(count=counted)
        again = own_path(form.get("again", [""])[0], otherwise=choice.path)
        return forms.see_other(again, Flash(kind="failed", text=said))
    asked = _given(choice, which, form.get("rate", [""])[0]) | {"most": counted}
    says = _replayed if choice is REPLAY else _dismissed
    return await forms.act(request, choice.operation, asked, says)


def _given(choice: Choice, which: Which, rate: str) -> dict[str, Any]:
    wanted = as_json(which)
    if choice is DISMISSAL:
        return wanted
    return {"filter": wanted} | ({"rate": _rate(rate)} if rate else {})


def _rate(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidParameters(Fault(pointer="/rate", detail=f"{quoted(text[:80])} is not a number")) from None


def _number(form: dict[str, list[str]], name: str) -> int:
    text = form.get(name, [""])[0]
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise InvalidParameters(Fault(pointer=f"/{name}", detail=f"{quoted(text[:80])} is not a number"))
    return int(text)


def _replayed(done: ReplayDocument) -> str:
    text = ngettext("{count} delivery is due now.", "{count} deliveries are due now.", done.done)
    return text.format(count=done.done)


def _dismissed(done: DismissDocument) -> str:
    text = ngettext("{count} dead delivery was dismissed.", "{count} dead deliveries were dismissed.", done.deliveries)
    return text.format(count=done.deliveries)


PAGES = tuple(
    page
    for choice in (REPLAY, DISMISSAL)
    for page in (
        Page(path=choice.path, handler=partial(get, choice=choice)),
        Page(path=choice.path, handler=partial(act, choice=choice), method="POST"),
        Page(path=f"{choice.path}/count", handler=partial(count, choice=choice), method="POST"),
    )
)
