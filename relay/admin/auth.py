"""Access to the private listener -> middlewares: a role by token or by Host header, and no pages of other sites."""

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address
from types import MappingProxyType

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from relay.errors import NotAllowed, StoreError
from relay.http.forwarded import NO_PROXIES, TrustedProxies
from relay.operations.access import ON_LOOPBACK, Bearers, Expired
from relay.operations.asker import Asker, Role
from relay.rfc3339 import rfc3339
from relay.signals import ClientLockedOut, Emit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
MAX_FAILURES = 5
"""Wrong tokens from one address within `LOCKOUT` before it is locked out for the rest of that time."""
LOCKOUT = timedelta(minutes=1)
MAX_ADDRESSES = 1_000  # remembered; beyond, the oldest is evicted

PUBLIC_PATHS = frozenset({"/livez", "/readyz", "/readyz/store"})
"""Kubernetes and load balancers send no token: they get yes or no, and the reason only with an `ASKER`."""
API = "/api/v1/"
ROLES = MappingProxyType({
    "/metrics": Role.VIEWER,
    "/-/tail": Role.VIEWER,
    "/-/forward": Role.OPERATOR,
    "/-/reload": Role.OPERATOR,
})  # fmt: skip
"""What a path demands; the desk decides below `API`, and a path that is not here is for operators."""
ASKER = web.RequestKey("asker", Asker)
STILL_ADMITTED: web.RequestKey[Callable[[], bool]] = web.RequestKey("still_admitted")
"""Whether the request would be admitted now, too: a stream ends once its token is removed, replaced or expired."""

_SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_READING = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
_EMBEDDABLE = PUBLIC_PATHS | {"/metrics"}
"""What a page of another site may fetch: it cannot read the answer, and making one costs little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What a browser may open besides: canonical paths. The desk decides what is on `of_askers`; `public` are anyone's.

    `session` reads a request's cookie: what it returns says whose that is whenever it is called, None for nobody's.
    """

    of_askers: frozenset[str] = frozenset()
    public: frozenset[str] = frozenset()
    session: Callable[[web.Request], Awaitable[Callable[[], Asker | None]]] | None = None

    def includes(self, request: web.Request) -> bool:
        """True for every path of a page."""
        return canonical(request) in self.of_askers | self.public


NO_PAGES = Pages()


def utc_now() -> datetime:
    """Return the wall clock's time, by which tokens expire."""
    return datetime.now(UTC)


class TokenCheck:
    """Tokens of requests -> askers. Wrong ones are counted by the address that they come from.

    The right token passes from a locked-out address too: others behind the same proxy or NAT may have locked it out.
    `clock`: monotonic seconds.
    """

    def __init__(
        self,
        bearers: Bearers,
        *,
        emit: Emit,
        clock: Callable[[], float],
        now: Callable[[], datetime] = utc_now,
        proxies: TrustedProxies = NO_PROXIES,
    ) -> None:
        self.bearers = bearers
        self.now = now
        self._emit = emit
        self._lockouts = _Lockouts(clock)
        self._proxies = proxies

    def asker(self, token: str) -> Asker | Expired | None:
        """Return the asker of this token, or that it has expired; None for a wrong one."""
        return self.bearers.asker(token, self.now())

    def refusal(self, request: web.Request, shown: Expired | None, *, guess: bool) -> web.HTTPException:
        """Return the answer 401 or 429. A wrong `guess` is counted; an expired token is not."""
        client = self._proxies.client(request.remote, request.headers)
        seconds = self._lockouts.seconds_left(client)
        if guess and shown is None and not seconds and self._lockouts.count_failure(client):
            self._emit(ClientLockedOut(remote=client))
        if shown:
            return _unauthorized(_expired(shown))
        if seconds:
            text = "too many wrong tokens from this address; wait a minute\n"
            return web.HTTPTooManyRequests(headers={hdrs.RETRY_AFTER: str(seconds)}, text=text)
        return _unauthorized("this needs a token, as Authorization: Bearer …\n")


