"""Every few minutes: what was kept long enough -> gone, and said."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from relay.errors import StoreBusy
from relay.model import Retention
from relay.signals import Emit, Purged
from relay.store.contract import Store

EVERY = 300.0  # seconds


async def keep_purging(
    store: Store, *, retention: Callable[[], Retention], clock: Callable[[], datetime], emit: Emit
) -> None:
    """For ever, by the ages that `retention()` returns each time; cancelled by whoever runs it."""
    while True:
        start = clock()
        with suppress(StoreBusy):  # what is left over goes the next time
            if counts := await store.purge(retention(), now=start):
                emit(Purged(counts=counts, took=clock() - start))
        await asyncio.sleep(EVERY)
