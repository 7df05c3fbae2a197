"""Key -> whether one more line of it may be written now."""

import threading
from collections.abc import Callable


class Limiter:
    """At most `per_second` lines in each second of `clock` (in seconds) for each key. Keys must be few."""

    def __init__(self, per_second: int, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._clock = clock
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._lock = threading.RLock()  # in here the garbage collector may run, and what it finds be logged

    def admit(self, key: str) -> int | None:
        """How many of `key` were held back since the last one admitted; None: hold this one back too."""
        this_second = int(self._clock())
        with self._lock:
            second, admitted, held_back = self._seen.get(key, (this_second, 0, 0))
            if second != this_second:
                admitted = 0
            if admitted == self._per_second:
                self._seen[key] = this_second, admitted, held_back + 1
                return None
            self._seen[key] = this_second, admitted + 1, 0
            return held_back
