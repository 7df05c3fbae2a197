"""What operators and their tools ask -> metrics, health, a reload, what happens just now. The private listener."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from datetime import timedelta
from typing import Generic, TypeVar

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from relay.admin.auth import MAY_KNOW, demand_host, demand_token, refuse_other_sites
from relay.http.forwarded import NO_PROXIES, TrustedProxies
from relay.model import Secret
from relay.observe import EventStream
from relay.signals import BacklogUnreadable, Emit, Reloaded

T = TypeVar("T")

STORE_PATIENCE = timedelta(milliseconds=150)
"""How long an answer may wait for the store: metrics and health are due within 200 ms, whatever the disk does."""
REFRESH_EVERY = timedelta(seconds=1)
MAX_FOLLOWERS = 16
HEARTBEAT = 5.0  # seconds
RESTS = 20  # times as long as the last one took
LONGEST_REST = 15.0  # seconds


def admin(
    *,
    registry: CollectorRegistry,
    refresh: Callable[[], Awaitable[None]],
    ready: Callable[[], Awaitable[str | None]],
    reload: Callable[[], Awaitable[Reloaded]],
    live: EventStream,
    emit: Emit,
    remark: Callable[[], str | None] = lambda: None,
    token: Secret | None = None,
    hosts: Collection[str] = (),
    proxies: TrustedProxies = NO_PROXIES,
    clock: Callable[[], float] = time.monotonic,
) -> web.Application:
    """The app of the private listener.

    `refresh` brings the gauges in `registry` up to date; it is called at most once a second, and a scrape that it is
    too late for gets the figures of before. `ready` says why webhooks cannot be kept now, or None;
    `remark` what is to be said although they can.
    With a `token` every path asks for it, but for /livez, and for /readyz as far as it tells no reason; without one for
    the name of the loopback or of one of `hosts`, the addresses listened on.
    """
    refreshed = _Asked(lambda: _told(refresh, emit), every=REFRESH_EVERY)
    desk = _Desk(registry, refreshed, _Asked(ready), remark, reload, live)
    access = demand_token(token, emit=emit, clock=clock, proxies=proxies) if token else demand_host(hosts)
    app = web.Application(middlewares=[access, refuse_other_sites, _list_paths])
    app.add_routes([
        web.get("/metrics", desk.metrics),
        web.get("/livez", desk.livez),
        web.get("/readyz", desk.readyz),
        web.get("/readyz/store", desk.readyz),  # where there is no other store but this, they are the same
        web.get("/-/tail", desk.tail),
        web.post("/-/reload", desk.reload),
    ])  # fmt: skip
    app.on_shutdown.append(desk.part)
    app.on_cleanup.append(desk.close)
    return app


class _Desk:
    """Request -> answer, path by path."""

    def __init__(
        self,
        registry: CollectorRegistry,
        refreshed: "_Asked[None]",
        readiness: "_Asked[str | None]",
        remark: Callable[[], str | None],
        reload: Callable[[], Awaitable[Reloaded]],
        live: EventStream,
    ) -> None:
        self._registry = registry
        self._refreshed = refreshed
        self._readiness = readiness
        self._remark = remark
        self._reload = reload
        self._live = live

    async def metrics(self, request: web.Request) -> web.Response:
        """The registry, in the format the scraper prefers."""
        with suppress(TimeoutError):  # the gauges keep what they showed before
            await self._refreshed.answer()
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=encode(self._registry), headers={hdrs.CONTENT_TYPE: content_type})

    async def livez(self, _request: web.Request) -> web.Response:
        """200 as long as the loop turns."""
        return web.Response(text="ok\n")

    async def readyz(self, request: web.Request) -> web.Response:
        """200, and what is to be said of it; or 503 and the reason. Whoever may not know why is told yes or no."""
        try:
            reason = await self._readiness.answer()
        except TimeoutError:
            reason = "the store does not answer"
        may_know = request.get(MAY_KNOW, False)
        if reason:
            return web.Response(status=503, text=f"{reason if may_know else 'not ready'}\n")
        remark = self._remark() if may_know else None
        return web.Response(text=f"ready; {remark}\n" if remark else "ready\n")

    async def reload(self, _request: web.Request) -> web.Response:
        """200, or 422 and every problem; `taken_up` is what was reloaded all the same."""
        told = await self._reload()
        answer: dict[str, object] = {"reloaded": not (told.problems or told.certificate_problems)}
        if not answer["reloaded"]:
            answer["problems"] = [*told.problems, *told.certificate_problems]
            answer |= {"taken_up": [*told.activated]} if told.activated else {}
        if told.warnings:
            answer["warnings"] = [*told.warnings]
        return web.json_response(answer, status=200 if answer["reloaded"] else 422)

    async def tail(self, request: web.Request) -> web.StreamResponse:
        """What happens from now on, a JSON document a line, until either side has enough; 503 for one too many.

        Empty lines mean nothing.
        """
        if self._live.followers >= MAX_FOLLOWERS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_FOLLOWERS} follow already\n")
        with self._live.following() as follower, suppress(ConnectionResetError):
            response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "application/x-ndjson"})
            await response.prepare(request)
            while (news := await _within(HEARTBEAT, follower.news())) != []:
                # an empty line asks, while nothing happens, whether anybody is there: aiohttp does not tell
                await response.write(b"".join(orjson.dumps(each) + b"\n" for each in news or ()) or b"\n")
        return response

    async def part(self, _app: web.Application) -> None:
        """Let those who follow go: nobody would wait for them."""
        self._live.end()

    async def close(self, _app: web.Application) -> None:
        """Leave no question open."""
        await self._refreshed.stop()
        await self._readiness.stop()


async def _within(seconds: float, awaited: Awaitable[T]) -> T | None:
    """Its result, or None if it does not come in time."""
    try:
        async with asyncio.timeout(seconds):
            return await awaited
    except TimeoutError:
        return None


# ---- manners


@web.middleware
async def _list_paths(request: web.Request, handler: Handler) -> web.StreamResponse:
    """An unknown path is answered with those that there are."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        paths = [
            f"{route.method} {route.resource.canonical}" for route in request.app.router.routes() if route.resource
        ]
        listed = "\n".join(path for path in paths if not path.startswith(hdrs.METH_HEAD))
        raise web.HTTPNotFound(text=f"not found; there are\n{listed}\n") from None


