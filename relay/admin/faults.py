"""An exception that nothing foresaw -> an id for the answer, which stands in the log with the traceback.

It goes the way of aiohttp's own, by its logger: tokens in paths are masked, and of one kind ten lines a second are
written.
"""

from http import HTTPStatus

from aiohttp import web
from aiohttp.log import server_logger
from uuid_utils import uuid7

STATUS = HTTPStatus.INTERNAL_SERVER_ERROR
KIND = "internal"
_BEGUN = web.RequestKey("begun", bool)


async def note_begun(request: web.Request, _response: web.StreamResponse) -> None:
    """Remember that an answer has begun, for `on_response_prepare`: none can stand in its place any more."""
    request[_BEGUN] = True


def has_begun(request: web.Request) -> bool:
    """Whether the exception came in the midst of an answer, as that of a stream."""
    return _BEGUN in request


def id_of(request: web.Request, error: Exception) -> str:
    """Write it to the log, and return the id that it has there. The query is left out: it may have field values."""
    return noted(f"{request.method} {request.path}", error)


def noted(what: str, error: BaseException) -> str:
    """Write a fault of `what` to the log, once; return its id."""
    id_ = str(uuid7())
    server_logger.error("a fault of the relay: %s, request %s", what, id_, exc_info=error)
    return id_
