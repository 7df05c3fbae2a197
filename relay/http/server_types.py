"""What acceptor, listener and the two protocols share: a connection as the acceptor sees it, a request as it is served.

`fast_protocol` subclasses aiohttp's request handler and reads its private state; `plain_protocol` wraps it and serves
where this release of aiohttp is not known.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from aiohttp import web

from relay.http.malformed import MalformedRequest
from relay.http.post import Receive
from relay.http.response import Response

Respond: TypeAlias = Callable[[web.BaseRequest], Awaitable[Response]]
"""Any request -> its response: no router, no middlewares, no signals."""

AnyResponse: TypeAlias = web.StreamResponse | Response

OnMalformed: TypeAlias = Callable[[MalformedRequest, str], None]
"""Called with what arrived in place of a request, and with the peer's address."""


class Connection(Protocol):
    """The asyncio protocol of an accepted connection."""

    @property
    def evictable(self) -> bool:
        """True while no response is due: it is idle or shakes hands, sends headers or body, or does not read."""

    def abort(self) -> None:
        """Close without flushing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Callbacks of a protocol.

    Without `on_malformed` aiohttp logs requests that it cannot parse. The plain protocol offers `receive` nothing.
    """

    before_response: Callable[[Connection, AnyResponse], None]
    on_closed: Callable[[Connection], None]
    on_malformed: OnMalformed | None
    receive: Receive | None = None
