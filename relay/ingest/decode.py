"""Bodies that have arrived -> webhooks, events and what is owed -> the keeper.

Under load many requests arrive in one turn of the event loop. What they bring is understood together, one body right
after the other, at the end of that turn: with its caches warm the processor takes a third less time for each.
"""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from relay.amocrm import events, form
from relay.amocrm.retransmission import all_dated
from relay.errors import UnreadableError
from relay.ingest.answers import Reject
from relay.ingest.budget import LARGE, PER_EVENT, Full, Reservation
from relay.ingest.commit import PATIENCE, Committer, Taken, Wanted
from relay.model import Event, RoutedEvent, Source, Webhook
from relay.routes.config import Config
from relay.routes.plan import plan, plan_raw
from relay.signals import DecodeFailed, Emit, RawRoutingFailed, Rejection

MOST_AT_ONCE = 32  # of a turn; then the first of them go to the disk, and others have their turn
REPEATS = timedelta(hours=3)  # amoCRM repeats what it had no answer to for up to 95 minutes


@dataclass(slots=True, kw_only=True)
class Arrived:
    """What came of a request; `taken` tells what became of it."""

    source: Source
    body: bytes
    content_type: str
    request_id: str
    query: str
    signature: str
    place: Reservation
    taken: Future[Taken]


class Decoder:
    """Has what arrives understood and kept, by the configuration that `config()` returns at that moment."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        keeper: Committer,
        emit: Emit,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._config = config
        self._keeper = keeper
        self._emit = emit
        self._clock = clock
        self._new_id = new_id
        self._loop = asyncio.get_running_loop()
        self._arrived: list[Arrived] = []
        self._large = asyncio.Lock()

    async def take(self, arrived: Arrived) -> Taken:
        """Once it is on disk. Raises Reject, Full, or a StoreError if it is not there in time."""
        if len(arrived.body) > LARGE:
            return await self._take_large(arrived)
        if not self._arrived:
            self._loop.call_soon(self._keep_arrived)
        self._arrived.append(arrived)
        return await arrived.taken

    # ---- together

    def _keep_arrived(self) -> None:
        """All that came in this turn of the loop, unless it is too much for one."""
        some = self._arrived[:MOST_AT_ONCE]
        del self._arrived[:MOST_AT_ONCE]
        if self._arrived:
            self._loop.call_soon(self._keep_arrived)
        config, now = self._config(), self._now()  # a reload may have come before the body
        for wanted in [self._wanted(arrived, config, now) for arrived in some]:
            if wanted:
                self._keep(wanted)

    def _wanted(self, arrived: Arrived, config: Config, now: datetime) -> Wanted | None:
        """None if it cannot be kept, and whoever waits for it knows why."""
        try:
            return self._admit(arrived, *self._understand(self._webhook(arrived, now), config))
        except Exception as error:  # noqa: BLE001  a refusal; or a fault of ours, and others came in the same turn
            _tell(arrived.taken, error)
            return None

    def _keep(self, wanted: Wanted) -> None:
        try:
            self._keeper.keep(wanted)
        except Exception as error:  # noqa: BLE001  as above
            _tell(wanted.taken, error)

    # ---- one by one

    async def _take_large(self, arrived: Arrived) -> Taken:
        webhook = self._webhook(arrived, self._now())
        async with self._in_line():
            # beside the event loop, which has others to answer
            understood = await asyncio.to_thread(self._understand, webhook, self._config())
            self._keeper.keep(self._admit(arrived, *understood))
            return await arrived.taken

    @asynccontextmanager
    async def _in_line(self) -> AsyncIterator[None]:
        """Large ones one at a time until they are kept: each takes much memory. Full if it takes long to come first."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._large.acquire()
        except TimeoutError:
            raise Full from None
        try:
            yield
        finally:
            self._large.release()

    # ---- each

    def _now(self) -> datetime:
        """In whole milliseconds: what the store keeps of an instant."""
        now = self._clock()
        return now - timedelta(microseconds=now.microsecond % 1000)

    def _webhook(self, arrived: Arrived, now: datetime) -> Webhook:
        return Webhook(
            id=self._new_id(),
            source=arrived.source.name,
            received_at=now,
            body=arrived.body,
            content_type=arrived.content_type,
            request_id=arrived.request_id,
            query=arrived.query,
            signature=arrived.signature,
        )

    def _understand(self, webhook: Webhook, config: Config) -> tuple[Webhook, list[RoutedEvent]]:
        """The webhook with what it owes; or, whatever goes wrong, the webhook as unparsed."""
        try:
            return webhook, [plan(event, config) for event in self._read(webhook)]
        except UnreadableError as error:
            return self._raw(replace(webhook, unparsed=str(error)), config)
        except Exception as error:  # noqa: BLE001  a fault of ours must not lose what amoCRM sends only once
            self._emit(DecodeFailed(webhook=webhook.id, error=repr(error)))
            return self._raw(replace(webhook, unparsed=f"a fault of the relay: {error!r}"), config)

    def _raw(self, webhook: Webhook, config: Config) -> tuple[Webhook, list[RoutedEvent]]:
        """The unparsed webhook with the raw deliveries that are owed; a fault here must not lose it either."""
        try:
            return webhook, plan_raw(webhook, config, new_id=self._new_id)
        except Exception as error:  # noqa: BLE001  as above
            self._emit(RawRoutingFailed(webhook=webhook.id, error=repr(error)))
            return webhook, []

    def _read(self, webhook: Webhook) -> list[Event]:
        tree = form.decode(webhook.body, webhook.content_type)
        return events.read(
            tree,
            source=webhook.source,
            received_at=webhook.received_at,
            new_id=self._new_id,
            query=webhook.query,
        )

    def _admit(self, arrived: Arrived, webhook: Webhook, routed: Sequence[RoutedEvent]) -> Wanted:
        """Raises Reject, or Full: what an event takes is known only now."""
        arrived.place.take((PER_EVENT + len(webhook.query)) * len(routed))
        if webhook.unparsed is None:
            _demand_account(arrived.source, routed)
        repeats = REPEATS if all_dated([each.event for each in routed]) else None
        return Wanted(webhook, routed, arrived.source.dedupe, arrived.place, arrived.taken, repeats)


def _tell(taken: Future[Taken], error: Exception) -> None:
    if not taken.done():  # whoever waited may have been cancelled
        taken.set_exception(error.with_traceback(None))  # which holds what came, and what came holds `taken`


def _demand_account(source: Source, routed: Sequence[RoutedEvent]) -> None:
    """Every event of a body is of one account; what cannot be read has none and is kept."""
    if routed and (why := source.stranger(routed[0].event.account)):
        raise Reject(403, Rejection.ACCOUNT, why, source=source.name)
