"""What the daemon says of itself -> the store, whenever it has changed, for commands beside it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime

from relay.errors import StoreBusy
from relay.model import Json
from relay.store.contract import Store

EVERY = 1.0  # seconds


async def keep_reporting(
    store: Store, said: Mapping[str, Callable[[], Json]], *, clock: Callable[[], datetime]
) -> None:
    """For ever; cancelled by whoever runs it. `said` has, by name, what makes the report: a new value each time.

    None leaves what the store has under that name, maybe from the daemon before.
    """
    published: dict[str, Json] = {}
    while True:
        for name, say in said.items():
            value = say()
            if value is not None and (name not in published or published[name] != value):
                with suppress(StoreBusy):  # again in a second
                    await store.publish(name, value, now=clock())
                    published[name] = value
        await asyncio.sleep(EVERY)
