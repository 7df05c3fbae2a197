"""The private listener's application: metrics, health, reload, streams; all paths behind the middlewares of `auth`."""

import time
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry

from relay.admin import faults
from relay.admin.api.problems import answer_with_problems
from relay.admin.api.routes import PREFIX, Api
from relay.admin.auth import (
    ASKER,
    NO_PAGES,
    TOKEN_CHECK,
    Pages,
    TokenCheck,
    reject_cross_site,
    require_host,
    require_token,
)
from relay.admin.health import HealthRoutes
from relay.admin.metrics import MetricsRoute
from relay.admin.tail import TailRoute
from relay.http.forwarded import NO_PROXIES, TrustedProxies
from relay.observe import EventStream
from relay.operations.access import Bearers
from relay.signals import Emit, Reloaded


class Console(Protocol):
    """Pages for browsers, on the same listener."""

    pages: Pages

    @property
    def middleware(self) -> Middleware:
        """One that answers browsers with pages, refusals too."""
        ...

    def add_to(self, app: web.Application) -> None:
        """Add its routes."""
        ...


def admin(
    *,
    registry: CollectorRegistry,
    refresh: Callable[[], Awaitable[None]],
    unready: Callable[[], Awaitable[str | None]],
    store_unready: Callable[[], Awaitable[str | None]],
    reload: Callable[[], Awaitable[Reloaded]],
    stream: EventStream,
    api: Api | None = None,
    console: Console | None = None,
    emit: Emit,
    targets: Callable[[], Collection[str]] = tuple,
    remark: Callable[[], str | None] = lambda: None,
    bearers: Bearers | None = None,
    hosts: Collection[str] = (),
    proxies: TrustedProxies = NO_PROXIES,
    clock: Callable[[], float] = time.monotonic,
) -> web.Application:
    """Build the application.

    With `bearers`, every path but /livez and a bare yes or no of /readyz requires one of those tokens, of the path's
    role. Without, the Host header must name the loopback or one of `hosts`, and every asker is an operator.
    """
    metrics, tail = MetricsRoute(registry, refresh, emit=emit), TailRoute(stream, targets)
    health, store = HealthRoutes(unready, remark), HealthRoutes(store_unready, remark)
    pages = console.pages if console else NO_PAGES
    check = TokenCheck(bearers, emit=emit, clock=clock, proxies=proxies) if bearers else None
    access = require_token(check, pages) if check else require_host(hosts)
    app = web.Application(middlewares=_middlewares(access, pages, console))
    if check:
        app[TOKEN_CHECK] = check
    app.add_routes([*_own_paths(metrics, health, store, tail), web.post("/-/reload", _reloading(reload, api))])
    if api:
        app.add_routes(api.routes(stream))
    if console:
        console.add_to(app)
    app.on_response_prepare.append(faults.note_begun)
    app.on_shutdown.append(tail.shut_down)
    app.on_cleanup.extend([*([api.close] if api else []), metrics.close, health.close, store.close])
    return app


def _middlewares(access: Middleware, pages: Pages, console: Console | None) -> list[Middleware]:
    """From the outermost in."""
    pages_or_problems = [answer_with_problems(PREFIX), *([console.middleware] if console else [])]
    return [*pages_or_problems, access, reject_cross_site(pages), _list_paths]


def _own_paths(metrics: MetricsRoute, health: HealthRoutes, store: HealthRoutes, tail: TailRoute) -> list[web.RouteDef]:
    """Those that are neither the API's nor the console's."""
    return [
        web.get("/metrics", metrics.get),
        web.get("/livez", health.livez),
        web.get("/readyz", health.readyz),
        web.get("/readyz/store", store.readyz),
        web.get("/-/tail", tail.get),
        web.get("/-/forward", tail.forward),
    ]


def _reloading(reload: Callable[[], Awaitable[Reloaded]], api: Api | None) -> Handler:
    async def post(request: web.Request) -> web.Response:
        """Reload; 200, or 422 with every problem. `taken_up`: what was reloaded all the same."""
        result = await (api.asking.reload(request[ASKER], reload) if api else reload())
        problems = [*result.problems, *result.certificate_problems, *result.access_problems]
        answer: dict[str, object] = {"reloaded": not problems}
        if problems:
            answer["problems"] = problems
            answer |= {"taken_up": [*result.activated]} if result.activated else {}
        if result.warnings:
            answer["warnings"] = [*result.warnings]
        return web.json_response(answer, status=422 if problems else 200)

    return post


@web.middleware
async def _list_paths(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer an unknown path with 404 and the paths that exist."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        paths = [
            f"{route.method} {route.resource.canonical}" for route in request.app.router.routes() if route.resource
        ]
        listed = "\n".join(path for path in paths if not path.startswith(hdrs.METH_HEAD))
        raise web.HTTPNotFound(text=f"not found; there are\n{listed}\n") from None
