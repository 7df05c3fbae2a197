"""A POST that is complete, with a small body, as a listener offers it to `receive` before it makes a request of it."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from multidict import CIMultiDictProxy

from relay.http.response import Response

SMALL = 64 * 1024  # bytes of a body


class Post:
    """A complete POST. Its receiver calls `respond` or `fail`, once, and not before `receive` has returned.

    `address`: path and query as they came. `keep_alive`: the connection may stay open after the response.
    """

    __slots__ = ("_connection", "_peer", "address", "body", "headers", "keep_alive")

    def __init__(
        self,
        connection: "Answering",
        *,
        peer: Any,
        address: str,
        headers: CIMultiDictProxy[str],
        body: bytes,
        keep_alive: bool,
    ) -> None:
        self._connection = connection
        self._peer = peer  # the connection knows it only while it is open
        self.address = address
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive

    @property
    def remote(self) -> str | None:
        """The peer's address."""
        peer = self._peer
        return str(peer[0]) if isinstance(peer, tuple) else peer

    def respond(self, response: Response) -> None:
        """Send the response, if the client is still there."""
        self._connection.respond(self, response)

    def fail(self, error: BaseException) -> None:
        """Log a fault of the relay and answer 500."""
        self._connection.fail(self, error)


Receive: TypeAlias = Callable[[Post], bool]
"""Takes a post, or returns False: it is served as any other request."""


class Answering(Protocol):
    """The connection of a post."""

    def respond(self, post: Post, response: Response) -> None:
        """See `Post.respond`."""

    def fail(self, post: Post, error: BaseException) -> None:
        """See `Post.fail`."""
