"""The public listener: amoCRM's POST -> webhook, events and deliveries on disk -> 200.

A body with the right token is kept whatever is in it: amoCRM counts a 4xx against us, and after a hundred of them it
stops sending.

Under load many requests arrive in one turn of the event loop. What they bring is understood together, one webhook right
after the other, at the end of that turn: with its caches warm the processor takes a third less time for each.
"""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, islice, repeat
from secrets import token_hex
from time import perf_counter

from aiohttp import hdrs, web
from multidict import istr

from relay.amocrm import events, form
from relay.amocrm.dated import dated
from relay.delivery.dispatch import Dispatcher
from relay.errors import StoreError, Unreadable
from relay.model import Event, Routed, Secret, Source, Webhook
from relay.routes.config import Config
from relay.routes.owe import owe
from relay.server.answer import Answer
from relay.server.body import Incomplete, TooLarge, read_body
from relay.server.keeper import PATIENCE, Keeper, Taken, Wanted
from relay.server.memory import LARGE, PER_EVENT, Full, Memory, Place
from relay.signals import Emit, Kept, Noticed, Refusal, Refused, Repeated
from relay.store.contract import Duplicate

RETRY_AFTER = "5"
REPEATS = timedelta(hours=3)  # amoCRM repeats what it had no answer to for up to 95 minutes
REQUEST_ID = istr("X-Amocrm-Requestid")
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


@dataclass(slots=True)
class _Arrived:
    """What came of a request; `taken` tells what became of it."""

    source: Source
    body: bytes
    content_type: str
    request_id: str
    place: Place
    taken: Future[Taken]


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
        self._loop = asyncio.get_running_loop()
        self._arrivals: list[_Arrived] = []

    async def answer(self, request: web.BaseRequest) -> Answer:
        """To a webhook, or to whatever else it is."""
        start = perf_counter()
        path = request.rel_url.parts
        if len(path) != 4 or path[1] != "hooks" or not path[2] or not path[3]:
            return Answer({"error": "not found"}, status=404)
        if request.method != "POST":
            return Answer({"error": "POST webhooks here"}, status=405, headers={"Allow": "POST"})
        try:
            return await self._take(request, path[2], path[3], start)
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

    async def _take(self, request: web.BaseRequest, name: str, token: str, start: float) -> Answer:
        source = _authorized(self._config(), name, token)
        try:
            with self._memory.place() as place:
                webhook, routed, kept = await self._kept(request, source, place)
        except Full:
            detail = "too many webhooks, or too large ones, at once"
            raise _Refuse(503, Refusal.UNAVAILABLE, detail, source=source.name) from None
        except StoreError as error:
            raise _Refuse(503, Refusal.UNAVAILABLE, str(error), source=source.name) from None
        took = timedelta(seconds=perf_counter() - start)
        if isinstance(kept, Duplicate):
            self._emit(Repeated(webhook=webhook, first=kept.webhook, took=took))
            return _repeated(kept)
        deliveries = sum([len(each.owed) for each in routed])
        self._emit(
            Kept(
                webhook=webhook,
                events=[each.event for each in routed],
                routes=[_routes_of(each) for each in routed],
                deliveries=deliveries,
                took=took,
            )
        )
        return _accepted(webhook, len(routed), deliveries)

    async def _kept(self, request: web.BaseRequest, source: Source, place: Place) -> Taken:
        arrived = _Arrived(
            source=source,
            body=await self._body(request, source, place),
            content_type=_text(request.headers.get(hdrs.CONTENT_TYPE, "")),
            request_id=_text(request.headers.get(REQUEST_ID, ""))[:MAX_REQUEST_ID],
            place=place,
            taken=self._loop.create_future(),
        )
        if len(arrived.body) <= LARGE:
            self._arrive(arrived)
        else:
            await self._keep_large(arrived)
        return await arrived.taken

    async def _body(self, request: web.BaseRequest, source: Source, place: Place) -> bytes:
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

    def _arrive(self, arrived: "_Arrived") -> None:
        if not self._arrivals:
            self._loop.call_soon(self._keep_arrivals)
        self._arrivals.append(arrived)

    def _keep_arrivals(self) -> None:
        """All that came in this turn of the loop."""
        arrivals, self._arrivals = self._arrivals, []
        config, now = self._config(), self._now()  # a reload may have come before the body
        wanted = [self._wanted(arrived, config, now) for arrived in arrivals]
        for each in wanted:
            if each:
                self._keeper.keep(*each)

    def _wanted(self, arrived: "_Arrived", config: Config, now: datetime) -> Wanted | None:
        """What the keeper is to keep; or None, and whoever waits for it knows why."""
        try:
            return self._admitted(arrived, *self._understand(self._webhook(arrived, now), config))
        except Exception as error:  # noqa: BLE001  a refusal; or a fault of ours, and others came in the same turn
            if not arrived.taken.done():  # whoever waited may have been cancelled
                arrived.taken.set_exception(error)
            return None

    async def _keep_large(self, arrived: "_Arrived") -> None:
        async with self._turn():
            # beside the event loop, which has others to answer
            webhook, config = self._webhook(arrived, self._now()), self._config()
            understood = await asyncio.to_thread(self._understand, webhook, config)
        self._keeper.keep(*self._admitted(arrived, *understood))

    def _now(self) -> datetime:
        """In whole milliseconds: what the store keeps of an instant."""
        now = self._clock()
        return now - timedelta(microseconds=now.microsecond % 1000)

    def _webhook(self, arrived: "_Arrived", now: datetime) -> Webhook:
        return Webhook(
            id=self._new_id(),
            source=arrived.source.name,
            received_at=now,
            body=arrived.body,
            content_type=arrived.content_type,
            request_id=arrived.request_id,
        )

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

    def _admitted(self, arrived: "_Arrived", webhook: Webhook, routed: Sequence[Routed]) -> Wanted:
        """Raises _Refuse, or Full: what an event takes is known only now."""
        arrived.place.take(PER_EVENT * len(routed))
        _demand_account(arrived.source, routed)
        window = _window(arrived.source, [each.event for each in routed])
        return webhook, routed, window, arrived.place, arrived.taken


def _authorized(config: Config, name: str, token: str) -> Source:
    """The source, if it is one and the token is one of its own.

    Known or not, and however many tokens it has, this takes the same time: as many are compared for every source.
    """
    source = config.sources.get(name, _NO_SUCH_SOURCE)
    right = [secret.matches(token) for secret in islice(chain(source.tokens, repeat(_NOT_A_TOKEN)), config.most_tokens)]
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


def _accepted(webhook: Webhook, events_made: int, deliveries: int) -> Answer:
    answer: dict[str, object] = {"webhook": webhook.id, "events": events_made, "deliveries": deliveries}
    if webhook.unparsed is not None:
        answer["unparsed"] = webhook.unparsed
    return Answer(answer)


def _repeated(first: Duplicate) -> Answer:
    return Answer({"webhook": first.webhook, "events": first.events, "deliveries": 0, "duplicate": True})


def _refusal(refuse: _Refuse) -> Answer:
    # for a wrong token nothing but the status may tell what was wrong
    error = "not found" if refuse.refusal is Refusal.UNAUTHORIZED else refuse.detail
    headers = {"Retry-After": RETRY_AFTER} if refuse.status == 503 else {}
    return Answer({"error": error}, status=refuse.status, headers=headers)


def _text(header: str) -> str:
    """A header as text that can be kept, whatever bytes it is of."""
    return header if header.isascii() else header.encode(errors="surrogateescape").decode(errors="replace")
