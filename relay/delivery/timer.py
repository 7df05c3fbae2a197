"""Times at which something is to be done -> one call, at the earliest of them."""

import asyncio
from collections.abc import Callable


class Timer:
    """Calls back once, at the earliest time that was set since the last call. Lives in one event loop."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._handle: asyncio.Handle | None = None
        self._at = 0.0  # loop time; uvloop's handle for a call that is due at once has no `when`

    def set(self, seconds: float) -> None:
        """Call back in so many seconds, unless an earlier time is set."""
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if self._handle and self._at <= at:
            return
        self.cancel()
        self._handle, self._at = loop.call_at(at, self._fire), at

    def cancel(self) -> None:
        """Do not call back."""
        if self._handle:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._callback()
