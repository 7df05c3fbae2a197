"""Lanes: every target of the routes has one; deliveries go to theirs, and the store is asked what is due."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from relay.delivery.breaker import Health
from relay.delivery.lane import Lane
from relay.errors import StoreBusy, StoreError
from relay.model import Delivery, Target
from relay.signals import Emit
from relay.store.contract import Store

POLL = 1.0  # seconds; also the time within which what another process wrote is noticed


class Dispatcher:
    """All lanes. What belongs to a target that the routes no longer name stays in the store: parked."""

    def __init__(self, *, store: Store, emit: Emit, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._emit = emit
        self._clock = clock
        self._lanes: dict[str, Lane] = {}
        self._leaving: dict[asyncio.Task[None], Lane] = {}
        self._parking: set[asyncio.Task[None]] = set()

    def use(self, targets: Mapping[str, Target]) -> None:
        """From now on these targets, with these settings; pending deliveries are sent by the new ones."""
        for name in self._lanes.keys() - targets.keys():
            self._retire(self._lanes.pop(name))
        for name, target in targets.items():
            if name not in self._lanes:
                self._lanes[name] = Lane(target, store=self._store, emit=self._emit, clock=self._clock)
            self._lanes[name].use(target)

    def lease(self, target: str) -> timedelta | None:
        """For how long a delivery to `target` may be born claimed; None: it is the store's to keep for now."""
        lane = self._lanes.get(target)
        return lane.lease() if lane else None

    def admit(self, deliveries: Sequence[Delivery]) -> None:
        """Deliveries that were born claimed go to their lanes; those whose target went meanwhile are given back."""
        for delivery in deliveries:
            if lane := self._lanes.get(delivery.target):
                lane.admit([delivery])
        if homeless := [delivery for delivery in deliveries if delivery.target not in self._lanes]:
            task = asyncio.get_running_loop().create_task(self._park(homeless))
            self._parking.add(task)
            task.add_done_callback(self._parking.discard)

    async def run(self) -> None:
        """Ask the store what is due, for ever: this finds retries, restarts and replays, whatever was missed."""
        while True:
            for name, due_at in (await self._due()).items():
                if lane := self._lanes.get(name):
                    lane.expect(due_at)
            await asyncio.sleep(POLL)  # cancelled by whoever runs us

    def health(self) -> dict[str, Health]:
        """Each target's state."""
        return {name: lane.breaker.health for name, lane in self._lanes.items()}

    async def stop(self, grace: timedelta) -> None:
        """Begin nothing more, and end within about `grace`."""
        lanes = [*self._lanes.values(), *self._leaving.values()]
        await asyncio.gather(*(lane.stop(grace) for lane in lanes))
        await asyncio.gather(*self._leaving)
        self._lanes.clear()
        for task in self._parking:
            task.cancel()

    async def _due(self) -> Mapping[str, datetime]:
        try:
            return await self._store.due(list(self._lanes))
        except StoreBusy:
            return {}  # in a second

    async def _park(self, deliveries: Sequence[Delivery]) -> None:
        with suppress(StoreError):  # then they are due when their leases end, or at the next start
            await self._store.release(deliveries, now=self._clock())

    def _retire(self, lane: Lane) -> None:
        task = asyncio.get_running_loop().create_task(lane.stop(lane.target.timeout))
        self._leaving[task] = lane
        task.add_done_callback(self._leaving.pop)
