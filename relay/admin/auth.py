"""Access to the private listener -> middlewares: by token or by Host header, and no cross-site writes."""

import re
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import timedelta
from ipaddress import IPv6Address, ip_address

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from relay.http.forwarded import NO_PROXIES, TrustedProxies
from relay.model import Secret
from relay.signals import ClientLockedOut, Emit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
MAX_FAILURES = 5
"""Wrong tokens from one address within `LOCKOUT` before it is locked out for the rest of that time."""
LOCKOUT = timedelta(minutes=1)
MAX_ADDRESSES = 1_000  # remembered; beyond, the oldest is evicted

PUBLIC_PATHS = frozenset({"/livez", "/readyz", "/readyz/store"})
"""Kubernetes and load balancers send no token: they get yes or no, and the reason only if `AUTHORIZED`."""
AUTHORIZED = web.RequestKey("authorized", bool)

_SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})


def require_token(
    token: Secret, *, emit: Emit, clock: Callable[[], float], proxies: TrustedProxies = NO_PROXIES
) -> Middleware:
    """Require the bearer token on every path but `PUBLIC_PATHS`. `clock`: monotonic seconds.

    The right token passes from a locked-out address too: others behind the same proxy or NAT may have locked it out.
    """
    lockouts = _Lockouts(clock)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() == "bearer" and token.matches(given.strip()):
            request[AUTHORIZED] = True
            return await handler(request)
        client = proxies.client(request.remote, request.headers)
        seconds = lockouts.seconds_left(client)
        if given.strip() and not seconds and lockouts.count_failure(client):
            emit(ClientLockedOut(remote=client))
        if request.path in PUBLIC_PATHS:
            return await handler(request)
        if seconds:
            text = "too many wrong tokens from this address; wait a minute\n"
            raise web.HTTPTooManyRequests(headers={hdrs.RETRY_AFTER: str(seconds)}, text=text)
        raise web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: "Bearer"}, text="this needs the admin token\n")

    return check


class _Lockouts:
    """Networks that sent wrong tokens: how many, and when the first one came. Bounded by `MAX_ADDRESSES`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def seconds_left(self, client: str) -> int:
        """Return how much longer the client is locked out; 0 if it is not."""
        count, since = self._failures.get(_network(client), (0, 0.0))
        left = since + LOCKOUT.total_seconds() - self._clock()
        return max(int(left) + 1, 1) if count >= MAX_FAILURES and left > 0 else 0

    def count_failure(self, client: str) -> bool:
        """Count a wrong token; True if it locks the client out."""
        network, now = _network(client), self._clock()
        count, since = self._failures.get(network, (0, now))
        if now - since >= LOCKOUT.total_seconds():
            self._failures.pop(network)
            count, since = 0, now
        self._failures[network] = count + 1, since
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
        return count + 1 == MAX_FAILURES


def _network(client: str) -> str:
    """Return the /64 of an IPv6 address, which one host usually has as a whole; else the address."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    return address.exploded[:19] if isinstance(address, IPv6Address) and not address.ipv4_mapped else client


def require_host(hosts: Collection[str]) -> Middleware:
    """Require a Host header that names the loopback or one of `hosts`, against DNS rebinding."""
    allowed = LOOPBACK | {f"[{host}]" if ":" in host else host for host in hosts}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _without_port(request.host) in allowed:
            request[AUTHORIZED] = True
            return await handler(request)
        raise web.HTTPMisdirectedRequest(text=f"not a name of this listener; use {', '.join(sorted(allowed))}\n")

    return check


def _without_port(host: str) -> str:
    return re.sub(r":\d*$", "", host.lower())


@web.middleware
async def reject_cross_site(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Reject writes from pages of other sites (CSRF), which a browser sends without asking.

    Browsers send `Sec-Fetch-Site`, older ones `Origin`; other clients send neither.
    """
    if request.method not in _SAFE_METHODS and _is_cross_site(request):
        raise web.HTTPForbidden(text="not from a page of another site\n")
    return await handler(request)


def _is_cross_site(request: web.Request) -> bool:
    if site := request.headers.get("Sec-Fetch-Site"):
        return site not in ("same-origin", "none")
    origin = request.headers.get(hdrs.ORIGIN)
    return origin is not None and origin.lower().partition("://")[2] != request.host.lower()
