"""Purge every few minutes: webhooks past their retention -> deleted, and a signal with the counts.

Not merged with `sqlite.early_purge.keep_room`: a purge takes longer than the second between two looks at the disk, and
any store has a retention, but only SQLite a ballast.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from relay.clock import Clock
from relay.errors import ArchiveFailed, StoreBusy
from relay.model import Retention
from relay.signals import Emit, Purged, PurgeStopped
from relay.store.archive import ArchiveFolder

EVERY = 300.0  # seconds
SETTLING = 3600.0  # seconds from a clock that is set to the next purge: what goes by a wrong time is gone for good


class Purging(Protocol):
    """What this needs of a store."""

    async def purge(
        self, retention: Retention, *, now: datetime, archive: ArchiveFolder | None = None
    ) -> Mapping[str, int]:
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
    archive: Callable[[], ArchiveFolder | None] = lambda: None,
) -> None:
    """Purge for ever, by the ages that `retention()` returns each time; the caller cancels it.

    What `archive()` cannot take stays, until it can.

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
            try:
                if counts := await store.purge(retention(), now=start, archive=archive()):
                    emit(Purged(counts=counts, took=clock() - start))
            except StoreBusy:
                pass  # what is left over goes the next time
            except ArchiveFailed as error:
                emit(PurgeStopped(error=str(error)))
        await asyncio.sleep(EVERY)
