"""The event loop's clock -> Blocked, when something held the loop for so long that everything else waited."""

import asyncio
from datetime import timedelta

from relay.signals import Blocked, Emit

EVERY = 0.1  # seconds
TOO_LATE = 0.25  # seconds


async def monitor_loop(emit: Emit) -> None:
    """Sleep again and again, for ever, and emit Blocked when a wake-up came too late."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY
        await asyncio.sleep(EVERY)
        late = loop.time() - due
        if late > TOO_LATE:
            emit(Blocked(late=timedelta(seconds=late)))
