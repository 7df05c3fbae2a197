"""GET /-/tail, GET /-/forward -> what happens from now on, one JSON document a line."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import TypeVar

import orjson
from aiohttp import hdrs, web

from relay.admin.auth import ASKER, STILL_ADMITTED
from relay.observe import EventStream
from relay.observe.event_stream import Documents
from relay.operations import forward
from relay.operations.tail import masked_documents
from relay.routes.diagnostics import suggestion

T = TypeVar("T")

MAX_FOLLOWERS = 64
MAX_FORWARDERS = 4
"""Fewer, for each may let events of `MAX_BYTES_BEHIND` wait in memory."""
HEARTBEAT = 5.0  # seconds
STALLED = 30.0  # seconds in which a client reads nothing of what is written to it


class TailRoute:
    """Followers of the event stream; beyond `MAX_FOLLOWERS` they get 503, forwarders beyond `MAX_FORWARDERS`.

    `targets` are the names that a forwarder may ask for.
    """

    def __init__(self, stream: EventStream, targets: Callable[[], Collection[str]]) -> None:
        self._stream = stream
        self._targets = targets
        self._forwarders = 0

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Stream events and attempts, without what is in them, until the client leaves or the listener stops.

        An asker without payloads sees no error text and no answer either.
        """
        return await self._follow(request, None if request[ASKER].payloads else masked_documents)

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Stream events with their JSON; `?target=NAME`: those routed to it, `&originals=1`: with what amoCRM sent."""
        target = request.query.get("target")
        if target is not None and target not in (known := self._targets()):
            raise web.HTTPUnprocessableEntity(text=f"no target {target!r} in its routes {suggestion(target, known)}\n")
        if self._forwarders >= MAX_FORWARDERS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_FORWARDERS} forward already\n")
        self._forwarders += 1
        try:
            return await self._follow(request, forward.documents(target, originals="originals" in request.query))
        finally:
            self._forwarders -= 1

    async def _follow(self, request: web.Request, documents: Documents | None) -> web.StreamResponse:
        """Write one document a line; empty lines are heartbeats."""
        if self._stream.followers >= MAX_FOLLOWERS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_FOLLOWERS} follow already\n")
        with self._stream.following(documents) as follower, suppress(ConnectionResetError):
            response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "application/x-ndjson"})
            await response.prepare(request)
            while request[STILL_ADMITTED]() and (news := await _within(HEARTBEAT, follower.news())) != []:
                # the empty line finds out whether the client is still there: aiohttp does not report it
                text = b"".join(orjson.dumps(each) + b"\n" for each in news or ()) or b"\n"
                await write(request, response, text)
        return response

    async def shut_down(self, _app: web.Application) -> None:
        """End every stream, so that the listener can close."""
        self._stream.end()


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
