"""Who may ask the private listener -> middlewares: by token, by name, and never on behalf of another site's page."""

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
GUESSES = 5
"""Wrong tokens from one address, within `FORGET_AFTER`, after which only the right one is listened to for as long."""
FORGET_AFTER = timedelta(minutes=1)
MAX_GUESSERS = 1_000  # addresses remembered; beyond, the oldest is forgotten

FOR_ANYONE = frozenset({"/livez", "/readyz", "/readyz/store"})
"""Kubernetes and balancers show no token: these tell them yes or no, and the reason only `MAY_KNOW`."""
MAY_KNOW = web.RequestKey("may_know", bool)

_SAFE = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})


def demand_token(
    token: Secret, *, emit: Emit, clock: Callable[[], float], proxies: TrustedProxies = NO_PROXIES
) -> Middleware:
    """Every path but those `FOR_ANYONE` is for who shows the token. `clock`: seconds that never go back.

    Whoever shows it passes, whatever others at the same address have shown: they may be behind one proxy or NAT.
    """
    guessers = _Guessers(clock)

    @web.middleware
    async def demand(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() == "bearer" and token.matches(given.strip()):
            request[MAY_KNOW] = True
            return await handler(request)
        remote = proxies.client(request.remote, request.headers)
        seconds = guessers.shut_out(remote)
        if given.strip() and not seconds and guessers.note(remote):
            emit(ClientLockedOut(remote=remote))
        if request.path in FOR_ANYONE:
            return await handler(request)
        if seconds:
            text = "too many wrong tokens from this address; wait a minute\n"
            raise web.HTTPTooManyRequests(headers={hdrs.RETRY_AFTER: str(seconds)}, text=text)
        raise web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: "Bearer"}, text="this needs the admin token\n")

    return demand


class _Guessers:
    """Addresses that showed wrong tokens: each with how many, and when the first of them was. Bounded."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._guesses: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def shut_out(self, remote: str) -> int:
        """For how many more seconds; 0 if it is not."""
        count, since = self._guesses.get(_network(remote), (0, 0.0))
        left = since + FORGET_AFTER.total_seconds() - self._clock()
        return max(int(left) + 1, 1) if count >= GUESSES and left > 0 else 0

    def note(self, remote: str) -> bool:
        """One more; True if it was the last."""
        network, now = _network(remote), self._clock()
        count, since = self._guesses.get(network, (0, now))
        if now - since >= FORGET_AFTER.total_seconds():
            self._guesses.pop(network)
            count, since = 0, now
        self._guesses[network] = count + 1, since
        if len(self._guesses) > MAX_GUESSERS:
            self._guesses.popitem(last=False)
        return count + 1 == GUESSES


def _network(remote: str) -> str:
    """Of IPv6 the /64: whoever has one address of it has all."""
    try:
        address = ip_address(remote.partition("%")[0])
    except ValueError:
        return remote
    return address.exploded[:19] if isinstance(address, IPv6Address) and not address.ipv4_mapped else remote


def demand_host(hosts: Collection[str]) -> Middleware:
    """Only requests that name the loopback or one of `hosts`: a page must not get here by DNS rebinding."""
    allowed = LOOPBACK | {f"[{host}]" if ":" in host else host for host in hosts}

    @web.middleware
    async def demand(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _without_port(request.host) in allowed:
            request[MAY_KNOW] = True
            return await handler(request)
        raise web.HTTPMisdirectedRequest(text=f"not a name of this listener; use {', '.join(sorted(allowed))}\n")

    return demand


def _without_port(host: str) -> str:
    return re.sub(r":\d*$", "", host.lower())


@web.middleware
async def refuse_other_sites(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What changes something is not done for a page of another site, which a browser lets post without asking.

    Browsers say where a request comes from (`Sec-Fetch-Site`; older ones `Origin`); other clients say nothing.
    """
    if request.method not in _SAFE and _of_another_site(request):
        raise web.HTTPForbidden(text="not from a page of another site\n")
    return await handler(request)


def _of_another_site(request: web.Request) -> bool:
    if site := request.headers.get("Sec-Fetch-Site"):
        return site not in ("same-origin", "none")
    origin = request.headers.get(hdrs.ORIGIN)
    return origin is not None and origin.lower().partition("://")[2] != request.host.lower()
