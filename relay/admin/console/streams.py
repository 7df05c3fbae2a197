"""HTML for a page that stays open, as server-sent events: what happens now, or a part of the page that has changed.

A stream ends with its token and with the listener. Each counts as a follower of the relay's event stream.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from aiohttp import hdrs, web

from relay.admin.api.tail import EVENTS
from relay.admin.auth import ASKER
from relay.admin.console.headers import HEADERS
from relay.admin.console.languages import language
from relay.admin.console.page import new_key
from relay.admin.shared_call import SharedCall
from relay.admin.tail import flushes, streamed, write
from relay.errors import RelayError
from relay.model import Json
from relay.observe import EventStream
from relay.observe.event_stream import Document, Documents, Follower
from relay.signals import Signal

RENEW_EVERY = timedelta(seconds=1)
HEARTBEAT = "event: alive\ndata:\n\n"
"""An event, for no script sees a comment. A page that gets nothing for 15 s says so, and connects anew."""
ENDED = "event: ended\n\n"
"""What `data-hx-sse:close` of a part waits for: it will not change any more."""
_FORM_KEY = re.compile(r'name="key" value="[^"]*"')
"""It is another one each time and for each watcher: what differs in it alone has not changed."""

Make = Callable[[], Awaitable[str]]


class Live:
    """The event stream, and the parts of pages that are being watched: each made once for all its watchers."""

    def __init__(self, stream: EventStream) -> None:
        self.stream = stream
        self._parts: dict[object, _Part] = {}

    @asynccontextmanager
    async def part(self, key: object, make: Make) -> AsyncIterator[SharedCall[str]]:
        """The part that `key` stands for; made at most once in `RENEW_EVERY`, by whoever watches it first."""
        part = self._parts.setdefault(key, _Part(SharedCall(make, every=RENEW_EVERY)))
        part.watchers += 1
        try:
            yield part.call
        finally:
            part.watchers -= 1
            if not part.watchers:
                del self._parts[key]
                await part.call.stop()

    def changed(self) -> None:
        """Have each part made anew: after an act none is sent that was made before it."""
        for part in self._parts.values():
            part.call.outdate()


@dataclass(slots=True)
class _Part:
    call: SharedCall[str]
    watchers: int = field(default=0)


LIVE: web.AppKey[Live] = web.AppKey("live", Live)


async def renew(request: web.Request, name: str, make: Make, *, while_has: str = "") -> web.StreamResponse:
    """Send a part of a page whenever it has changed. `make` may be called for all who watch it in this language.

    What cannot be made just now, since the store is busy, is sent later. It ends with the first part that lacks the
    text `while_has`.
    """
    asker, live, seen = request[ASKER], request.app[LIVE], ""
    key = name, language(), asker.role, asker.payloads
    async with live.part(key, make) as part, _following(request, _nothing) as (follower, send):
        html = await _made(part)
        await send(_part(html))
        async for _ in flushes(request, follower, every=RENEW_EVERY.total_seconds()):
            if html and while_has not in html:
                await send(ENDED)
                break
            seen, html = html, await _made(part) or html
            await send(_part(html) if _FORM_KEY.sub("", html) != _FORM_KEY.sub("", seen) else HEARTBEAT)
    return request[RESPONSE]


async def happening(
    request: web.Request, documents: Documents | None, html: Callable[[Sequence[Document]], str]
) -> web.StreamResponse:
    """Send what happens, as often as `flushes` has it, as `html` makes it of documents; nothing of none."""
    async with _following(request, documents) as (follower, send):
        async for news in flushes(request, follower):
            await send(_event(html(news)))
    return request[RESPONSE]


RESPONSE: web.RequestKey[web.StreamResponse] = web.RequestKey("response", web.StreamResponse)
Send = Callable[[str], Awaitable[None]]


@asynccontextmanager
async def _following(request: web.Request, documents: Documents | None) -> AsyncIterator[tuple[Follower, Send]]:
    if request.headers.get("Sec-Fetch-Mode") == "navigate":  # a link of another site may open tabs: none takes a place
        raise web.HTTPForbidden(text="this is for a page that follows it")
    headers = {**HEADERS, hdrs.CONTENT_TYPE: EVENTS, hdrs.CACHE_CONTROL: "no-store"}
    async with streamed(request, request.app[LIVE].stream, documents, headers) as (follower, response):
        request[RESPONSE] = response

        async def send(text: str) -> None:
            await write(request, response, text.encode())

        yield follower, send


async def _made(part: SharedCall[str]) -> str:
    """Empty if it cannot be made now."""
    with suppress(TimeoutError, RelayError):
        return await part.result()
    return ""


def _part(html: str) -> str:
    """A part for one watcher: its forms have keys of its own, for what another one does is another act."""
    return _event(_FORM_KEY.sub(lambda _form: f'name="key" value="{new_key()}"', html))


def _event(html: str) -> str:
    """One event, a line of `data:` for each line; of nothing a heartbeat."""
    return "".join(f"data: {line}\n" for line in html.splitlines()) + "\n" if html.strip() else HEARTBEAT


def _nothing(_signal: Signal) -> list[dict[str, Json]]:
    return []
