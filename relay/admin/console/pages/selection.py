"""/deliveries/replay, /deliveries/dismiss -> an act on all that a filter finds: it is counted first, and shown.

The count has an address of its own, with the filter as it was frozen then: what comes later is not in it.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aiohttp import web

from relay.admin.console import counted, forms, moments, trials
from relay.admin.console.frozen import NAMES, as_json, as_query, freeze
from relay.admin.console.page import ASKING, Page, ask, given, link, render
from relay.model import State
from relay.operations.deliveries import DELIVERIES, Deliveries
from relay.operations.desk import Operation
from relay.operations.dismiss import DISMISS
from relay.operations.reading import parameters_of_query
from relay.operations.replays import REPLAYS
from relay.operations.status import TARGETS, Everything
from relay.operations.which import Which

SAMPLE = 5
ENDED = frozenset({"state", "reason", "dismissed", "settled_since", "settled_until"})
"""Parameters that find a delivery no longer once it was replayed."""


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
        now = request.app[ASKING].now()
        wanted = moments.read(filters, now) | {"limit": [str(SAMPLE)]}
        asked = parameters_of_query(Deliveries, wanted, now=now)
        sample = await ask(request, DELIVERIES, asked)
    return await render(
        request,
        "selection.html",
        choice=choice.operation.name,
        filters=filters,
        listing=link("/deliveries", filters),
        afterwards=link("/deliveries", _afterwards(choice, filters)),
        rate=request.query.get("rate", ""),
        sample=sample,
        standing={each.target: each for each in (await ask(request, TARGETS, Everything())).data},
        trial=await trials.found(request),
        followed=await trials.followed(request),
        typed_above=counted.TYPED_ABOVE,
    )


async def count(request: web.Request, choice: Choice) -> web.Response:
    """Freeze the filter and count what it finds."""
    form = await forms.lists(request)
    which = freeze(form, request.app[ASKING].now(), otherwise=State.DEAD)
    query = {**as_query(which), "rate": form.get("rate", [])}
    return await trials.begin(request, choice.operation, _given(choice, which, form), choice.path, query)


async def act(request: web.Request, choice: Choice) -> web.Response:
    """Do it, unless more are found than were counted, or the number that was typed is another."""
    form = await forms.lists(request)
    which = freeze(form, request.app[ASKING].now(), otherwise=State.DEAD)
    most = counted.most(form)
    if refused := counted.not_typed(form, most["most"], otherwise=choice.path):
        return refused
    says = counted.replayed if choice is REPLAY else counted.dismissed
    return await forms.act(request, choice.operation, _given(choice, which, form) | most, says, shown=True)


def _given(choice: Choice, which: Which, form: counted.Lists) -> dict[str, Any]:
    if choice is REPLAY:
        return {"filter": as_json(which), **counted.rate(form)}
    return as_json(which if which.dismissed else replace(which, dismissed=None))  # only others are dismissed anyhow


def _afterwards(choice: Choice, filters: dict[str, list[str]]) -> dict[str, list[str]]:
    """The filter that still finds them when it is done."""
    return {name: filters[name] for name in filters if choice is DISMISSAL or name not in ENDED}


PAGES = tuple(
    page
    for choice in (REPLAY, DISMISSAL)
    for page in (
        Page(path=choice.path, handler=partial(get, choice=choice)),
        Page(path=choice.path, handler=partial(act, choice=choice), method="POST"),
        Page(path=f"{choice.path}/count", handler=partial(count, choice=choice), method="POST"),
    )
)
