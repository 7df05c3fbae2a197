"""Acts on many that were counted before: how the rate and the numbers of their forms are read, and what is said."""

from collections.abc import Mapping

from aiohttp import web

from relay.admin.console import forms
from relay.admin.console.flash import Flash
from relay.admin.console.languages import gettext as _
from relay.admin.console.languages import ngettext
from relay.admin.console.page import own_path
from relay.operations.documents.acts_done import DismissDocument
from relay.operations.documents.replays import ReplayDocument
from relay.operations.reading import Fault, InvalidParameters
from relay.routes.diagnostics import quoted

TYPED_ABOVE = 1_000
"""For an act on more than so many, the number has to be typed."""

MOST_DIGITS = 18
"""Of a number in a form: it is one of 64 bits."""

Lists = Mapping[str, list[str]]


def rate(form: Lists) -> dict[str, float]:
    """The parameter of the operation; none if the field was left empty. InvalidParameters if it is no number."""
    text = form.get("rate", [""])[0]
    try:
        return {"rate": float(text)} if text else {}
    except ValueError:
        raise InvalidParameters(Fault(pointer="/rate", detail=f"{quoted(text[:80])} is not a number")) from None


def most(form: Lists) -> dict[str, int]:
    """The parameter of the operation: how many were counted. InvalidParameters if the form does not say it."""
    text = form.get("count", [""])[0]
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise InvalidParameters(Fault(pointer="/count", detail=f"{quoted(text[:80])} is not a number"))
    return {"most": int(text)}


def not_typed(form: Lists, counted: int, *, otherwise: str) -> web.Response | None:
    """The answer to a form for many in which their number was not typed; None if it need not be, or was."""
    if counted <= TYPED_ABOVE or form.get("typed", [""])[0].strip() == str(counted):
        return None
    said = _("Nothing was done: type the number {count} to say that all of them are meant.").format(count=counted)
    return forms.see_other(
        own_path(form.get(forms.AGAIN, [""])[0], otherwise=otherwise), Flash(kind="failed", text=said)
    )


def replayed(done: ReplayDocument) -> Flash:
    """What a replay did; that none was left to replay is neither good nor bad."""
    if not done.done:
        text = _("Nothing was left to replay: they went out meanwhile, or somebody else acted on them.")
        return Flash(kind="note", text=text)
    text = ngettext("{count} delivery is due now.", "{count} deliveries are due now.", done.done)
    return Flash(kind="done", text=text.format(count=done.done))


def dismissed(done: DismissDocument) -> str:
    """What a dismissal did."""
    text = ngettext("{count} dead delivery was dismissed.", "{count} dead deliveries were dismissed.", done.deliveries)
    return text.format(count=done.deliveries)
