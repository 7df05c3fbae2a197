"""The plain client through a proxy, by aiohttp's public API: what a session is told, and which failure is the proxy's.

aiohttp opens a tunnel to a target with TLS. A request to a target without goes to the proxy, in absolute form.
"""

from contextvars import ContextVar
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp import hdrs
from yarl import URL

from relay.http.client import CONNECT_TIMEOUT, ProxyFailed, Via
from relay.http.tunnel import authority, refused, unreachable

TUNNEL_TIMEOUT = 2 * CONNECT_TIMEOUT  # seconds for a connection through a proxy, its answer included

connecting: ContextVar[bool] = ContextVar("connecting")
"""Whether this task waits for a new connection, the tunnel included."""


def trace_connecting(tracing: aiohttp.TraceConfig) -> None:
    """Have a session keep `connecting` true to its name."""
    tracing.on_connection_create_start.append(_on_start)
    tracing.on_connection_create_end.append(_on_end)


async def _on_start(_session: Any, _context: Any, _params: Any) -> None:
    connecting.set(True)


async def _on_end(_session: Any, _context: Any, _params: Any) -> None:
    connecting.set(False)


def through_proxy(target: URL, via: Via, headers: dict[str, str]) -> dict[str, Any]:
    """Return the arguments of a request; without a tunnel the credentials go among its own `headers`."""
    credentials: dict[str, str] = {hdrs.PROXY_AUTHORIZATION: via.authorization} if via.authorization else {}
    if target.scheme == "http":
        headers |= credentials
    timeout = aiohttp.ClientTimeout(total=None, connect=TUNNEL_TIMEOUT, sock_connect=CONNECT_TIMEOUT)
    return {"proxy": _url(via), "proxy_headers": credentials, "timeout": timeout}


def failure_of_proxy(error: aiohttp.ClientError, target: URL, via: Via) -> aiohttp.ClientError | None:
    """Return the error in words if no tunnel was opened; None for one of the target."""
    if not connecting.get():
        return None
    proxy = _url(via)
    match error:
        case aiohttp.ClientHttpProxyError(status=status):
            return refused(status, authority(target), authorized=via.authorization is not None)
        case aiohttp.ConnectionTimeoutError():
            return aiohttp.ConnectionTimeoutError(f"no connection through the proxy within {TUNNEL_TIMEOUT:g} s")
        case aiohttp.ClientConnectorError(host=proxy.raw_host, port=proxy.port):
            return unreachable(proxy, error.__cause__ or error)
        case aiohttp.ClientConnectorError():
            return None  # TLS with the target
        case aiohttp.ClientResponseError():
            return ProxyFailed("the proxy answered CONNECT with something that is not HTTP")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return ProxyFailed("the proxy closed the connection before it had answered CONNECT")
    return None


def refuses(status: int, target: URL, via: Via) -> ProxyFailed | None:
    """Return the failure that an answer without a tunnel is, if only the proxy can have given it."""
    if target.scheme != "http" or status != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return None
    return refused(status, authority(target), authorized=via.authorization is not None)


def _url(via: Via) -> URL:
    return URL(via.proxy or "")
