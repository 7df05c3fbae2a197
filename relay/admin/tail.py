"""GET /-/tail, GET /-/forward -> what happens from now on, one JSON document a line."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from random import random
from typing import TypeVar

from aiohttp import hdrs, web
from aiohttp.typedefs import LooseHeaders

from relay.admin.auth import ASKER, STILL_ADMITTED
from relay.admin.made_once import MadeOnce
from relay.observe import EventStream
from relay.observe.event_stream import Document, Documents, Follower
from relay.operations import forward
from relay.operations.documents.encoding import encode
from relay.operations.tail import masked_documents
from relay.routes.diagnostics import suggestion

T = TypeVar("T")

MAX_FOLLOWERS = 64
MAX_FORWARDERS = 4
"""Fewer, for each may let events of `MAX_BYTES_BEHIND` wait in memory."""
HEARTBEAT = 5.0  # seconds
FLUSH_EVERY = 0.25  # seconds, for up to `FEW` followers
FEW = 16
"""More of them share the flushes of so many: each costs time of the loop, in which webhooks are acknowledged."""
HEADERS = {hdrs.CONTENT_TYPE: "application/x-ndjson"}
EMPTY_LINE = b"\n"
"""A heartbeat: it finds out whether the client is still there, for aiohttp does not report it."""
STALLED = 30.0  # seconds in which a client reads nothing of what is written to it


class TailRoute:
    """Followers of the event stream; beyond `MAX_FOLLOWERS` they get 503, forwarders beyond `MAX_FORWARDERS`.

    `targets` are the names that a forwarder may ask for.
    """

    def __init__(self, stream: EventStream, targets: Callable[[], Collection[str]]) -> None:
        self._stream = stream
        self._targets = targets
        self._lines = MadeOnce(line)
        self._forwarders = 0

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Stream events and attempts, without what is in them, until the client leaves or the listener stops.

        An asker without payloads sees no error text and no answer either.
        """
        documents = None if request[ASKER].payloads else masked_documents
        async with streamed(request, self._stream, documents, HEADERS) as (follower, response):
            async for news in flushes(request, follower):
                await write(request, response, b"".join(map(self._lines, news)) or EMPTY_LINE)
        return response

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Stream events with their JSON; `?target=NAME`: those routed to it, `&originals=1`: with what amoCRM sent."""
        target = request.query.get("target")
        if target is not None and target not in (known := self._targets()):
            raise web.HTTPUnprocessableEntity(text=f"no target {target!r} in its routes {suggestion(target, known)}\n")
        if self._forwarders >= MAX_FORWARDERS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_FORWARDERS} forward already\n")
        self._forwarders += 1
        try:
            documents = forward.documents(target, originals="originals" in request.query)
            async with streamed(request, self._stream, documents, HEADERS) as (follower, response):
                # neither later than needed nor kept: an event may be large, and its JSON is for one forwarder alone
                while request[STILL_ADMITTED]() and (news := await _within(HEARTBEAT, follower.news())) != []:
                    await write(request, response, b"".join(map(line, news or ())) or EMPTY_LINE)
            return response
        finally:
            self._forwarders -= 1

    async def shut_down(self, _app: web.Application) -> None:
        """End every stream, so that the listener can close."""
        self._stream.end()


def line(document: Document) -> bytes:
    """A line of JSON."""
    return encode(document) + EMPTY_LINE


@asynccontextmanager
async def streamed(
    request: web.Request, stream: EventStream, documents: Documents | None, headers: LooseHeaders
) -> AsyncIterator[tuple[Follower, web.StreamResponse]]:
    """A follower of the stream, and the answer that has begun; the block ends quietly when the client has gone.

    503 if there are `MAX_FOLLOWERS` already, of whatever kind.
    """
    if stream.followers >= MAX_FOLLOWERS:
        raise web.HTTPServiceUnavailable(text=f"{MAX_FOLLOWERS} follow already\n")
    response = web.StreamResponse(headers=headers)
    with stream.following(documents) as follower:
        with suppress(ConnectionResetError):  # a client that has gone this early is noticed by the first write
            await response.prepare(request)
        with suppress(ConnectionResetError):
            yield follower, response


async def flushes(
    request: web.Request, follower: Follower, *, every: float = HEARTBEAT
) -> AsyncIterator[Sequence[Document]]:
    """What happened, at most once in `flush_every`, until the follower ends or the token does.

    Empty if nothing did `every` so many seconds: write a heartbeat.
    """
    await asyncio.sleep(FLUSH_EVERY * random())  # noqa: S311  those that came at once would be written to at once, each time
    while request[STILL_ADMITTED]() and (news := await _within(every, follower.news())) != []:
        yield news or ()
        if news:
            await asyncio.sleep(flush_every(follower.among()))


def flush_every(followers: int) -> float:
    """Seconds between two flushes to one of so many."""
    return FLUSH_EVERY * max(1.0, followers / FEW)


async def write(request: web.Request, response: web.StreamResponse, text: bytes) -> None:
    """Write to a stream; ConnectionResetError, and the connection is cut, if its client has `STALLED`.

    Else such a client would keep its place for ever, and what waits for it in memory.
    """
    try:
        async with asyncio.timeout(STALLED):
            await response.write(text)
    except TimeoutError:
        if request.transport:
            request.transport.abort()
        raise ConnectionResetError("the client reads nothing") from None


async def _within(seconds: float, awaited: Awaitable[T]) -> T | None:
    """Return the result, or None on time-out."""
    try:
        async with asyncio.timeout(seconds):
            return await awaited
    except TimeoutError:
        return None
