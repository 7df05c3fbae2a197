"""/routes -> the routes in force: hits, what may be a mistake, who is notified, the text, and what was loaded when."""

from typing import TypeVar

from aiohttp import web

from relay.admin.console import forms
from relay.admin.console.counted import MOST_DIGITS
from relay.admin.console.flash import Flash
from relay.admin.console.languages import gettext as _
from relay.admin.console.languages import ngettext
from relay.admin.console.page import Page, ask, render
from relay.admin.console.sentences import said_of_file
from relay.errors import NotFoundError
from relay.operations.activity import ACTIVITY
from relay.operations.audits import AUDIT, Audit
from relay.operations.desk import Operation
from relay.operations.documents.notify import NotifyTestDocument
from relay.operations.documents.routes import ReloadDocument
from relay.operations.notify_test import NOTIFY_TEST
from relay.operations.reloads import RELOAD, ROUTES, Nothing
from relay.operations.status import STATUS, Everything

D = TypeVar("D")
RELOADS = 5
"""So many of the last ones are shown."""


async def get(request: web.Request) -> web.Response:
    """Show the file in force and how its routes are used."""
    found = await ask(request, ROUTES, Nothing())
    counted = await _if_any(request, ACTIVITY)
    return await render(
        request,
        "routes.html",
        found=found,
        lines=found.text.split("\n"),
        hits={each.route: each for each in counted.routes} if counted else {},
        since=counted.since if counted else None,
        files=(await ask(request, STATUS, Everything())).files,
        reloads=(await ask(request, AUDIT, Audit(command="reload", limit=RELOADS))).data,
    )


async def _if_any(request: web.Request, operation: Operation[Everything, D]) -> D | None:
    try:
        return await ask(request, operation, Everything())
    except NotFoundError:
        return None


async def reload(request: web.Request) -> web.Response:
    """Load the files again."""
    return await forms.act(request, RELOAD, {}, _reloaded, failed=_not_loaded)


def _reloaded(done: ReloadDocument) -> str:
    return " ".join([_("Loaded: {files}.").format(files=", ".join(done.activated)), *done.warnings])


def _not_loaded(why: str) -> str:
    """The first error: the page has all of them."""
    first, *more = why.split("\n")
    text = _("Not loaded: what was in force stays in force. {error}").format(error=said_of_file(first))
    if not more:
        return text
    others = ngettext("And {n} more, see below.", "And {n} more, see below.", len(more)).format(n=len(more))
    return f"{text} {others}"


async def notify_test(request: web.Request) -> web.Response:
    """Send a test to one receiver of notifications."""
    to = (await forms.fields(request)).get("to", "")
    number = to.isdecimal() and len(to) <= MOST_DIGITS
    return await forms.act(request, NOTIFY_TEST, {"to": int(to) if number else to}, _tested)


def _tested(done: NotifyTestDocument) -> Flash:
    said = [
        (_("{receiver}: sent.") if each.result == "sent" else _("{receiver}: not sent: {answer}")).format(
            receiver=each.receiver, answer=" ".join(each.answer.split())
        )
        for each in done.receivers
    ]
    sent = all(each.result == "sent" for each in done.receivers)
    return Flash(kind="done" if sent else "failed", text=" ".join(said))


PAGES = (
    Page(path="/routes", handler=get),
    Page(path="/routes/notify-test", handler=notify_test, method="POST"),
    Page(path="/routes/reload", handler=reload, method="POST"),
)
