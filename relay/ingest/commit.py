"""Webhook -> kept, soon or late: what the store cannot take at once waits here, and is tried until it is on disk.

It is tried on after its 503 went out: amoCRM may never send it again, and if it does, the store knows the repeat.
What waits is in memory alone, within its bounds, and nobody was told 200 for it.
"""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Protocol, TypeAlias

from relay.errors import StoreBusy, StoreError
from relay.ingest.budget import Reservation
from relay.model import Delivery, RoutedEvent, Webhook
from relay.signals import Emit, EventsNotStored, NotStored, StoredLate
from relay.store.contract import Duplicate, KeepResult, Store

PATIENCE = 1.5  # seconds; amoCRM waits 2 for the answer
AGAIN = 0.1  # seconds before the store is asked again
MOST_AT_ONCE = 64  # webhooks, once it can take some again

Taken: TypeAlias = tuple[Webhook, Sequence[RoutedEvent], KeepResult]
"""What was kept of a webhook at last, and what the store said."""


@dataclass(slots=True, eq=False)
class Wanted:
    """A webhook on its way to the disk; `taken` is told what became of it. The rest is the keeper's.

    `until`: when its sender is to be told, in loop time. `late`: that it is not there yet.
    `settled`: the store has said what becomes of it; it may have been asked twice, and only the first reply counts.
    `bare`: a fault of ours keeps its events out.
    """

    webhook: Webhook
    routed: Sequence[RoutedEvent]
    window: timedelta | None
    place: Reservation
    taken: Future[Taken]
    dated: timedelta | None = None
    until: float = 0.0
    late: bool = False
    settled: bool = False
    bare: bool = False


class Lanes(Protocol):
    """Who delivers what is kept."""

    def lease(self, routed: Sequence[RoutedEvent]) -> Sequence[RoutedEvent]:
        """The same, but some deliveries are to be born claimed; there is room reserved for them until `unlease`."""
        ...

    def unlease(self, routed: Sequence[RoutedEvent]) -> None:
        """What `lease` gave is kept or will not be."""
        ...

    def admit(self, deliveries: Sequence[Delivery]) -> None:
        """These were born claimed."""
        ...


