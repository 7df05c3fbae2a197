"""Watch the length of the write-ahead log: warn when it grows, and interrupt our own readers when it is too long.

It restarts only while no reader needs its content; a long read makes it grow. When it restarts SQLite cuts it to
`LONGEST_WAL` (journal_size_limit), in a commit that comes anyway.
"""

from collections.abc import Callable
from pathlib import Path

from relay.signals import Emit, WalGrown
from relay.store.records import Disk
from relay.store.sqlite.disk import MEBIBYTE, disk_of

LONGEST_WAL = 16 * MEBIBYTE  # bytes that it may keep while nobody reads: what the Writer checkpoints at
STEP = 16_384  # pages: 64 MiB
INTERRUPT_AT = 4  # steps
PAGE = 4096  # bytes, as SQLite has them unless told otherwise


def too_long(database: Path, disk: Callable[[Path], Disk] = disk_of) -> bool:
    """Whether the log is so long that a reader beside the owner, too, must end.

    At the length at which the owner interrupts its own; on a disk that has no room for as much, once it would be cut.
    """
    longest = INTERRUPT_AT * STEP * PAGE
    try:
        size = database.with_name(f"{database.name}-wal").stat().st_size
    except (OSError, ValueError):
        return False
    return size >= longest or (size > LONGEST_WAL and disk(database.parent).free < longest)


class Wal:
    """Gets the number of pages after each commit."""

    def __init__(self, *, interrupt: Callable[[], object], emit: Emit) -> None:
        self.pages = 0
        self._interrupt = interrupt
        self._emit = emit
        self._steps = 0  # so many were crossed since it was short

    def update(self, pages: int) -> None:
        """Compare the pages after a commit with the steps; each step counts once, on the way up."""
        self.pages = pages
        steps = pages // STEP
        if steps > self._steps:
            self._grown(steps)
        if steps == 0 or steps > self._steps:
            self._steps = steps

    def _grown(self, steps: int) -> None:
        if self._steps == 0:
            self._emit(WalGrown(pages=self.pages))
        if steps >= INTERRUPT_AT:
            self._interrupt()
