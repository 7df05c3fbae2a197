"""Times at which something is to be done -> one call, at the earliest of them."""

import asyncio
from collections.abc import Callable


class Timer:
    """Rings once, at the earliest time it was set to since it last rang. Lives in one event loop."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._handle: asyncio.Handle | None = None
        self._at = 0.0  # loop time; uvloop's handle for what is due at once cannot tell

    def set(self, seconds: float) -> None:
        """Ring in so many seconds, unless it rings sooner."""
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if self._handle and self._at <= at:
            return
        self.cancel()
        self._handle, self._at = loop.call_at(at, self._rung), at

    def cancel(self) -> None:
        """Do not ring."""
        if self._handle:
            self._handle.cancel()
            self._handle = None

    def _rung(self) -> None:
        self._handle = None
        self._ring()
