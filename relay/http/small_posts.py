"""Complete small POSTs of one connection -> a callback, without the task and the request that aiohttp makes for each.

aiohttp's parser reads every byte, and aiohttp's handler serves whatever the callback does not take.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import _ErrInfo

from relay.http import response as responses
from relay.http.faults import fault_response
from relay.http.post import SMALL, Post, Receive
from relay.http.response import Response
from relay.http.server_types import AnyResponse, Connection


class SmallPosts(web.RequestHandler):
    """aiohttp's request handler, but `receive` is offered each complete small POST before aiohttp's task wakes for it.

    Complete: its head and its body came in one read.

    While a post waits for its response, that task sleeps on `_waiter`, as on an idle connection, and pipelined requests
    stay in `_messages`. So nothing that aiohttp does to idle connections (keep-alive timer, shutdown) may happen to it.
    """

    __slots__ = ("_before_response", "_post", "_receive", "_unread")

    def __init__(
        self,
        manager: web.Server,
        *,
        receive: Receive | None,
        before_response: Callable[[Connection, AnyResponse], None],
        **more: Any,
    ) -> None:
        super().__init__(manager, **more)
        self._receive = receive
        self._before_response: Callable[[Any, AnyResponse], None] = before_response
        self._post: Post | None = None  # the one that waits for its response, or for the peer to read it
        self._unread: asyncio.TimerHandle | None = None  # aborts if the peer does not read

    def data_received(self, data: bytes) -> None:
        """Parse; offer the first message if nothing is due before it."""
        waiter = self._waiter
        parser: Any = self._parser
        if self._receive is None or waiter is None or waiter.done():  # as once the connection is to be closed
            super().data_received(data)
            return
        alone = False
        if self._post is None and parser is not None and not (self._upgraded or self._force_close):
            try:
                parsed = parser.feed_data(data)
            except HttpProcessingError as error:
                parsed = error
            else:
                alone = len(parsed[0]) == 1
                if alone and self._takes(*parsed[0][0]):  # as nearly every post: aiohttp need not queue it
                    self._request_count += 1
                    parser.message_consumed()
                    return
            self._parser = _Parsed(parsed)  # type: ignore[assignment]
        if not alone:
            self._waiter = None  # which aiohttp would wake
        try:
            super().data_received(data)
        finally:
            self._parser, self._waiter = parser, waiter
        if self._messages and self._post is None and not alone:
            self._serve_next()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Do nothing if nothing was paused: aiohttp's parser calls it at the end of each body."""
        if resume_parser or self._reading_paused:
            super().resume_reading(resume_parser)

    def respond(self, post: Post, response: Response) -> None:
        """Write the response if the peer is still there; end the post once the peer reads, or abort after UNREAD.

        A response that cannot be written ends the connection, as with aiohttp's handler.
        """
        keep_alive = False
        try:
            self._before_response(self, response)
            transport = self.transport
            if transport is not None and not transport.is_closing():
                response.write(transport, keep_alive=post.keep_alive)
                keep_alive = response.keep_alive
                if self._paused:
                    post.keep_alive = keep_alive
                    self._unread = self._loop.call_later(responses.UNREAD, transport.abort)
                    return
        except Exception as error:  # noqa: BLE001  else the connection would wait for it for ever
            self.log_exception("Unhandled exception", exc_info=error)
        self._end(keep_alive=keep_alive)

    def fail(self, post: Post, error: BaseException) -> None:
        """Log a fault of the relay and answer 500."""
        self.respond(post, fault_response(post.remote, error))

    def resume_writing(self) -> None:
        """The peer has read."""
        super().resume_writing()
        if self._unread:
            self._end(keep_alive=self._post is not None and self._post.keep_alive)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End a response that nobody reads; a post that waits for its response is processed all the same."""
        super().connection_lost(exc)
        if self._unread:
            self._end(keep_alive=False)

    def _serve_next(self) -> None:
        """Have `receive` take the first message, or wake aiohttp's task for it."""
        if self._takes(*self._messages[0]):
            self._messages.popleft()
            if self._parser is not None:
                self._parser.message_consumed()
        elif self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _takes(self, message: Any, body: StreamReader) -> bool:
        """Offer a message if it is a complete small POST; return whether `receive` takes it, or fails over it.

        The body is not read, only looked at, for aiohttp's task if `receive` declines.
        """
        if (
            type(message) is _ErrInfo
            or message.method != "POST"
            or message.version is not HttpVersion11
            or message.upgrade
            or message.chunked
            or not 0 < body.total_bytes <= SMALL
            or not body._eof
            or self._buffer_paused  # aiohttp's task resumes reading
        ):
            return False
        pieces = body._buffer
        receive: Any = self._receive
        self._post = post = Post(
            self,
            peer=self.peername,
            address=message.path,
            headers=message.headers,
            body=pieces[0] if len(pieces) == 1 else b"".join(pieces),
            keep_alive=not message.should_close,
        )
        self._request_in_progress = True
        try:
            taken: bool = receive(post)
        except Exception as error:  # noqa: BLE001  a fault of ours over one post: 500
            self._loop.call_soon(self.fail, post, error)
            return True
        if not taken:
            self._post, self._request_in_progress = None, False
        return taken

    def _end(self, *, keep_alive: bool) -> None:
        """Do what aiohttp's task does after a response: close, or start the idle timer and serve the next message."""
        self._post, self._request_in_progress = None, False
        if self._unread:
            self._unread.cancel()
            self._unread = None
        if self._handler_waiter and not self._handler_waiter.done():  # aiohttp's shutdown waits for the response
            self._handler_waiter.set_result(None)
        lost = self.transport is None or self.transport.is_closing()  # aiohttp's task must not wake for a request then
        if lost or not keep_alive or self._close or self._force_close:
            self.force_close()  # flushes
            return
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)
        if self._messages:
            self._serve_next()

    def _process_keepalive(self) -> None:
        """Close the connection if it is idle; after a post `_end` starts the timer anew."""
        if self._post is None:
            super()._process_keepalive()
        else:
            self._keepalive_handle = None


class _Parsed:
    """What the parser made of some bytes: stands in for the parser when aiohttp feeds it the same bytes."""

    __slots__ = ("_result",)

    def __init__(self, result: Any) -> None:
        self._result = result

    def feed_data(self, _data: bytes) -> Any:
        """Return what the parser returned, or raise what it raised."""
        if isinstance(self._result, Exception):
            raise self._result
        return self._result