TOKEN_CHECK = web.AppKey("token_check", TokenCheck)
"""There if tokens are demanded."""


def require_token(tokens: TokenCheck, pages: Pages = NO_PAGES) -> Middleware:
    """Require a bearer token or a cookie on every path but the public ones, of the role that the path demands."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, rest = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        given = rest.strip()
        bearer = scheme.lower() == "bearer"
        asker = tokens.asker(given) if given and bearer else None
        if isinstance(asker, Asker):
            request[STILL_ADMITTED] = lambda: tokens.asker(given) == asker
            return await _admitted(request, asker, handler, pages)
        if pages.session and not bearer:
            who = await _session(request, pages.session)
            if known := who():
                request[STILL_ADMITTED] = lambda: who() == known
                return await _admitted(request, known, handler, pages)
        refusal = tokens.refusal(request, asker, guess=bool(given))
        if request.path in PUBLIC_PATHS or canonical(request) in pages.public:
            return await handler(request)
        raise refusal

    return check


async def _session(
    request: web.Request, session: Callable[[web.Request], Awaitable[Callable[[], Asker | None]]]
) -> Callable[[], Asker | None]:
    try:
        return await session(request)
    except StoreError as error:
        raise web.HTTPServiceUnavailable(text=f"{error}\n") from error


async def _admitted(request: web.Request, asker: Asker, handler: Handler, pages: Pages) -> web.StreamResponse:
    request[ASKER] = asker
    if request.match_info.http_exception is None:  # else the handler answers 404 or 405
        try:
            asker.demand(_needed(request, pages))
        except NotAllowed as error:
            raise web.HTTPForbidden(text=f"{error}\n") from None
    return await handler(request)


def _needed(request: web.Request, pages: Pages) -> Role:
    path = canonical(request)
    if path.startswith(API) or path in PUBLIC_PATHS or pages.includes(request):
        return Role.VIEWER
    return ROLES.get(path, Role.OPERATOR)


def canonical(request: web.Request) -> str:
    """`/api/v1/targets/{target}/pause`; of an unknown path its own text."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else request.path


def _unauthorized(text: str) -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: "Bearer"}, text=text)


def _expired(expired: Expired) -> str:
    """The answer to an expired token; only its holder gets it."""
    entry = expired.entry
    ended = rfc3339(entry.expires_at) if entry.expires_at else ""
    return f"this token of {entry.name} expired at {ended}: have it replaced by relay access rotate\n"


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
            request[ASKER], request[STILL_ADMITTED] = ON_LOOPBACK, lambda: True
            return await handler(request)
        raise web.HTTPMisdirectedRequest(text=f"not a name of this listener; use {', '.join(sorted(allowed))}\n")

    return check


def _without_port(host: str) -> str:
    return re.sub(r":\d*$", "", host.lower())


def reject_cross_site(pages: Pages = NO_PAGES) -> Middleware:
    """Reject what pages of other sites have a browser send: writes (CSRF), streams and questions.

    Browsers send `Sec-Fetch-Site`, older ones `Origin`; other clients send neither. A link from another site opens
    one of `pages`, in a tab of its own.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        harmless = request.method in _SAFE_METHODS and request.path in _EMBEDDABLE
        if not harmless and _is_cross_site(request) and not (_is_followed_link(request) and pages.includes(request)):
            raise web.HTTPForbidden(text="not from a page of another site\n")
        return await handler(request)

    return check


def _is_followed_link(request: web.Request) -> bool:
    """Whether a tab goes to the address: no frame, no script, no form but one that asks."""
    sent = request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest")
    return request.method in _READING and sent == ("navigate", "document")


def _is_cross_site(request: web.Request) -> bool:
    if site := request.headers.get("Sec-Fetch-Site"):
        return site not in ("same-origin", "none")
    origin = request.headers.get(hdrs.ORIGIN)
    return origin is not None and origin.lower().partition("://")[2] != request.host.lower()
