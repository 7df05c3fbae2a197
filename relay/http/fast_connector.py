"""The fast client's connections: pooled ones that are reused while they are young and silent, and fresh ones.

aiohttp's private ends: its pool (`_get`, `_conns`, `_factory`) decides here which kept connection may carry a request.
"""

import select
from functools import partial
from time import monotonic
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.tracing import Trace

from relay.http.client import reused
from relay.http.resolver import CACHE_SECONDS, MAX_AGE, Resolver

IDLE = 15.0  # seconds for which an unused connection is kept


def pooled_connector() -> aiohttp.TCPConnector:
    """Keep connections and reuse them; their number is not limited. Needs a running loop."""
    return _PooledConnector(limit=0, ttl_dns_cache=CACHE_SECONDS, resolver=Resolver(), keepalive_timeout=IDLE)


def fresh_connector() -> aiohttp.TCPConnector:
    """Open a new connection each time. Needs a running loop."""
    return aiohttp.TCPConnector(limit=0, ttl_dns_cache=CACHE_SECONDS, resolver=Resolver(), force_close=True)


class _TimedProtocol(ResponseHandler):
    """A connection that knows since when it is open."""

    def __init__(self, loop: Any) -> None:
        super().__init__(loop)
        self.opened_at = monotonic()


class _PooledConnector(aiohttp.TCPConnector):
    """Reuse no connection that is too old, nor one on which the target sent anything after its response.

    aiohttp would take that, a `408` before closing or a response too many, for the response to the next request.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._factory = cast(Any, partial(_TimedProtocol, loop=self._loop))

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Any:
        kept, now = self._conns.get(key), monotonic()
        while kept and _unusable(*kept[0], now):
            kept.popleft()[0].close()
        connection = await super()._get(key, traces)
        reused.set(connection is not None)
        return connection


def _unusable(protocol: Any, idle_since: float, now: float) -> bool:
    too_old = now - protocol.opened_at > MAX_AGE
    return too_old or now - idle_since > IDLE or _has_input(protocol)


def _has_input(protocol: ResponseHandler) -> bool:
    """Bytes, or the end of the stream, wait in the socket or were read already."""
    if protocol.should_close or protocol.transport is None:
        return True
    connection = protocol.transport.get_extra_info("socket")
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