async def _told(refresh: Callable[[], Awaitable[None]], emit: Emit) -> None:
    try:
        await refresh()
    except Exception as error:  # noqa: BLE001  the other metrics are needed most when the store is in trouble
        emit(BacklogUnreadable(error=str(error)))


class _Asked(Generic[T]):
    """A question put once at a time, however many want the answer, and not again before `every` has passed.

    One that takes long is put less often: to count a large backlog is work, and there is other work to do.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], *, every: timedelta = timedelta()) -> None:
        self._ask = ask
        self._every = every.total_seconds()
        self._task: asyncio.Task[T] | None = None
        self._again_at = 0.0

    async def answer(self) -> T:
        """TimeoutError if it takes too long; it is not asked again for that, and the answer serves whoever is next."""
        now = asyncio.get_running_loop().time()
        if self._task is None or (self._task.done() and now >= self._again_at):
            self._task = asyncio.create_task(self._put(now))
        async with asyncio.timeout(STORE_PATIENCE.total_seconds()):
            return await asyncio.shield(self._task)

    async def _put(self, start: float) -> T:
        try:
            return await self._ask()
        finally:
            took = asyncio.get_running_loop().time() - start
            rest = min(RESTS * took, LONGEST_REST) if self._every else 0.0
            self._again_at = start + max(self._every, rest)

    async def stop(self) -> None:
        """Ask no more; whoever waits is cancelled."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=STORE_PATIENCE.total_seconds())
