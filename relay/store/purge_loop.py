"""Purge every few minutes: webhooks past their retention -> deleted, and a signal with the counts.

Not merged with `sqlite.early_purge.keep_room`: a purge takes longer than the second between two looks at the disk, and
any store has a retention, but only SQLite a ballast.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from relay.clock import Clock
from relay.errors import StoreBusy
from relay.model import Retention
from relay.signals import Emit, Purged

EVERY = 300.0  # seconds
SETTLING = 3600.0  # seconds from a clock that is set to the next purge: what goes by a wrong time is gone for good


class Purging(Protocol):
    """What this needs of a store."""

    async def purge(self, retention: Retention, *, now: datetime) -> Mapping[str, int]:
        """See `contract.MaintenanceStore.purge`."""
        ...


async def keep_purging(
    store: Purging,
    *,
    retention: Callable[[], Retention],
    wall: Callable[[], float],
    steady: Callable[[], float],
    emit: Emit,
    mine: Callable[[], bool] = lambda: True,
) -> None:
    """Purge for ever, by the ages that `retention()` returns each time; the caller cancels it.

    `wall` and `steady` are those of `Clock`. Of the relays that share a store one does it: this one while it is `mine`.
    """
    settled_at = steady()

    def was_set(_by: timedelta, _now: datetime) -> None:
        nonlocal settled_at
        settled_at = steady() + SETTLING

    clock = Clock(wall=wall, steady=steady, was_set=was_set)
    while True:
        start = clock()
        if steady() >= settled_at and mine():
            with suppress(StoreBusy):  # what is left over goes the next time
                if counts := await store.purge(retention(), now=start):
                    emit(Purged(counts=counts, took=clock() - start))
        await asyncio.sleep(EVERY)
