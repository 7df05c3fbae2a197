"""Lanes: every target of the routes has one; deliveries go to theirs, and the store is asked what is due and paused."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from relay.delivery.lane import Lane
from relay.errors import StoreBusy, StoreError
from relay.http.client import Client, fast_client
from relay.model import Delivery, Health, PlannedDelivery, RoutedEvent, Target
from relay.signals import Emit
from relay.store.contract import HealthReport, Store

TIME_TO_SETTLE = timedelta(seconds=1)  # what times out at the last moment is still to be written down
SLOW = 1.0  # seconds after which an attempt under way is told by its event
LOOK = 0.1  # seconds between looks at whether the last attempt has ended of a target that has gone
POLL = 1.0  # seconds; also the time within which what another process wrote is noticed


class Dispatcher:
    """All lanes. What belongs to a target that the routes no longer name stays in the store: parked."""

    def __init__(
        self,
        *,
        store: Store,
        emit: Emit,
        clock: Callable[[], datetime],
        new_client: Callable[[], Client] = fast_client,
    ) -> None:
        self._store = store
        self._emit = emit
        self._clock = clock
        self._new_client = new_client
        self._lanes: dict[str, Lane] = {}
        self._leaving: dict[str, tuple[Lane, asyncio.Task[None]]] = {}  # with attempts under way; they may come back
        self._ending: dict[asyncio.Task[None], Lane] = {}
        self._asides: set[asyncio.Task[None]] = set()
        self._paused: Collection[str] = ()
        self._reported: Mapping[str, HealthReport] | None = None

    def use(self, targets: Mapping[str, Target]) -> None:
        """From now on these targets, with these settings; pending deliveries are sent by the new ones."""
        for name in self._lanes.keys() - targets.keys():
            self._retire(name, self._lanes.pop(name))
        for name, target in targets.items():
            if name not in self._lanes:
                self._lanes[name] = self._back(name) or self._new(target)
                self._lanes[name].pause(on=name in self._paused)
            self._lanes[name].use(target)

    def pause(self, names: Collection[str]) -> None:
        """From now on these targets are paused, and no others."""
        self._paused = names
        for name, lane in self._lanes.items():
            lane.pause(on=name in names)

    def lease(self, routed: Sequence[RoutedEvent]) -> Sequence[RoutedEvent]:
        """The same, but what its lane has room for is to be born claimed; that room is reserved until `unlease`."""
        begun: set[str] = set()  # the targets that something is leased for
        return [self._leased(each, begun) for each in routed]

    def _leased(self, routed: RoutedEvent, begun: set[str]) -> RoutedEvent:
        size, leases = len(routed.payload), {}
        for planned in routed.planned:
            lane = self._lanes.get(planned.target)
            if lane and (lease := lane.lease(size, more=planned.target in begun)):
                begun.add(planned.target)
                leases[planned.target] = lease
        if not leases:
            return routed
        # made anew field by field: `replace` takes more than twice as long, for each event
        owed_now = [
            PlannedDelivery(target=each.target, routes=each.routes, lease=leases.get(each.target), key=each.key)
            for each in routed.planned
        ]
        return RoutedEvent(event=routed.event, payload=routed.payload, planned=tuple(owed_now), routes=routed.routes)

    def unlease(self, routed: Sequence[RoutedEvent]) -> None:
        """It is in the store or will not be: what `lease` has reserved for it is free. Goes before `admit`."""
        for each in routed:
            for planned in each.planned:
                if lane := self._lanes.get(planned.target) or self._left(planned.target):
                    lane.unlease(len(each.payload), leased=planned.lease is not None)

    def admit(self, deliveries: Sequence[Delivery]) -> None:
        """Deliveries that were born claimed go to their lanes; those whose target went meanwhile are given back."""
        for target, some in _by_target(deliveries).items():
            if lane := self._lanes.get(target):
                lane.admit(some)
            else:
                self._aside(self._park(some))

    def clock_set(self, by: timedelta) -> None:
        """Move what the circuits wait for with a clock that was set by `by`."""
        for lane in self._all():
            lane.circuit.clock_set(by)

    async def run(self) -> None:
        """Ask the store what is due and paused, for ever: it finds retries, restarts, replays, whatever was missed."""
        while True:
            with suppress(StoreBusy):  # again in a second
                await self._look()
                await self._report()
            await asyncio.sleep(POLL)  # cancelled by whoever runs us

    def health(self) -> dict[str, Health]:
        """Each target's state."""
        return {name: lane.health for name, lane in self._lanes.items()}

    async def stop(self, grace: timedelta) -> None:
        """Begin nothing more, and end within about `grace`."""
        for _lane, task in self._leaving.values():
            task.cancel()
        await asyncio.gather(*(lane.stop(grace) for lane in self._all()))
        await asyncio.gather(*self._ending)
        self._lanes.clear()
        self._leaving.clear()
        for task in self._asides:
            task.cancel()

    async def _look(self) -> None:
        due = await self._store.due(list(self._lanes))
        self.pause(due.paused)
        for name, due_at in due.at.items():
            if lane := self._lanes.get(name):
                lane.expect(due_at)
        for name in due.probes:
            if lane := self._lanes.get(name):
                lane.probe()
        if due.probes:
            await self._store.probed(due.probes)

    async def _report(self) -> None:
        """Tell operators, through the store, how targets are and what is in flight; only when that has changed."""
        before, now = self._reported or {}, self._clock()
        conditions = {name: _condition(lane, before.get(name), now) for name, lane in self._lanes.items()}
        if self._reported is None or _told(conditions) != _told(before):
            await self._store.report(conditions)
            self._reported = conditions

    async def _park(self, deliveries: Sequence[Delivery]) -> None:
        with suppress(StoreError):  # then they are due when their leases end, or at the next start
            await self._store.release(deliveries, now=self._clock())

    def _aside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)

    # ---- lanes that come and go

    def _all(self) -> list[Lane]:
        return [*self._lanes.values(), *(lane for lane, _task in self._leaving.values()), *self._ending.values()]

    def _new(self, target: Target) -> Lane:
        return Lane(target, store=self._store, emit=self._emit, clock=self._clock, new_client=self._new_client)

    def _retire(self, name: str, lane: Lane) -> None:
        lane.pause(on=True)
        self._leaving[name] = lane, asyncio.get_running_loop().create_task(self._leave(name, lane))

    def _left(self, name: str) -> Lane | None:
        return self._leaving[name][0] if name in self._leaving else None

    def _back(self, name: str) -> Lane | None:
        """The lane that the target had, while attempts of it are under way: they count for its `concurrency`."""
        if name not in self._leaving:
            return None
        lane, task = self._leaving.pop(name)
        task.cancel()
        return lane

    async def _leave(self, name: str, lane: Lane) -> None:
        """End the lane once its attempts have ended."""
        grace = lane.target.timeout + TIME_TO_SETTLE
        with suppress(TimeoutError):
            async with asyncio.timeout(grace.total_seconds()):
                while lane.under_way:  # noqa: ASYNC110  an event would cost each attempt something
                    await asyncio.sleep(LOOK)  # `_back` or `stop` cancels it
        del self._leaving[name]
        task = asyncio.get_running_loop().create_task(lane.stop(grace))
        self._ending[task] = lane
        task.add_done_callback(self._ending.pop)


def _by_target(deliveries: Sequence[Delivery]) -> Mapping[str, Sequence[Delivery]]:
    if len(deliveries) == 1:  # as it is for most webhooks
        return {deliveries[0].target: deliveries}
    by_target: dict[str, list[Delivery]] = {}
    for delivery in deliveries:
        by_target.setdefault(delivery.target, []).append(delivery)
    return by_target


def _condition(lane: Lane, before: HealthReport | None, now: datetime) -> HealthReport:
    """Held, whether a probe is on its way or not, is one stretch of time."""
    circuit, begun = lane.circuit, asyncio.get_running_loop().time() - SLOW
    same = before is not None and (before.health == Health.OK) == (not circuit.held)
    return HealthReport(
        health=circuit.health,
        since=before.since if same and before else now,
        as_of=now,
        error=circuit.trouble,
        in_flight=len(lane.under_way),
        slow=frozenset(event for event, since in lane.under_way.items() if since <= begun),
        probe_at=circuit.probe_at,
    )


def _told(conditions: Mapping[str, HealthReport]) -> dict[str, tuple[object, ...]]:
    """What is news if it differs."""
    return {name: (each.health, each.in_flight, each.slow, each.probe_at) for name, each in conditions.items()}
