"""GET /tail -> what happens from now on: a JSON document a line, or server-sent events."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from aiohttp import hdrs, web
from msgspec import Meta

from relay.admin.auth import ASKER
from relay.admin.made_once import MadeOnce
from relay.admin.tail import EMPTY_LINE, flushes, line, streamed, write
from relay.model import Json
from relay.observe import EventStream
from relay.observe.event_stream import Document
from relay.operations.asker import Role
from relay.operations.documents.encoding import encode
from relay.operations.reading import parameters_of_query
from relay.operations.tail import masked_documents

NDJSON, EVENTS = "application/x-ndjson", "text/event-stream"
COMMENT = b":\n\n"
"""A heartbeat of server-sent events."""


class Only(StrEnum):
    """`incoming`: events, and what was refused, unparsed, a duplicate or a probe."""

    INCOMING = "incoming"
    ATTEMPTS = "attempts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """What to follow: all that is given must hold."""

    target: Annotated[str | None, Meta(description="Attempts at this target.")] = None
    failed: Annotated[bool, Meta(description="Attempts that failed, and what was refused.")] = False
    id: Annotated[str | None, Meta(description="About the lead, contact, … with this id.")] = None
    only: Annotated[Only | None, Meta(description="What comes in, or attempts.")] = None

    def takes(self, document: dict[str, Json]) -> bool:
        """Whether a document is shown; how many were missed always is."""
        if document["what"] in ("missed", "fault"):
            return True
        about = self.id is None or document.get("entity_id") == self.id
        aimed = self.target is None or document.get("target") == self.target
        kind = self.only is None or (document["what"] == "attempt") is (self.only is Only.ATTEMPTS)
        return about and aimed and kind and (not self.failed or _failed(document))


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
        self._lines = MadeOnce(line)
        self._events = MadeOnce(_event)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Stream until the client leaves or the listener stops; at most one write in `flush_every` seconds."""
        query = {name: request.query.getall(name) for name in request.query}
        tail = parameters_of_query(Tail, query, now=datetime.now(UTC))
        kind, made, idle = (
            (EVENTS, self._events, COMMENT) if _wants_events(request) else (NDJSON, self._lines, EMPTY_LINE)
        )
        documents = None if request[ASKER].payloads else masked_documents
        headers = {hdrs.CONTENT_TYPE: kind, hdrs.CACHE_CONTROL: "no-store"}
        async with streamed(request, self._stream, documents, headers) as (follower, response):
            async for news in flushes(request, follower):
                text = b"".join(made(each) for each in news if tail.takes(each)) or idle
                await write(request, response, text)
        return response


def _wants_events(request: web.Request) -> bool:
    return EVENTS in request.headers.get(hdrs.ACCEPT, "")


def _event(document: Document) -> bytes:
    return b"data: " + encode(document) + b"\n\n"
