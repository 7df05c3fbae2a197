"""The files that pages load: style, scripts, the icon. Served from memory, under a hash of all of them, for ever."""

import hashlib
from mimetypes import guess_type
from pathlib import Path

from aiohttp import hdrs, web

FOLDER = Path(__file__).parent / "static"
PATH = "/static/{digest}/{name:.+}"
CANONICAL = "/static/{digest}/{name}"
"""What `auth.canonical` calls it."""
ICON = "/favicon.svg"
FOR_EVER = "public, max-age=31536000, immutable"

FILES = {
    "console.css": "console.css",
    "console.js": "console.js",
}
"""What templates call them."""


class Static:
    """Every file of the folder; one that another version of the relay asks for is served too, and not kept."""

    def __init__(self, folder: Path = FOLDER) -> None:
        found = (each for each in sorted(folder.rglob("*")) if each.is_file())
        self._files = {each.relative_to(folder).as_posix(): each.read_bytes() for each in found}
        digest = hashlib.sha256()
        for name, content in self._files.items():
            digest.update(f"{name}\n{len(content)}\n".encode() + content)
        self._digest = digest.hexdigest()[:16]

    def url(self, name: str) -> str | None:
        """The address of a file by its name in `FILES`; None if it is not there."""
        file = FILES[name]
        return f"/static/{self._digest}/{file}" if file in self._files else None

    async def get(self, request: web.Request) -> web.Response:
        """Answer with a file."""
        kept = request.match_info["digest"] == self._digest
        return self._answer(request.match_info["name"], FOR_EVER if kept else "no-store")

    async def icon(self, _request: web.Request) -> web.Response:
        """Answer with the icon."""
        return self._answer("favicon.svg", "max-age=86400")

    def _answer(self, name: str, caching: str) -> web.Response:
        if (content := self._files.get(name)) is None:
            raise web.HTTPNotFound(text="no such file\n")
        kind = guess_type(name)[0] or "application/octet-stream"
        return web.Response(body=content, content_type=kind, charset="utf-8", headers={hdrs.CACHE_CONTROL: caching})
