"""What the daemon reports of itself (loaded files, misaddressed webhooks) -> the store, where commands read it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime

from relay.errors import StoreBusy
from relay.model import Json
from relay.store.contract import MaintenanceStore

PUBLISH_EVERY = 1.0  # seconds


async def publish_reports(
    store: MaintenanceStore, reports: Mapping[str, Callable[[], Json]], *, clock: Callable[[], datetime]
) -> None:
    """Store each report under its name when it has changed, for ever.

    A report that is None is skipped: the store keeps the one of the daemon before, if any.
    """
    published: dict[str, Json] = {}
    while True:
        for name, report in reports.items():
            value = report()
            if value is not None and (name not in published or published[name] != value):
                with suppress(StoreBusy):  # again at the next turn
                    await store.publish(name, value, now=clock())
                    published[name] = value
        await asyncio.sleep(PUBLISH_EVERY)
