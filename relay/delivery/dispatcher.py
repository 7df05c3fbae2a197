"""Targets of the routes -> one lane each; new deliveries go to their lanes, and the store is polled for the rest."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from relay.delivery.circuit import of_templates
from relay.delivery.delivery_rate import DeliveryRate
from relay.delivery.lane import Lane
from relay.errors import StoreBusy, StoreError
from relay.http.client import Client, fast_client
from relay.model import Delivery, Health, PlannedDelivery, RoutedEvent, Target
from relay.signals import Emit
from relay.store.contract import DeliveryStore
from relay.store.records import HealthReport

TIME_TO_SETTLE = timedelta(seconds=1)  # for an attempt that times out at the last moment
SLOW = 1.0  # seconds after which an attempt in flight is reported by its event
CHECK = 0.1  # seconds between checks whether a removed target has attempts in flight
POLL = 1.0  # seconds between polls of the store; also the time within which another process's writes take effect
RATES_EVERY = 5.0  # seconds between two reports in which only rates differ
POLL_BESIDE_OTHERS = 0.25  # while other relays deliver, too: they store what is due here, and leave it unclaimed


class Dispatcher:
    """All lanes. Deliveries to a target that the routes no longer name stay in the store: orphaned."""

    def __init__(
        self,
        *,
        store: DeliveryStore,
        emit: Emit,
        clock: Callable[[], datetime],
        new_client: Callable[[], Client] = fast_client,
    ) -> None:
        self._store = store
        self._emit = emit
        self._clock = clock
        self._new_client = new_client
        self._lanes: dict[str, Lane] = {}
        # removed targets with attempts in flight; a reload may bring one back
        self._leaving: dict[str, tuple[Lane, asyncio.Task[None]]] = {}
        self._stopping: dict[asyncio.Task[None], Lane] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._paused: Collection[str] = ()
        self._reported: Mapping[str, HealthReport] | None = None
        self._unrendered: Mapping[str, str] = {}
        self._down_since: dict[str, datetime] = {}
        self._rates: dict[str, DeliveryRate] = {}
        self._rates_due_at = 0.0

    def recall(self, reports: Mapping[str, HealthReport]) -> None:
        """Begin with circuits open that templates had opened when the daemon before ended.

        To be called before `use`. Closed ones would give up ten more deliveries at each start before they opened.
        A circuit that opens again before its target was delivered to is reported to be open since it first was.
        """
        opened = {name: each for name, each in reports.items() if each.health is not Health.OK}
        self._unrendered = {name: each.error for name, each in opened.items() if of_templates(each.error)}
        self._down_since = {name: each.since for name, each in opened.items()}

    def use(self, targets: Mapping[str, Target]) -> None:
        """Deliver to these targets with these settings from now on; pending deliveries, too, go by the new ones."""
        for name in self._lanes.keys() - targets.keys():
            self._retire(name, self._lanes.pop(name))
        for name, target in targets.items():
            if name not in self._lanes:
                self._lanes[name] = self._back(name) or self._new(target)
                self._lanes[name].pause(on=name in self._paused)
            self._lanes[name].use(target)
        self._unrendered = {}

    def pause(self, names: Collection[str]) -> None:
        """Pause these targets, and resume all others."""
        self._paused = names
        for name, lane in self._lanes.items():
            lane.pause(on=name in names)

    def lease(self, routed: Sequence[RoutedEvent]) -> Sequence[RoutedEvent]:
        """Mark for claim at insert what the lanes have room for; that room is reserved until `unreserve`."""
        leased: set[str] = set()  # the targets that a delivery is leased for
        return [self._leased(each, leased) for each in routed]

    def _leased(self, routed: RoutedEvent, leased: set[str]) -> RoutedEvent:
        size, lanes = len(routed.payload), self._lanes
        marked: list[PlannedDelivery] = []
        any_leased = False
        for each in routed.planned:
            lane = lanes.get(each.target)
            if lane and each.hold is None and (lease := lane.lease(size, more=each.target in leased)):
                any_leased = True
                leased.add(each.target)
                # field by field: `replace` takes more than twice as long, for each event
                marked.append(
                    PlannedDelivery(
                        target=each.target, routes=each.routes, lease=lease, key=each.key, if_late=each.if_late
                    )
                )
            else:
                marked.append(each)
        if not any_leased:
            return routed
        return RoutedEvent(event=routed.event, payload=routed.payload, planned=tuple(marked), routes=routed.routes)

    def unreserve(self, routed: Sequence[RoutedEvent]) -> None:
        """Free what `lease` has reserved: it is stored, or will not be. Call it before `admit`."""
        reserved: dict[str, list[int]] = {}  # by target: the sizes; also if there are none
        for each in routed:
            for planned in each.planned:
                sizes = reserved.setdefault(planned.target, [])
                if planned.lease is not None:
                    sizes.append(len(each.payload))
        for target, sizes in reserved.items():
            if lane := self._lanes.get(target) or self._leaving_lane(target):
                lane.unreserve(sizes)

    def admit(self, deliveries: Sequence[Delivery]) -> None:
        """Queue deliveries claimed at insert; those whose target was removed meanwhile go back to the store."""
        for target, its in _by_target(deliveries).items():
            if lane := self._lanes.get(target):
                lane.admit(its)
            else:
                self._in_background(self._release(its))

    def disowned(self) -> None:
        """Drop what the lanes have queued: others own it by now. Attempts in flight end, and are settled as ever."""
        for lane in self._all():
            lane.disowned()

    def erased(self) -> None:
        """Forget what is queued and what targets told last: the store has erased some of it. The rest is due again."""
        for lane in self._all():
            lane.release_queue()
            lane.circuit.error = ""

    def clock_set(self, by: timedelta) -> None:
        """Move the end of each circuit's pause with a clock that was set by `by`."""
        for lane in self._all():
            lane.circuit.clock_set(by)

    async def run(self) -> None:
        """Poll the store for what is due and paused, for ever: finds replays, and whatever the lanes have missed."""
        clock, report_at = asyncio.get_running_loop().time, 0.0
        while True:
            with suppress(StoreBusy):  # until the next poll
                await self._poll()
                if clock() >= report_at:
                    report_at = clock() + POLL - POLL_BESIDE_OTHERS / 2  # with every poll while this relay is alone
                    await self._report()
            await asyncio.sleep(POLL_BESIDE_OTHERS if self._beside_others() else POLL)

    def health(self) -> dict[str, Health]:
        """Each target's state, as `relay_target_state` has it."""
        return {
            name: Health.PAUSED if name in self._paused else lane.circuit.health for name, lane in self._lanes.items()
        }

    def in_flight(self) -> dict[str, int]:
        """Deliveries whose attempt is under way, by target."""
        return {name: len(lane.in_flight) for name, lane in self._lanes.items()}

    async def stop(self, grace: timedelta) -> None:
        """Begin no attempt, and end within about `grace`."""
        for _lane, task in self._leaving.values():
            task.cancel()
        await asyncio.gather(*(lane.stop(grace) for lane in self._all()))
        await asyncio.gather(*self._stopping)
        self._lanes.clear()
        self._leaving.clear()
        for task in self._background:
            task.cancel()

    def _beside_others(self) -> bool:
        return any(self._store.share(name)[1] > 1 for name in self._lanes)

    async def _poll(self) -> None:
        for each in self._lanes.values():
            each.update_share()
            each.work()
        due = await self._store.due(list(self._lanes))
        self.pause(due.paused)
        for name, due_at in due.at.items():
            if lane := self._lanes.get(name):
                lane.wake_at(due_at)
        for name in due.probes:
            if lane := self._lanes.get(name):
                lane.probe()
        if due.probes:
            await self._store.fulfil_probes(due.probes)

    async def _report(self) -> None:
        """Store each target's health and what is in flight, for `relay status`; only when that has changed.

        If rates alone have changed, not before `RATES_EVERY` is over.
        """
        before, now, at = self._reported or {}, self._clock(), asyncio.get_running_loop().time()
        self._rates = {name: self._rates.get(name) or DeliveryRate() for name in self._lanes}
        rates = {name: self._rates[name].update(at, lane.delivered) for name, lane in self._lanes.items()}
        reports = {
            name: _health_report(lane, before.get(name), now, rates[name], self._down_since.get(name))
            for name, lane in self._lanes.items()
        }
        changed = self._reported is None or _compared(reports) != _compared(before)
        if changed or (at >= self._rates_due_at and _rates(reports) != _rates(before)):
            await self._store.publish_health(reports)
            self._reported, self._rates_due_at = reports, at + RATES_EVERY

    async def _release(self, deliveries: Sequence[Delivery]) -> None:
        with suppress(StoreError):  # then they are due when their leases end, or at the next start
            await self._store.release(deliveries, now=self._clock())

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # ---- lanes of targets that a reload adds or removes

    def _all(self) -> list[Lane]:
        return [*self._lanes.values(), *(lane for lane, _task in self._leaving.values()), *self._stopping.values()]

    def _new(self, target: Target) -> Lane:
        lane = Lane(target, store=self._store, emit=self._emit, clock=self._clock, new_client=self._new_client)
        if error := self._unrendered.get(target.name):
            lane.circuit.hold(error, target)
        return lane

    def _retire(self, name: str, lane: Lane) -> None:
        lane.pause(on=True)
        self._leaving[name] = lane, asyncio.get_running_loop().create_task(self._leave(name, lane))

    def _leaving_lane(self, name: str) -> Lane | None:
        return self._leaving[name][0] if name in self._leaving else None

    def _back(self, name: str) -> Lane | None:
        """The lane that the target had, if it has attempts in flight: they count against its `concurrency`."""
        if name not in self._leaving:
            return None
        lane, task = self._leaving.pop(name)
        task.cancel()
        return lane

    async def _leave(self, name: str, lane: Lane) -> None:
        """Stop the lane once its attempts have ended."""
        grace = lane.target.timeout + TIME_TO_SETTLE
        with suppress(TimeoutError):
            async with asyncio.timeout(grace.total_seconds()):
                while lane.in_flight:  # noqa: ASYNC110  an event would cost each attempt something
                    await asyncio.sleep(CHECK)  # `_back` or `stop` cancels it
        del self._leaving[name]
        if lane.delivered_at:  # if it is put back, a lane that begins anew does not know that
            self._down_since.pop(name, None)
        task = asyncio.get_running_loop().create_task(lane.stop(grace))
        self._stopping[task] = lane
        task.add_done_callback(self._stopping.pop)


