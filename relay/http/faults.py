"""An exception that nothing foresaw -> an answer with an id, which stands in the log with the traceback.

It goes the way of aiohttp's own, by its logger: tokens in paths are masked, and of one kind ten lines a second are
written.
"""

from aiohttp import web
from aiohttp.log import server_logger
from uuid_utils import uuid7

from relay.http.response import Response, closing_error
from relay.http.server_types import Respond


def note_fault(what: str, error: BaseException) -> str:
    """Write a fault of `what` to the log, once; return its id, which the line has as `request`."""
    id_ = str(uuid7())
    server_logger.error("a fault of the relay: %s", what, exc_info=error, extra={"request": id_})
    return id_


def fault_response(remote: str | None, error: BaseException) -> Response:
    """Answer 500 and log the fault: without the path, for the token may be anywhere in it."""
    return closing_error(500, request=note_fault(f"a request from {remote}", error))


def answering_faults(respond: Respond) -> Respond:
    """The same, but it raises nothing: aiohttp would answer with a text of its own, a time-out without a line."""

    async def answer(request: web.BaseRequest) -> Response:
        try:
            return await respond(request)
        except Exception as error:  # noqa: BLE001  one bad request must not become an answer of aiohttp's
            return fault_response(request.remote, error)

    return answer
