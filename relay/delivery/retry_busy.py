"""A store call that may raise StoreBusy -> its result, however often it has to be repeated."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from relay.errors import StoreBusy

T = TypeVar("T")

PAUSE = 0.25  # seconds before it is repeated


async def retry_busy(call: Callable[[], Awaitable[T]], pending: Awaitable[T] | None = None) -> T:
    """Repeat a store call until it is not busy. `pending`: the first call, if it was made already."""
    while True:
        try:
            return await (pending or call())
        except StoreBusy:
            pending = None
            await asyncio.sleep(PAUSE)
