"""Complete small POSTs of one connection -> a callback, without the task and the request that aiohttp makes for each.

aiohttp's parser reads every byte, and aiohttp's handler serves whatever the callback does not take.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from aiohttp import HttpVersion11, web
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import _ErrInfo

from relay.http import response as responses
from relay.http.post import SMALL, Post, Receive
from relay.http.response import Response, closing_error
from relay.http.server_types import AnyResponse, Connection


class SmallPosts(web.RequestHandler):
    """aiohttp's request handler, but `receive` is offered each complete small POST before aiohttp's task wakes for it.

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
        self._before_response = before_response
        self._post: Post | None = None  # the one that waits for its response, or for the peer to read it
        self._unread: asyncio.TimerHandle | None = None  # aborts if the peer does not read

    def data_received(self, data: bytes) -> None:
        """Parse; offer the first message if nothing is due before it."""
        waiter = self._waiter
        if self._receive is None or waiter is None or waiter.done():
            super().data_received(data)
            return
        self._waiter = None  # which aiohttp would wake
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if self._messages and self._post is None:
            self._serve_next()

    def respond(self, post: Post, response: Response) -> None:
        """Write the response if the peer is still there; end the post once the peer reads, or abort after UNREAD.

        A response that cannot be written ends the connection, as with aiohttp's handler.
        """
        try:
            self._write(post, response)
        except Exception as error:  # noqa: BLE001  else the connection would wait for it for ever
            self.log_exception("Unhandled exception", exc_info=error)
            self._end(keep_alive=False)

    def _write(self, post: Post, response: Response) -> None:
        self._before_response(cast(Connection, self), response)
        transport = self.transport
        if transport is None or transport.is_closing():
            self._end(keep_alive=False)
            return
        response.write(transport, keep_alive=post.keep_alive)
        post.keep_alive = response.keep_alive
        if self._paused:
            self._unread = self._loop.call_later(responses.UNREAD, transport.abort)
        else:
            self._end(keep_alive=post.keep_alive)

    def fail(self, post: Post, error: BaseException) -> None:
        """Log a fault of the relay and answer 500, as aiohttp's handler does."""
        self.log_exception("Error handling request from %s", post.remote, exc_info=error)
        self.respond(post, closing_error(500))

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
        message, body = self._messages[0]
        if (
            not isinstance(message, _ErrInfo)
            and message.method == "POST"
            and message.version is HttpVersion11
            and not message.upgrade
            and not message.chunked
            and 0 < body.total_bytes <= SMALL
            and body.is_eof()
            and not self._buffer_paused  # aiohttp's task resumes reading
            and self._offer(message, b"".join(body._buffer))  # unread, for aiohttp's task
        ):
            self._messages.popleft()
            if self._parser is not None:
                self._parser.message_consumed()
        elif self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _offer(self, message: RawRequestMessage, body: bytes) -> bool:
        """Return whether `receive` takes it, or fails over it."""
        assert self._receive is not None  # noqa: S101  else there is no offer
        post = Post(
            self,
            peer=self.peername,
            address=message.path,
            headers=message.headers,
            body=body,
            keep_alive=not message.should_close,
        )
        self._post, self._request_in_progress = post, True
        try:
            taken = self._receive(post)
        except Exception as error:  # noqa: BLE001  a fault of ours over one post: 500, as aiohttp's handler does
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
