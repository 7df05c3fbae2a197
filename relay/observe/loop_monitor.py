"""The event loop's own time -> Blocked, when something kept it for so long that others had to wait."""

import asyncio
from datetime import timedelta

from relay.signals import Blocked, Emit

EVERY = 0.1  # seconds
TOO_LATE = 0.25  # seconds


async def watch(emit: Emit) -> None:
    """Ask to be woken again and again, and tell when that came too late; for ever."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY
        await asyncio.sleep(EVERY)
        late = loop.time() - due
        if late > TOO_LATE:
            emit(Blocked(late=timedelta(seconds=late)))
