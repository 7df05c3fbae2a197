"""A request -> its body as it came, in time, within its limit, and only if there is memory for it."""

import asyncio

from aiohttp import HttpVersion11, StreamReader, web

from relay.ingest.budget import BESIDES, Reservation


class TooLarge(Exception):
    """It is over the limit, or says that it will be."""


class Incomplete(Exception):
    """It did not arrive; the text says why."""


async def read_body(request: web.BaseRequest, place: Reservation, *, most: int, within: float) -> bytes:
    """At most so many bytes, within so many seconds; takes its room in `place`.

    Raises TooLarge, Incomplete, or Full.
    """
    try:
        if request.content.is_eof():  # it came with the headers, as most do
            return _arrived(request.content, place, most)
        async with asyncio.timeout(within):  # aiohttp has no such limit of its own
            return await _read(request, place, most)
    except TimeoutError:
        raise Incomplete(f"the body did not arrive within {within:g} s") from None
    except (OSError, web.PayloadAccessError, EOFError) as error:
        raise Incomplete(f"the body did not arrive: {type(error).__name__}") from None


def _arrived(content: StreamReader, place: Reservation, most: int) -> bytes:
    body = content.read_nowait()
    place.take(BESIDES + len(body))
    if len(body) > most:
        raise TooLarge
    return body


async def _read(request: web.BaseRequest, place: Reservation, most: int) -> bytes:
    if (request.content_length or 0) > most:
        raise TooLarge
    place.take(BESIDES)
    await _ask_for(request)
    body = bytearray()
    async for piece in request.content.iter_any():
        place.take(len(piece))
        body += piece
        if len(body) > most:
            raise TooLarge
    return bytes(body)


async def _ask_for(request: web.BaseRequest) -> None:
    """Who asked whether to send it (RFC 9110 §10.1.1) waits for our yes."""
    if request.headers.get("expect", "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the answer itself was sent
