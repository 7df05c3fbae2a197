"""/preferences -> the theme, and the keys: what each does, and whether they do."""

from aiohttp import web

from relay.admin.console import forms
from relay.admin.console.flash import Flash
from relay.admin.console.languages import gettext as _
from relay.admin.console.page import Page, render
from relay.admin.console.preferences import KEYS, THEMES, keep

CHOICES = {"theme": THEMES, "keys": KEYS}


async def get(request: web.Request) -> web.Response:
    """Show the choices."""
    return await render(request, "preferences.html", themes=THEMES)


async def choose(request: web.Request) -> web.Response:
    """Keep what the form says, and show its page again."""
    form = await forms.fields(request)
    response = forms.back(form, Flash(kind="done", text=_("Kept in this browser.")))
    for name, choices in CHOICES.items():
        if (chosen := form.get(name)) in choices:
            keep(response, name, str(chosen))
    return response


PAGES = (
    Page(path="/preferences", handler=get, public=True),
    Page(path="/preferences", handler=choose, method="POST", public=True),
)
