"""Request -> body, unchanged: within its size limit, in time, and only if the budget has room for it."""

import asyncio

from aiohttp import HttpVersion11, StreamReader, web

from relay.ingest.answers import Reject
from relay.ingest.budget import OVERHEAD, Reservation
from relay.signals import Rejection


async def read_body(request: web.BaseRequest, reservation: Reservation, *, limit: int, timeout: float) -> bytes:  # noqa: ASYNC109  it is said in the answer
    """Read at most `limit` bytes within `timeout` seconds; grow the reservation by what was read.

    Raises Reject (413, or 408 if the body is incomplete) or BudgetExceeded.
    """
    try:
        if request.content.is_eof():  # it came with the headers, as most do
            return _buffered(request.content, reservation, limit)
        async with asyncio.timeout(timeout):  # aiohttp has no such limit of its own
            return await _read(request, reservation, limit)
    except TimeoutError:
        raise _incomplete(f" within {timeout:g} s") from None
    except (OSError, web.PayloadAccessError, EOFError) as error:
        raise _incomplete(f": {type(error).__name__}") from None


def _buffered(content: StreamReader, reservation: Reservation, limit: int) -> bytes:
    body = content.read_nowait()
    reservation.grow(OVERHEAD + len(body))
    if len(body) > limit:
        raise _too_large(limit)
    return body


async def _read(request: web.BaseRequest, reservation: Reservation, limit: int) -> bytes:
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    reservation.grow(OVERHEAD)
    await _send_continue(request)
    body = bytearray()
    async for piece in request.content.iter_any():
        reservation.grow(len(piece))
        body += piece
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


async def _send_continue(request: web.BaseRequest) -> None:
    """Send 100 to a client that waits for it before it sends the body (RFC 9110 §10.1.1)."""
    if request.headers.get("expect", "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # no byte of the final answer is sent yet


def _too_large(limit: int) -> Reject:
    return Reject(413, Rejection.TOO_LARGE, f"the body is larger than --max-body, {limit} bytes")


def _incomplete(why: str) -> Reject:
    return Reject(408, Rejection.INCOMPLETE, f"the body did not arrive{why}")
