"""While operators ask, threads hand the interpreter's lock over sooner.

A commit needs the lock once for each of its statements. A thread that turns rows into records, or the event loop amid
a callback, keeps it for `sys.getswitchinterval()`, 5 ms, from whoever wants it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

TURN = 0.000_1
"""Seconds. Handing over costs some µs each time, so that it is for as long as somebody asks only."""


class ShortTurns:
    """The interpreter's switch interval: `TURN` while at least one block is open, then what it was."""

    def __init__(self) -> None:
        self._open = 0
        self._before = 0.0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have threads take short turns for as long as the block lasts."""
        if not self._open:
            self._before = sys.getswitchinterval()
            sys.setswitchinterval(TURN)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                sys.setswitchinterval(self._before)
