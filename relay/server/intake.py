"""The public listener: amoCRM's POST -> webhook, events and deliveries on disk -> 200.

The answers are DESIGN A2's. A body with the right token is kept whatever is in it: amoCRM counts a 4xx against us,
and after a hundred of them it stops sending.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain, islice, repeat
from secrets import token_hex
from time import perf_counter

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from relay.amocrm import events, form
from relay.amocrm.dated import dated
from relay.delivery.dispatch import Dispatcher
from relay.errors import StoreError, Unreadable
from relay.model import Event, Routed, Secret, Source, Webhook
from relay.routes.config import Config
from relay.routes.owe import owe
from relay.server.body import Incomplete, TooLarge, read_body
from relay.server.keeper import PATIENCE, Keeper, Taken
from relay.server.memory import LARGE, PER_EVENT, Full, Memory, Place
from relay.signals import Emit, Kept, Noticed, Refusal, Refused, Repeated
from relay.store.contract import Duplicate

RETRY_AFTER = "5"
REPEATS = timedelta(hours=3)  # amoCRM repeats what it had no answer to for up to 95 minutes
MAX_REQUEST_ID = 100

_NOT_A_TOKEN = Secret(token_hex())
_NO_SUCH_SOURCE = Source(name="-", tokens=())


class _Refuse(Exception):
    """An answer, not a fault: what amoCRM is told, and why."""

    def __init__(self, status: int, refusal: Refusal, detail: str, *, source: str = "-") -> None:
        self.status = status
        self.refusal = refusal
        self.detail = detail
        self.source = source


class Intake:
    """Takes webhooks by the configuration that `config()` returns at that moment.

    A body has `body_timeout` seconds to arrive, and must find room in `memory`.
    """

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        keeper: Keeper,
        dispatcher: Dispatcher,
        emit: Emit,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        max_body: int,
        body_timeout: float,
        memory: Memory,
    ) -> None:
        self._config = config
        self._keeper = keeper
        self._dispatcher = dispatcher
        self._emit = emit
        self._clock = clock
        self._new_id = new_id
        self._max_body = max_body
        self._body_timeout = body_timeout
        self._memory = memory
        self._large = asyncio.Lock()

    def app(self) -> web.Application:
        """The aiohttp application: one path, and 404 for every other."""
        app = web.Application(middlewares=[_plainly])
        app.router.add_route("*", "/hooks/{source}/{token}", self._answer)
        app.router.add_route("*", "/{path:.*}", _nothing_here)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        start = perf_counter()
        if request.method != "POST":
            return web.json_response({"error": "POST webhooks here"}, status=405, headers={"allow": "POST"})
        try:
            return await self._take(request, start)
        except _Refuse as refuse:
            took = timedelta(seconds=perf_counter() - start)
            self._emit(
                Refused(
                    source=refuse.source,
                    refusal=refuse.refusal,
                    detail=refuse.detail,
                    remote=request.remote or "",
                    took=took,
                )
            )
            return _refusal(refuse)

    async def _take(self, request: web.Request, start: float) -> web.Response:
        source = _authorized(self._config(), request.match_info["source"], request.match_info["token"])
        try:
            with self._memory.place() as place:
                webhook, routed, kept = await self._kept(request, source, place)
        except Full:
            detail = "too many webhooks, or too large ones, at once"
            raise _Refuse(503, Refusal.UNAVAILABLE, detail, source=source.name) from None
        if isinstance(kept, Duplicate):
            took = timedelta(seconds=perf_counter() - start)
            self._emit(Repeated(webhook=webhook, first=kept.webhook, took=took))
            return _repeated(kept)
        deliveries = sum(len(each.owed) for each in routed)
        self._emit(
            Kept(
                webhook=webhook,
                events=[each.event for each in routed],
                routes=[_routes_of(each) for each in routed],
                deliveries=deliveries,
                took=timedelta(seconds=perf_counter() - start),
            )
        )
        return _accepted(webhook, len(routed), deliveries)

    async def _kept(self, request: web.Request, source: Source, place: Place) -> Taken:
        webhook = Webhook(
            id=self._new_id(),
            source=source.name,
            received_at=_whole_milliseconds(self._clock()),
            body=await self._body(request, source, place),
            content_type=_text(request.headers.get("content-type", "")),
            request_id=_text(request.headers.get("x-amocrm-requestid", ""))[:MAX_REQUEST_ID],
        )
        config = self._config()  # a reload may have come before the body
        if len(webhook.body) <= LARGE:
            return await self._keep(source, *self._understand(webhook, config), place)
        async with self._turn():
            # beside the event loop, which has others to answer
            understood = await asyncio.to_thread(self._understand, webhook, config)
            return await self._keep(source, *understood, place)

    async def _body(self, request: web.Request, source: Source, place: Place) -> bytes:
        try:
            return await read_body(request, place, most=self._max_body, within=self._body_timeout)
        except TooLarge:
            detail = f"the body is larger than --max-body, {self._max_body} bytes"
            raise _Refuse(413, Refusal.TOO_LARGE, detail, source=source.name) from None
        except Incomplete as error:
            raise _Refuse(408, Refusal.INCOMPLETE, str(error), source=source.name) from None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Large ones one at a time, for others wait behind them; raises Full if it does not come soon."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._large.acquire()
        except TimeoutError:
            raise Full from None
        try:
            yield
        finally:
            self._large.release()

    def _understand(self, webhook: Webhook, config: Config) -> tuple[Webhook, list[Routed]]:
        """The webhook with what it owes; or, whatever goes wrong, the webhook as unparsed."""
        try:
            return webhook, [owe(event, config, lease=self._dispatcher.lease) for event in self._read(webhook)]
        except Unreadable as error:
            return replace(webhook, unparsed=str(error)), []
        except Exception as error:  # noqa: BLE001  a fault of ours must not lose what amoCRM sends only once
            fields: dict[str, object] = {"webhook": webhook.id, "error": repr(error)}
            self._emit(Noticed(level="error", text="the relay cannot read this webhook; it is kept", fields=fields))
            return replace(webhook, unparsed=f"a fault of the relay: {error!r}"), []

    def _read(self, webhook: Webhook) -> list[Event]:
        tree = form.decode(webhook.body, webhook.content_type)
        return events.read(tree, source=webhook.source, received_at=webhook.received_at, new_id=self._new_id)

    async def _keep(self, source: Source, webhook: Webhook, routed: Sequence[Routed], place: Place) -> Taken:
        place.take(PER_EVENT * len(routed))
        _demand_account(source, routed)
        window = _window(source, [each.event for each in routed])
        try:
            return await self._keeper.keep(webhook, routed, window, place)
        except StoreError as error:
            raise _Refuse(503, Refusal.UNAVAILABLE, str(error), source=source.name) from None


def _authorized(config: Config, name: str, token: str) -> Source:
    """The source, if it is one and the token is one of its own.

    Known or not, and however many tokens it has, this takes the same time: as many are compared for every source.
    """
    source = config.sources.get(name, _NO_SUCH_SOURCE)
    most = max(len(each.tokens) for each in config.sources.values())
    right = [secret.matches(token) for secret in islice(chain(source.tokens, repeat(_NOT_A_TOKEN)), most)]
    if source is _NO_SUCH_SOURCE or not any(right):
        raise _Refuse(404, Refusal.UNAUTHORIZED, "no such source, or a wrong token")
    return source


def _demand_account(source: Source, routed: Sequence[Routed]) -> None:
    """Every event of a body is of one account; what cannot be read has none and is kept."""
    if routed and (why := source.stranger(routed[0].event.account)):
        raise _Refuse(403, Refusal.ACCOUNT, why, source=source.name)


def _window(source: Source, events: Sequence[Event]) -> timedelta | None:
    """Within what time an equal body is the same webhook again; None if it is another one."""
    windows = [window for window in (source.dedupe, REPEATS if dated(events) else None) if window]
    return max(windows, default=None)


def _routes_of(routed: Routed) -> list[str]:
    """Each route once, however many targets it feeds."""
    return list(dict.fromkeys(route for owed in routed.owed for route in owed.routes))


def _accepted(webhook: Webhook, events_made: int, deliveries: int) -> web.Response:
    answer: dict[str, object] = {"webhook": webhook.id, "events": events_made, "deliveries": deliveries}
    if webhook.unparsed is not None:
        answer["unparsed"] = webhook.unparsed
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


def _repeated(first: Duplicate) -> web.Response:
    answer = {"webhook": first.webhook, "events": first.events, "deliveries": 0, "duplicate": True}
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


def _refusal(refuse: _Refuse) -> web.Response:
    # for a wrong token nothing but the status may tell what was wrong
    error = "not found" if refuse.refusal is Refusal.UNAUTHORIZED else refuse.detail
    headers = {"retry-after": RETRY_AFTER} if refuse.status == 503 else {}
    return web.json_response({"error": error}, status=refuse.status, headers=headers)


async def _nothing_here(_request: web.Request) -> web.Response:
    return web.json_response({"error": "not found"}, status=404)


@web.middleware
async def _plainly(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What aiohttp would answer by itself, in words that tell what it is."""
    try:
        return await handler(request)
    except web.HTTPException:
        return await _nothing_here(request)


def _text(header: str) -> str:
    """A header as text that can be kept, whatever bytes it is of."""
    return header.encode(errors="surrogateescape").decode(errors="replace")


def _whole_milliseconds(at: datetime) -> datetime:
    """What the store keeps of an instant."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
