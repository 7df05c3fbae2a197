"""A question that the store is too busy to answer -> asked until it is answered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from relay.errors import StoreBusy

T = TypeVar("T")

PAUSE = 0.25  # seconds before it is asked again


async def retry_busy(ask: Callable[[], Awaitable[T]], asked: Awaitable[T] | None = None) -> T:
    """The answer; whoever stops waiting stops it. `asked`: this was asked already."""
    while True:
        try:
            return await (asked or ask())
        except StoreBusy:
            asked = None
            await asyncio.sleep(PAUSE)
