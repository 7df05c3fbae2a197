"""/login, /logout, /sessions/end -> a token is shown once, and the browser has a cookie for it, or none any more."""

from http import HTTPStatus

from aiohttp import hdrs, web

from relay.admin.auth import ASKER, TOKEN_CHECK
from relay.admin.console import forms
from relay.admin.console.flash import Flash
from relay.admin.console.languages import gettext as _
from relay.admin.console.page import SESSIONS, Page, own_path, render
from relay.operations.access import Expired
from relay.operations.asker import Asker
from relay.operations.sessions import END_SESSIONS, SessionsEndedDocument


async def ask_for_token(request: web.Request) -> web.Response:
    """Show the form; whoever has a cookie, or needs none, is led on."""
    following = own_path(request.query.get("next"))
    if ASKER in request:
        return forms.see_other(following)
    return await render(request, "login.html", following=following, refused="")


async def log_in(request: web.Request) -> web.Response:
    """Give a cookie for the right token. Wrong ones are counted as those in a header are."""
    form = await forms.fields(request)
    following, token = own_path(form.get("next")), form.get("token", "").strip()
    check, sessions = request.app.get(TOKEN_CHECK), request.app.get(SESSIONS)
    if check is None or sessions is None:  # on loopback without tokens nobody logs in
        return forms.see_other(following)
    asker = check.asker(token) if token else None
    if isinstance(asker, Asker):
        response = forms.see_other(following)
        await sessions.begin(response, asker)
        return response
    refusal = check.refusal(request, asker, guess=bool(token))
    page = await render(
        request, "login.html", status=refusal.status, following=following, refused=_said(refusal, asker)
    )
    if wait := refusal.headers.get(hdrs.RETRY_AFTER):
        page.headers[hdrs.RETRY_AFTER] = wait
    return page


def _said(refusal: web.HTTPException, asker: Expired | None) -> str:
    if refusal.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _("Too many wrong tokens came from this address: wait a minute.")
    if asker:
        return _("This token has expired: have it replaced with relay access rotate.")
    return _("This is not a token of this relay.")


async def log_out(request: web.Request) -> web.Response:
    """Take the cookie back."""
    response = forms.see_other("/login", Flash(kind="done", text=_("Logged out.")))
    if sessions := request.app.get(SESSIONS):
        sessions.end(response)
    return response


async def end_all(request: web.Request) -> web.Response:
    """End every session, this one too."""
    response = await forms.act(request, END_SESSIONS, {}, _ended)
    if sessions := request.app.get(SESSIONS):
        sessions.all_ended()
    return response


def _ended(_done: SessionsEndedDocument) -> str:
    return _("Everybody has to log in again.")


PAGES = (
    Page(path="/login", handler=ask_for_token, public=True),
    Page(path="/login", handler=log_in, method="POST", public=True),
    Page(path="/logout", handler=log_out, method="POST"),
    Page(path="/sessions/end", handler=end_all, method="POST"),
)
