"""POST /language: the choice of a language, kept for a year."""

from datetime import timedelta

from aiohttp import web

from relay.admin.console import forms
from relay.admin.console.languages import COOKIE, ENGLISH, languages
from relay.admin.console.page import Page, own_path

YEAR = timedelta(days=365)


async def choose(request: web.Request) -> web.Response:
    """Keep the choice, and show the page again."""
    form = await forms.fields(request)
    wanted = form.get("language", "")
    response = forms.see_other(own_path(form.get(forms.BACK)))
    chosen = wanted if wanted in languages() else ENGLISH
    response.set_cookie(COOKIE, chosen, max_age=int(YEAR.total_seconds()), path="/", httponly=True, samesite="Lax")
    return response


PAGES = (Page(path="/language", handler=choose, method="POST", public=True),)
