"""GET /tail -> what happens from now on: a JSON document a line, or server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from aiohttp import hdrs, web
from msgspec import Meta

from relay.admin.auth import ASKER, STILL_ADMITTED
from relay.admin.tail import HEARTBEAT, MAX_FOLLOWERS, write
from relay.model import Json
from relay.observe import EventStream
from relay.observe.event_stream import Document, Follower
from relay.operations.asker import Role
from relay.operations.documents.encoding import encode
from relay.operations.reading import parameters_of_query
from relay.operations.tail import masked_documents

T = TypeVar("T")

FLUSH_EVERY = 0.25  # seconds
NDJSON, EVENTS = "application/x-ndjson", "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """What to follow: all that is given must hold."""

    target: Annotated[str | None, Meta(description="Attempts at this target.")] = None
    failed: Annotated[bool, Meta(description="Attempts that failed, and what was refused.")] = False
    id: Annotated[str | None, Meta(description="About the lead, contact, … with this id.")] = None

    def takes(self, document: dict[str, Json]) -> bool:
        """Whether a document is shown; how many were missed always is."""
        if document["what"] in ("missed", "fault"):
            return True
        about = self.id is None or document.get("entity_id") == self.id
        aimed = self.target is None or document.get("target") == self.target
        return about and aimed and (not self.failed or _failed(document))


def _failed(document: dict[str, Json]) -> bool:
    match document["what"]:
        case "attempt":
            return bool(document["verdict"] != "delivered")
        case what:
            return what in {"refused", "unparsed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRoute:
    """How the stream is described in the OpenAPI document."""

    path: str
    role: Role
    summary: str


TAIL = TailRoute(path="/tail", role=Role.VIEWER, summary="Follow webhooks, events and attempts as they happen.")


class ApiTail:
    """Followers of the event stream, together with those of /-/tail at most `MAX_FOLLOWERS`."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Stream until the client leaves or the listener stops; at most one write in `FLUSH_EVERY`."""
        query = {name: request.query.getall(name) for name in request.query}
        tail = parameters_of_query(Tail, query, now=datetime.now(UTC))
        if self._stream.followers >= MAX_FOLLOWERS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_FOLLOWERS} follow already")
        kind, line = (EVENTS, _event) if _wants_events(request) else (NDJSON, _line)
        documents = None if request[ASKER].payloads else masked_documents
        with self._stream.following(documents) as follower, suppress(ConnectionResetError):
            response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: kind, hdrs.CACHE_CONTROL: "no-store"})
            await response.prepare(request)
            async for news in flushes(request, follower):
                text = b"".join(line(each) for each in news if tail.takes(each)) or line(None)
                await write(request, response, text)
        return response


async def flushes(
    request: web.Request, follower: Follower, *, every: float = HEARTBEAT
) -> AsyncIterator[Sequence[Document]]:
    """What happened, at most once in `FLUSH_EVERY`, until the follower ends or the token does.

    Empty if nothing did `every` so many seconds: write something, for aiohttp does not report a client that is gone.
    """
    while request[STILL_ADMITTED]() and (news := await _within(every, follower.news())) != []:
        yield news or ()
        if news:
            await asyncio.sleep(FLUSH_EVERY)


def _wants_events(request: web.Request) -> bool:
    return EVENTS in request.headers.get(hdrs.ACCEPT, "")


def _line(document: dict[str, Json] | None) -> bytes:
    return b"\n" if document is None else encode(document) + b"\n"


def _event(document: dict[str, Json] | None) -> bytes:
    """A comment is a heartbeat."""
    return b":\n\n" if document is None else b"data: " + encode(document) + b"\n\n"


async def _within(seconds: float, awaited: Awaitable[T]) -> T | None:
    """Return the result, or None on time-out."""
    try:
        async with asyncio.timeout(seconds):
            return await awaited
    except TimeoutError:
        return None
