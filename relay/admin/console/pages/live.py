"""/live -> what happens now, a row each, below the others; without JavaScript the last attempts, again every 10 s."""

from collections.abc import Iterable, Sequence
from functools import partial

from aiohttp import web

from relay.admin.api.tail import Only, Tail
from relay.admin.auth import ASKER
from relay.admin.console.live_rows import ROWS, LiveRows
from relay.admin.console.page import ASKING, Page, ask, given, link, render
from relay.admin.console.streams import happening
from relay.model import Json
from relay.observe.event_stream import Document
from relay.operations.attempts import ATTEMPTS, Attempts
from relay.operations.deliveries import DELIVERIES, Deliveries
from relay.operations.documents.attempts import MadeAttemptDocument
from relay.operations.documents.deliveries import DeliveryDocument
from relay.operations.reading import parameters_of_query
from relay.operations.status import TARGETS, Everything
from relay.operations.tail import masked_documents
from relay.operations.which import MAX_PAGE
from relay.rfc3339 import rfc3339

FIRST = 20
"""Attempts, or events, that stand there at first."""
LOOKED_AT = 200
PARAMETERS = ("target", "failed", "id", "only")
"""Of the page and of its stream."""
MOST = 50
"""Rows in one flush; of more it says how many were left out."""


async def get(request: web.Request) -> web.Response:
    """Show the last attempts, and the place for what comes."""
    tail, query = _tail(request), given(request)
    last = await (_arrived(request, tail) if tail.only is Only.INCOMING else _made(request, tail))
    return await render(
        request,
        "live.html",
        query=query,
        refresh=request.query.get("refresh") == "1",
        stream=link("/live/stream", {name: query[name] for name in PARAMETERS if name in query}),
        targets=[each.target for each in (await ask(request, TARGETS, Everything())).data],
        documents=[each for each in last if tail.takes(each)][:FIRST][::-1],
        choices=[*Only],
        narrowed=any(name in query for name in PARAMETERS),
    )


async def _made(request: web.Request, tail: Tail) -> list[Document]:
    """The last attempts, newest first."""
    asked = Attempts(failed=tail.failed, target=tail.target, limit=LOOKED_AT)
    return [_document(each) for each in (await ask(request, ATTEMPTS, asked)).data]


async def _arrived(request: web.Request, tail: Tail) -> list[Document]:
    """The last events that a route took, newest first."""
    found = await ask(request, DELIVERIES, Deliveries(id=tail.id, limit=MAX_PAGE))
    return [_event(of_one) for of_one in _by_event(found.data)]


def _by_event(deliveries: Iterable[DeliveryDocument]) -> list[list[DeliveryDocument]]:
    found: dict[str, list[DeliveryDocument]] = {}
    for each in deliveries:
        found.setdefault(each.event, []).append(each)
    return [*found.values()]


async def stream(request: web.Request) -> web.StreamResponse:
    """Send a row for each thing that happens."""
    documents = None if request[ASKER].payloads else masked_documents
    return await happening(request, documents, partial(_html, request.app[ROWS], _tail(request)))


def _html(rows: LiveRows, tail: Tail, news: Sequence[Document]) -> str:
    taken = [each for each in news if tail.takes(each)]
    missed: list[Document] = [{"what": "missed", "number": len(taken) - MOST}] if len(taken) > MOST else []
    return "".join(map(rows.html, taken[:MOST] + missed))


def _tail(request: web.Request) -> Tail:
    query = {name: values for name, values in given(request).items() if name != "refresh"}
    return parameters_of_query(Tail, query, now=request.app[ASKING].now())


def _event(deliveries: Sequence[DeliveryDocument]) -> Document:
    """A stored event, as the stream would have shown it but for its source."""
    [first, *_] = deliveries
    return {
        "what": "event",
        "at": rfc3339(first.received_at),
        "source": "",
        "event": first.event,
        "type": first.type,
        "entity_id": first.entity_id,
        "routes": sorted({route for each in deliveries for route in each.routes}),
    }


def _document(made: MadeAttemptDocument) -> dict[str, Json]:
    """A stored attempt, as the stream would have shown it."""
    attempt = made.attempt
    return {
        "what": "attempt",
        "at": rfc3339(attempt.started_at),
        "target": made.target,
        "event": made.event,
        "type": made.type,
        "entity_id": made.entity_id,
        "attempt": attempt.number,
        "status": attempt.status,
        "took": attempt.took,
        "reason": attempt.reason,
        "detail": attempt.detail,
        "verdict": attempt.verdict,
    }


PAGES = (
    Page(path="/live", handler=get),
    Page(path="/live/stream", handler=stream, stream=True),
)