def _by_target(deliveries: Sequence[Delivery]) -> Mapping[str, Sequence[Delivery]]:
    if len(deliveries) == 1:  # of most webhooks
        return {deliveries[0].target: deliveries}
    by_target: dict[str, list[Delivery]] = {}
    for delivery in deliveries:
        by_target.setdefault(delivery.target, []).append(delivery)
    return by_target


def _health_report(
    lane: Lane, before: HealthReport | None, now: datetime, rate: float, down_since: datetime | None
) -> HealthReport:
    """`since`: a circuit that is open or half-open is so for one stretch of time.

    `down_since`: it was when the daemon before ended. That stretch goes on until the target is delivered to.
    """
    circuit, slow_since = lane.circuit, asyncio.get_running_loop().time() - SLOW
    same = before is not None and (before.health is Health.OK) == (circuit.health is Health.OK)
    still = circuit.health is not Health.OK and lane.delivered_at is None
    began = (down_since if still else None) or now
    return HealthReport(
        health=circuit.health,
        since=before.since if same and before else began,
        as_of=now,
        error=circuit.error,
        in_flight=len(lane.in_flight),
        slow=frozenset(event for event, since in lane.in_flight.items() if since <= slow_since),
        probe_at=circuit.probe_at,
        delivered_at=lane.delivered_at,
        rate=rate,
    )


def _rates(reports: Mapping[str, HealthReport]) -> dict[str, tuple[object, ...]]:
    return {name: (each.delivered_at, each.rate) for name, each in reports.items()}


def _compared(reports: Mapping[str, HealthReport]) -> dict[str, tuple[object, ...]]:
    """What makes a report a new one if it differs."""
    return {name: (each.health, each.error, each.in_flight, each.slow, each.probe_at) for name, each in reports.items()}
