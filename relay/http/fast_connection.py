"""One connection to a target: the bytes of a request -> status, headers and body of its response; one at a time.

Bytes of a response go straight from the socket into aiohttp's parser, which one connection keeps for all its responses:
no queue, no task and no timer stand in between. Most targets repeat themselves: a response that is byte for byte the
one before is not parsed again, as the parser starts each response in the same state. aiohttp's private ends: the base
of its protocols, which pauses and resumes, and its parser.
"""

import asyncio
import select
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol, Self, TypeAlias, cast

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.connector import Connection
from aiohttp.helpers import EMPTY_BODY_STATUS_CODES
from aiohttp.http import HttpProcessingError, HttpResponseParser
from multidict import CIMultiDictProxy

from relay.http.client import BODY_CHUNK, NotHttp
from relay.http.tolerant_parser import Messages, TolerantParser, is_interim

MAX_INTERIM = 1_000  # 1xx responses before the final one; one read may bring thousands
READ_BUFFER = 256 * 1024  # bytes of a body; at twice as many the socket is not read until some are taken
MAX_REPEATED = 4 * 1024  # bytes of a response that a connection keeps, to recognize its repetition

Head: TypeAlias = tuple[int, CIMultiDictProxy[str], bytes | aiohttp.StreamReader]
"""Status, headers, and the body: bytes if one read brought all of it with the head."""


class Pool(Protocol):
    """Where a connection comes from."""

    def keep(self, connection: "FastConnection") -> None:
        """Give it to a later request."""

    def drop(self, connection: "FastConnection") -> None:
        """Abort it."""


