"""Time-outs of the requests of one sender -> one timer: an await that passes its deadline raises TimeoutError.

`asyncio.timeout` sets a timer for each request, though hardly any request times out. Here one timer is set to the
earliest deadline in flight, and each request still ends at its own deadline.
"""

import asyncio
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Self, cast


class RequestTimeout:
    """Use as `with timeout:` around the awaits of one task. `about` is for `change`; `at` is in loop time."""

    __slots__ = ("_all", "_cancelling", "_expired", "_task", "about", "at", "seconds")

    def __init__(self, all_: "RequestTimeouts", about: str, seconds: float, now: float) -> None:
        self.about = about
        self.seconds = seconds
        self.at = now + seconds
        self._all = all_
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelling = self._task.cancelling()
        self._expired = False

    def expire(self) -> None:
        """Cancel what its task awaits."""
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> Self:
        self._all.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._all.discard(self)
        # another cancel, which came in between, must not be taken for ours
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error


class RequestTimeouts:
    """The deadlines in flight. Lives in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._in_flight: dict[RequestTimeout, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf

    def new(self, about: str, seconds: float) -> RequestTimeout:
        """A deadline for the current task, so many seconds from now."""
        return RequestTimeout(self, about, seconds, self._loop.time())

    def change(self, seconds: float, of: Callable[[str], bool]) -> None:
        """Give the requests in flight for whose `about` `of` is true so many seconds from their start; some end now."""
        for deadline in self._in_flight:
            if deadline.seconds != seconds and of(deadline.about):
                deadline.at += seconds - deadline.seconds
                deadline.seconds = seconds
                self._wake_by(deadline.at)

    def add(self, deadline: RequestTimeout) -> None:
        """Put it in flight; set the timer if it is the earliest."""
        self._in_flight[deadline] = None
        if deadline.at < self._timer_at:
            self._wake_by(deadline.at)

    def discard(self, deadline: RequestTimeout) -> None:
        """Remove it, if it is in flight. The timer stays: later deadlines need it."""
        self._in_flight.pop(deadline, None)

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer:
            self._timer.cancel()

    def _wake_by(self, at: float) -> None:
        if at < self._timer_at:
            self.close()
            self._timer, self._timer_at = self._loop.call_at(at, self._expire), at

    def _expire(self) -> None:
        self._timer, self._timer_at = None, inf
        now = self._loop.time()
        for deadline in [each for each in self._in_flight if each.at <= now]:
            del self._in_flight[deadline]
            deadline.expire()
        if self._in_flight:
            self._wake_by(min(each.at for each in self._in_flight))
