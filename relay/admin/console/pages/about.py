"""/about -> the version, the keys, and the licences of what comes from elsewhere."""

import platform
from functools import lru_cache

from aiohttp import web

from relay import __version__
from relay.admin.console.page import Page, render
from relay.admin.console.static import FOLDER

VENDOR = FOLDER / "vendor"


async def get(request: web.Request) -> web.Response:
    """Show it."""
    return await render(
        request,
        "about.html",
        version=__version__,
        python=platform.python_version(),
        vendored=sorted(each.name.removesuffix(".min.js") for each in VENDOR.glob("*.js")),
        licences=licences(),
    )


@lru_cache(maxsize=1)
def licences() -> dict[str, str]:
    """The texts that come with what is vendored, by the names of their files."""
    return {each.name: each.read_text("utf-8") for each in sorted(VENDOR.glob("*LICENSE*"))}


PAGES = (Page(path="/about", handler=get),)
