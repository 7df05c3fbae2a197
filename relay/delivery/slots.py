"""`rate` -> the wait of each request to one target until it may begin."""

import asyncio
from collections.abc import Callable

from relay.delivery.rate_limiter import RateLimiter

LONGEST_SLEEP = 1.0  # seconds between looks at `rate`, which a reload may have changed


class Slots:
    """Slots for requests, `rate` a second; without a rate nobody waits. Lives in one event loop."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self._limiter = RateLimiter()
        self._time = asyncio.get_running_loop().time
        self._stopping = asyncio.Event()  # wakes those that wait

    def reset(self) -> None:
        """Forget the slots that were taken: it may be another endpoint now."""
        self._limiter = RateLimiter()

    def stop(self) -> None:
        """End every wait."""
        self._stopping.set()

    async def wait(self, wanted: Callable[[], bool]) -> None:
        """Return once a request may begin, or none is `wanted` any more, or this stops."""
        while wanted() and not self._stopping.is_set():
            if not (pause := self._limiter.wait(self.rate, now=self._time())):
                return
            await _sleep_unless(self._stopping, min(pause, LONGEST_SLEEP))

    def take(self) -> None:
        """Begin a request."""
        self._limiter.take(self.rate, now=self._time())


async def _sleep_unless(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
