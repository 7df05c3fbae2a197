"""amoCRM's own time: one clock that only its owner moves, and one that runs."""

import time

START = 1_783_762_000.0  # 2026-07-11


class VirtualClock:
    """Unix seconds of amoCRM's servers."""

    def __init__(self, now: float = START) -> None:
        self._now = now

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> float:
        self._now += seconds
        return self()


class RunningClock(VirtualClock):
    """The machine's time, `speed` times as fast, and `advance` seconds ahead."""

    def __init__(self, *, speed: float = 1.0) -> None:
        super().__init__(time.time())
        self._speed = speed
        self._started = time.monotonic()

    def __call__(self) -> float:
        return self._now + (time.monotonic() - self._started) * self._speed
