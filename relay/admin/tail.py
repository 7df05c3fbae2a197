"""GET /-/tail -> what happens from now on, one JSON document a line."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

import orjson
from aiohttp import hdrs, web

from relay.observe import EventStream

T = TypeVar("T")

MAX_FOLLOWERS = 16
HEARTBEAT = 5.0  # seconds


class TailRoute:
    """Followers of the event stream; beyond `MAX_FOLLOWERS` they get 503."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Stream documents until the client leaves or the listener stops. Empty lines are heartbeats."""
        if self._stream.followers >= MAX_FOLLOWERS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_FOLLOWERS} follow already\n")
        with self._stream.following() as follower, suppress(ConnectionResetError):
            response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "application/x-ndjson"})
            await response.prepare(request)
            while (news := await _within(HEARTBEAT, follower.news())) != []:
                # the empty line finds out whether the client is still there: aiohttp does not report it
                await response.write(b"".join(orjson.dumps(each) + b"\n" for each in news or ()) or b"\n")
        return response

    async def shut_down(self, _app: web.Application) -> None:
        """End every stream, so that the listener can close."""
        self._stream.end()


async def _within(seconds: float, awaited: Awaitable[T]) -> T | None:
    """Return the result, or None on time-out."""
    try:
        async with asyncio.timeout(seconds):
            return await awaited
    except TimeoutError:
        return None