class Committer:
    """Keeps webhooks in their order of arrival; `lanes` are given the deliveries that are born claimed."""

    def __init__(self, store: Store, *, lanes: Lanes, emit: Emit) -> None:
        self._store = store
        self._lanes = lanes
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._expected: deque[Wanted] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[str, Wanted] = {}
        self._trouble = ""  # what the store says of those that wait
        self._insisting: asyncio.Task[None] | None = None
        self._stopping = False
        self._late = 0
        self._recovered = 0

    def keep(self, wanted: Wanted) -> None:
        """`taken` is told once it is on disk, as unparsed if a fault of ours allows no more.

        It gets a StoreError if that is not after `PATIENCE`: the webhook keeps its `place`, and may be yet.
        """
        wanted.until = self._loop.time() + PATIENCE
        wanted.place.hold()
        self._expect(wanted)
        if self._waiting:
            self._wait(wanted)  # behind those that came before
        else:
            self._ask(wanted)

    async def stop(self, limit: timedelta) -> None:
        """Try what waits one last time, and tell how many it could not keep: they were answered 503."""
        self._stopping = True
        if self._insisting:
            self._insisting.cancel()
        if self._waiting:
            await asyncio.wait([self._ask(each) for each in self._waiting.values()], timeout=limit.total_seconds())
        if lost := len(self._waiting):
            self._emit(NotStored(webhooks=lost))

    # ---- in time

    def _expect(self, wanted: Wanted) -> None:
        """One timer for all: they are due in the order in which they came."""
        self._forget_answered()
        self._expected.append(wanted)
        if self._timer is None:
            self._timer = self._loop.call_at(self._expected[0].until, self._ring)

    def _forget_answered(self) -> None:
        while self._expected and self._expected[0].taken.done():
            self._expected.popleft()

    def _ring(self) -> None:
        self._timer = None
        while self._expected and (self._expected[0].taken.done() or self._expected[0].until <= self._loop.time()):
            self._tell_late(self._expected.popleft())
        if self._expected:
            self._timer = self._loop.call_at(self._expected[0].until, self._ring)

    def _tell_late(self, wanted: Wanted) -> None:
        if wanted.taken.done():
            return
        wanted.late = True
        self._late += 1
        why = f": {self._trouble}" if self._waiting else ""
        wanted.taken.set_exception(StoreBusy(f"not committed within {PATIENCE} s{why}"))

    # ---- and late

    def _ask(self, wanted: Wanted) -> Future[KeepResult]:
        # what has waited is for the store to give out: its leases might be over
        routed = wanted.routed if wanted.webhook.id in self._waiting else self._lanes.lease(wanted.routed)
        try:
            asked = self._store.keep(wanted.webhook, routed, window=wanted.window, dated=wanted.dated)
        except BaseException:
            self._lanes.unlease(routed)
            raise
        asked.add_done_callback(partial(self._hear, wanted, routed, wanted.bare))  # also if its client has gone
        return asked

    def _hear(self, wanted: Wanted, routed: Sequence[RoutedEvent], bare: bool, asked: Future[KeepResult]) -> None:
        self._lanes.unlease(routed)
        error = asked.exception()
        if wanted.settled:
            return
        if isinstance(error, StoreBusy):
            self._trouble = str(error)
            self._wait(wanted)
            return
        if error and not isinstance(error, StoreError) and not bare:
            if not wanted.bare:  # else it is asked already
                self._strip(wanted, error)
            return
        if error is None and not isinstance(born := asked.result(), Duplicate):
            self._lanes.admit(born)
        self._part_with(wanted, recovered=wanted.late and error is None)
        if wanted.taken.done():
            return  # it is late, or its client has gone
        if error is None:
            wanted.taken.set_result((wanted.webhook, wanted.routed, asked.result()))
        else:
            wanted.taken.set_exception(_as_store_error(error))
        self._forget_answered()

    def _strip(self, wanted: Wanted, error: BaseException) -> None:
        """Once more as unparsed: a fault of ours must not lose what amoCRM sends only once."""
        self._emit(EventsNotStored(webhook=wanted.webhook.id, error=repr(error)))
        wanted.bare = True
        wanted.webhook = replace(wanted.webhook, unparsed=f"a fault of the relay: {error!r}")
        wanted.routed = []
        self._ask(wanted)

    def _wait(self, wanted: Wanted) -> None:
        """In its place, if it has one."""
        self._waiting[wanted.webhook.id] = wanted
        if not self._stopping and (self._insisting is None or self._insisting.done()):
            self._insisting = asyncio.get_running_loop().create_task(self._insist())

    async def _insist(self) -> None:
        """Ask for the first; once it is kept, for more and more of them at a time."""
        at_once = 1
        while self._waiting:
            asked = [self._ask(each) for each in islice(self._waiting.values(), at_once)]
            await asyncio.wait(asked)
            if any(isinstance(each.exception(), StoreBusy) for each in asked):
                at_once = 1
                await asyncio.sleep(AGAIN)  # `stop` cancels it
            else:
                at_once = min(2 * at_once, MOST_AT_ONCE)

    def _part_with(self, wanted: Wanted, *, recovered: bool) -> None:
        wanted.settled = True
        self._waiting.pop(wanted.webhook.id, None)
        wanted.place.let_go()
        self._late -= wanted.late
        self._recovered += recovered
        if self._recovered and not self._late:
            self._emit(StoredLate(webhooks=self._recovered))
            self._recovered = 0


def _as_store_error(error: BaseException) -> StoreError:
    return error if isinstance(error, StoreError) else StoreError(repr(error))
