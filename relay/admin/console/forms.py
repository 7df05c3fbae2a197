"""A POST form -> an act, and back to the page with a sentence of what came of it (303)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiDictProxy

from relay.admin.auth import ASKER
from relay.admin.console import flash
from relay.admin.console.confirmed import CONFIRMED, TRIAL
from relay.admin.console.flash import Flash
from relay.admin.console.languages import gettext as _
from relay.admin.console.page import ASKING, WAITING, own_path
from relay.admin.console.sentences import said
from relay.admin.console.streams import LIVE
from relay.errors import RelayError
from relay.operations.desk import Operation
from relay.operations.reading import Fault, InvalidParameters

P = TypeVar("P")
D = TypeVar("D")

Posted = MultiDictProxy[str | bytes | bytearray | web.FileField]

KEY, BACK, AGAIN = "key", "back", "again"
"""Hidden fields: the idempotency key, made with the form; where to go afterwards, and where if it was not done."""


async def posted(request: web.Request) -> Posted:
    """What a form sent, files too; InvalidParameters if the body is no form."""
    try:
        return await request.post()
    except (HttpProcessingError, LookupError, ValueError) as error:  # a part's header, the charset, a byte or boundary
        raise InvalidParameters(Fault(pointer="", detail="the form cannot be read: send it from its page")) from error


async def fields(request: web.Request) -> dict[str, str]:
    """The fields of a form: the last value of each, files aside."""
    form = await posted(request)
    return {name: value for name, value in form.items() if isinstance(value, str)}


async def lists(request: web.Request) -> dict[str, list[str]]:
    """The fields of a form, each with all its values; empty ones say nothing."""
    form = await posted(request)
    found = {name: [str(each).strip() for each in form.getall(name)] for name in form}
    return {name: kept for name, values in found.items() if (kept := [each for each in values if each])}


async def act(
    request: web.Request,
    operation: Operation[P, D],
    given: Mapping[str, Any],
    says: Callable[[D], str | Flash],
    *,
    shown: bool = False,
    failed: Callable[[str], str] = said,
) -> web.Response:
    """Do it once for the key of the form, then show the page it came from; an error of the desk is said there.

    What was counted first is done once for that count: to another form of it the act is shown.
    `shown`: if it went well, it leads to the page of the act. `failed`: what is said of an error of the desk.
    """
    form, confirmed = await fields(request), request.app[CONFIRMED]
    asker, trial, key = request[ASKER], form.get(TRIAL, ""), form.get(KEY)
    try:
        asker.demand(operation.role)  # before the count is looked up: whoever may not act learns nothing of acts
        before = confirmed.of(trial)
        if before and before.key != key:
            text = _("This was done before: nothing was done again.")
            return see_other(f"/acts/{before.act}" if before.act else "/acts", Flash(kind="note", text=text))
        with confirmed.held(trial, key) as followed:
            acted = await request.app[ASKING].act(asker, operation, given, key=key)
            followed.act = acted.id
    except RelayError as error:
        return see_other(own_path(form.get(AGAIN, form.get(BACK))), Flash(kind="failed", text=failed(str(error))))
    request.app[WAITING].changed()
    request.app[LIVE].changed()
    if acted.document is None:
        return see_other(f"/acts/{acted.id}", Flash(kind="done", text=_("Begun; it goes on.")))
    done = says(acted.document)
    done = done if isinstance(done, Flash) else Flash(kind="done", text=done)
    if before:
        twice = _("It was sent twice, and done once.")
        done = replace(done, text=f"{done.text} {twice}")
    return see_other(f"/acts/{acted.id}", done) if shown and done.kind == "done" else back(form, done)


def back(form: Mapping[str, str], said: Flash) -> web.Response:
    """Show the page that the form was on, with a sentence."""
    return see_other(own_path(form.get(BACK)), said)


def see_other(path: str, said: Flash | None = None) -> web.Response:
    """Show another page (303), with a sentence."""
    response = web.Response(status=303, headers={"Location": path})
    if said:
        flash.put(response, said)
    return response
