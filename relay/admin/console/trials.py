"""A dry run before an act: what it found has an address of its own, so that a reload of the page asks nothing again."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from relay.admin.auth import ASKER
from relay.admin.console.confirmed import CONFIRMED, TRIAL
from relay.admin.console.flash import Flash
from relay.admin.console.forms import see_other
from relay.admin.console.page import ASKING, ask
from relay.errors import NotFoundError, RelayError
from relay.operations.acts import ACT, OneAct
from relay.operations.desk import Operation
from relay.operations.documents.acts import ActDocument

Query = Mapping[str, str | list[str]]


async def begin(
    request: web.Request,
    operation: Operation[Any, Any],
    given: Mapping[str, Any],
    path: str,
    query: Mapping[str, str | list[str]],
) -> web.Response:
    """Have the operation count, then show the page that shows what it found."""
    asked = {name: value for name, value in query.items() if value}
    try:
        acted = await request.app[ASKING].act(request[ASKER], operation, {**given, "dry_run": True}, key=None)
    except RelayError as error:
        return see_other(_address(path, asked), Flash(kind="failed", text=str(error)))
    return see_other(_address(path, asked | {TRIAL: acted.id}))


async def found(request: web.Request) -> ActDocument | None:
    """What the dry run of this address found, or that it goes on; None if there was none, or it is forgotten."""
    return await _known(request, request.query.get(TRIAL))


async def followed(request: web.Request) -> ActDocument | None:
    """The act that was done after the dry run of this address; None if there was none, or it is forgotten."""
    after = request.app[CONFIRMED].of(request.query.get(TRIAL, ""))
    return await _known(request, (after.act or None) if after else None)


async def _known(request: web.Request, id_: str | None) -> ActDocument | None:
    if id_ is None:
        return None
    try:
        return await ask(request, ACT, OneAct(act=id_))
    except NotFoundError:
        return None


def _address(path: str, query: Query) -> str:
    return f"{path}?{urlencode(query, doseq=True)}" if query else path
