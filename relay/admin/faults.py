"""An exception that nothing foresaw while a request was served -> the id for its answer, if one can still be given."""

from http import HTTPStatus

from aiohttp import web

from relay.http.faults import note_fault

STATUS = HTTPStatus.INTERNAL_SERVER_ERROR
KIND = "internal"
_BEGUN = web.RequestKey("begun", bool)


async def note_begun(request: web.Request, _response: web.StreamResponse) -> None:
    """Remember that an answer has begun, for `on_response_prepare`: none can stand in its place any more."""
    request[_BEGUN] = True


def is_too_late(request: web.Request) -> bool:
    """Whether there is no answer to give: one has begun, as that of a stream, or the peer has gone."""
    return _BEGUN in request or request.transport is None


def id_of(request: web.Request, error: Exception) -> str:
    """Write it to the log, and return the id that it has there. The query is left out: it may have field values."""
    return note_fault(f"{request.method} {request.path}", error)
