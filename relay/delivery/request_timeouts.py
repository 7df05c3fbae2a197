"""Time-outs of the requests of one sender -> one timer: an await that passes its deadline raises TimeoutError.

`asyncio.timeout` sets a timer for each request, though hardly any request times out. Here one timer is set to the
earliest deadline in flight, and each request still ends at its own deadline.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from math import inf
from types import TracebackType
from typing import Self


class RequestTimeout:
    """Use as `with timeout:` around the awaits of one task. `about` is for `change`; `at` is in loop time."""

    __slots__ = ("_all", "_cancelling", "_expired", "_task", "about", "at", "seconds")

    def __init__(self, all_: "RequestTimeouts", about: str, seconds: float) -> None:
        self.about = about
        self.seconds = seconds
        self.at = all_.loop.time() + seconds
        self._all = all_
        self._task: asyncio.Task[object] = asyncio.current_task(all_.loop)  # type: ignore[assignment]  # there is one
        self._cancelling = self._task.cancelling()
        self._expired = False

    def expire(self) -> None:
        """Cancel what its task awaits."""
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> Self:
        all_ = self._all
        all_.in_flight[self] = None
        if self.at < all_.timer_at:
            all_.wake_by(self.at)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._all.in_flight.pop(self, None)  # the timer stays: later deadlines need it
        # another cancel, which came in between, must not be taken for ours
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error


class RequestTimeouts:
    """The deadlines in flight. Lives in one event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.in_flight: dict[RequestTimeout, None] = {}
        self.timer_at = inf
        self._timer: asyncio.TimerHandle | None = None
        self.new = partial(RequestTimeout, self)
        """A deadline for the current task: what it is about, and how many seconds from now."""

    def change(self, seconds: float, of: Callable[[str], bool]) -> None:
        """Give the requests in flight for whose `about` `of` is true so many seconds from their start; some end now."""
        for deadline in self.in_flight:
            if deadline.seconds != seconds and of(deadline.about):
                deadline.at += seconds - deadline.seconds
                deadline.seconds = seconds
                self.wake_by(deadline.at)

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer:
            self._timer.cancel()

    def wake_by(self, at: float) -> None:
        """Set the timer to this time, unless it is set to an earlier one."""
        if at < self.timer_at:
            self.close()
            self._timer, self.timer_at = self.loop.call_at(at, self._expire), at

    def _expire(self) -> None:
        self._timer, self.timer_at = None, inf
        now = self.loop.time()
        for deadline in [each for each in self.in_flight if each.at <= now]:
            del self.in_flight[deadline]
            deadline.expire()
        if self.in_flight:
            self.wake_by(min(each.at for each in self.in_flight))
