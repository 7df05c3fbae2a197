"""Hours in seconds: an event loop whose time stands still while anything happens, and leaps while nothing does.

Sockets and the store are real, and what is on its way through them is waited for; only timers ring early.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from selectors import DefaultSelector, SelectorKey
from typing import Any, Self, TypeVar

from relay.model import Target
from relay.store.sqlite.write_queue import OnReplies
from tests.delivery.bench import Bench

T = TypeVar("T")

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
QUIET = 0.001  # seconds in which loopback brings whatever is on its way
TICK = 1e-7  # seconds that a look at the clock takes: who sleeps until then must not see the same time for ever


def run(main: Coroutine[Any, Any, T]) -> T:
    """What `main` returns, on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def now() -> datetime:
    """The time of the loop that runs."""
    return START + timedelta(seconds=asyncio.get_running_loop().time())


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its threads' work is waited for in real time, if it knows of it: `heed`."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.working = 0
        super().__init__(_Leaping(self))

    def time(self) -> float:
        self.passed += TICK
        return self.passed

    def run_in_executor(self, *call: Any) -> "asyncio.Future[Any]":
        return self.heed(super().run_in_executor(*call))

    def heed(self, done: "asyncio.Future[Any]") -> "asyncio.Future[Any]":
        """No time passes until this is done by another thread."""
        self.working += 1
        done.add_done_callback(self._forget)
        return done

    def heed_reply(self, on_replies: OnReplies[T]) -> OnReplies[T]:
        """As `heed`, for what replies by a call."""
        self.working += 1

        def forget(replies: Sequence[T | Exception]) -> None:
            self.working -= 1
            on_replies(replies)

        return forget

    def _forget(self, _done: "asyncio.Future[Any]") -> None:
        self.working -= 1


class _Leaping(DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self._loop.working or timeout is None:
            return super().select()
        found = super().select(QUIET)
        if not found:
            self._loop.passed += timeout
        return found


class VirtualBench(Bench):
    """A bench on a VirtualLoop."""

    def __init__(self, folder: Path, *targets: Target, clock: Callable[[], datetime] = now) -> None:
        super().__init__(folder, *targets, clock=clock)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        loop, writer = asyncio.get_running_loop(), self.store._writer
        assert isinstance(loop, VirtualLoop)
        queue = writer._queue
        put, submit_many = queue.put, writer.submit_many
        queue.put = lambda writes: put(replace(writes, on_replies=loop.heed_reply(writes.on_replies)))  # of all writes
        # nothing may wait: no time passes, and so no timer rings, until the thread has replied
        writer.submit_many = lambda *writes, may_wait=False, **how: submit_many(*writes, **how)
        return self