class FastConnection(BaseProtocol):
    """Made by aiohttp's connector, which closes it by `close`, `abort` and `closed`, and knows it as `opened`.

    From `head` to `end` it is a `TargetResponse` itself. What arrives before the first request is taken for its
    response; what arrives between two ends the connection.
    """

    key: Any  # of the pool
    opened: Connection
    pool: Pool
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes | aiohttp.StreamReader

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.opened_at = self.idle_since = monotonic()
        self._input = select.poll()
        self._closed: asyncio.Future[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._last = False  # no request may follow on this connection
        self._answering = True
        self._head: Head | None = None
        self._interim = 0
        self._parsed = False  # the parser was fed since the last request
        self._only_read: bytes | None = None  # the response so far, if it came in one read
        self._repeated: tuple[bytes | None, Head | None] = None, None  # a response of before, and what was read in it
        parser: Any = HttpResponseParser(
            self,
            loop,
            READ_BUFFER,
            payload_exception=aiohttp.ClientPayloadError,
            read_until_eof=True,
            auto_decompress=False,
        )
        self._response_parser = TolerantParser(parser, self)
        self._parser = cast(Any, self._response_parser)  # where aiohttp's base pauses it

    # ---- one request

    def ask(self, written: bytes, *, last: bool = False) -> "asyncio.Future[None] | None":
        """Write a request. Wait for what is returned, if anything; then call `head`.

        `last`: the request asks for the connection to be closed, so no other may follow, whatever the response says.
        """
        if not self._answering:
            self._answering, self._head = True, None
        self._last = self._last or last
        if self.transport:  # without one `head` raises the reason
            self.transport.write(written[:BODY_CHUNK])
            if len(written) > BODY_CHUNK:
                self._writing = self._loop.create_task(self._write_rest(written))
        if self._head is None and self._error is None:
            self._waiter = self._loop.create_future()
        return self._waiter

    def head(self) -> Self:
        """Take the response as far as it has arrived, or raise why there is none."""
        self._waiter = None
        if self._head is None:
            raise self._error or aiohttp.ServerDisconnectedError
        if self._writing and not self._writing.done():  # no other request may be written in between
            self._last = True
        self.status, self.headers, self.body = self._head
        return self

    def end(self) -> None:
        """The response is done with: return the connection to the pool if it can carry another request."""
        if self.ended():
            self.pool.keep(self)
        else:
            self.pool.drop(self)

    def ended(self) -> bool:
        """Expect no more of the response. True if all was written, all was read, and nothing came after it."""
        self._answering = False
        self.idle_since = monotonic()
        transport = self.transport
        return (
            not self._last
            and self._error is None
            and self._head is not None
            and transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
            and not self._reading_paused
            and (not self._parsed or self._parsing_ended())
        )

    def has_input(self) -> bool:
        """Bytes, or the end of the stream, wait in the socket or were read already."""
        transport = self.transport
        return transport is None or transport.is_closing() or bool(self._input.poll(0))

    def abort(self) -> None:
        """Drop the write buffer: a close would write it first, which a target that does not read never lets end."""
        if self.transport:
            self.transport.abort()

    close = abort

    @property
    def closed(self) -> "asyncio.Future[None] | None":
        """Done once the connection is lost; None if it is."""
        if self.transport and not self._closed:
            self._closed = self._loop.create_future()
        return self._closed

    # ---- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        super().connection_made(transport)
        self._input.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Read the response as far as these bytes go."""
        if not self._answering or self._error:
            self.abort()
            return
        if data == self._repeated[0] and not self._parsed and self._head is None:
            self._head = self._repeated[1]
            self._wake()
            return
        self._only_read = None if self._parsed or self._head or len(data) > MAX_REPEATED else data
        self._parsed = True
        try:
            messages, upgraded, _ = self._response_parser.feed_data(data)
        except Exception as error:  # noqa: BLE001  whatever the parser raises
            self._fail(NotHttp(error.message if isinstance(error, HttpProcessingError) else "Bad Request"), error)
            self.abort()
            return
        if messages:
            self._take(messages)
        if upgraded:  # to a protocol that we do not speak
            self.abort()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Only if it was paused: aiohttp asks for it at the end of each body."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the response that is being read, or raise in `head`."""
        incomplete = None
        try:
            incomplete = self._response_parser.feed_eof()
        except Exception as error:  # noqa: BLE001  whatever the parser raises
            if self._head and not isinstance(body := self._head[2], bytes):
                body.set_exception(aiohttp.ClientPayloadError(f"Response payload is not completed: {error!r}"))
        if isinstance(exc, OSError):
            self._fail(aiohttp.ClientOSError(*exc.args), exc)
        elif illegible := self._response_parser.illegible:
            self._fail(NotHttp(illegible.message), illegible)
        else:
            self._fail(exc or aiohttp.ServerDisconnectedError(incomplete))
        super().connection_lost(exc)
        if self._closed and not self._closed.done():
            self._closed.set_result(None)

    # ----

    def _parsing_ended(self) -> bool:
        """True if the response is complete and nothing follows it: the parser is ready for the next one."""
        body = cast(Head, self._head)[2]
        if not (isinstance(body, bytes) or body.is_eof()) or not self._response_parser.ended_cleanly():
            return False
        self._response_parser.begin()
        self._parsed, self._interim = False, 0
        if self._only_read:
            self._repeated = self._only_read, self._head
        return True

    def _take(self, messages: Messages) -> None:
        """The final response, after interim ones; or what follows it, which is for nobody."""
        for message, body in messages:
            if self._head is not None or self._error is not None:
                self._last = True
                self.abort()
            elif is_interim(message.code):
                self._interim += 1
                if self._interim > MAX_INTERIM:
                    self._fail(aiohttp.ClientError(f"{MAX_INTERIM} interim responses (1xx) without a final one"))
            else:
                none = message.code in EMPTY_BODY_STATUS_CODES
                whole = b"" if none else body.read_nowait() if body.is_eof() else body
                self._head = message.code, message.headers, whole
                self._last = self._last or message.should_close
                self._wake()

    def _fail(self, error: BaseException, cause: BaseException | None = None) -> None:
        if self._error is None:
            error.__cause__ = cause
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def _write_rest(self, written: bytes) -> None:
        """Write all but the first chunk, each when the write buffer has drained to its low-water mark."""
        with suppress(OSError):  # `head` raises the reason
            for start in range(BODY_CHUNK, len(written), BODY_CHUNK):
                await self._drain_helper()
                if self.transport:
                    self.transport.write(written[start : start + BODY_CHUNK])
