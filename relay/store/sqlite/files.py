"""The database's files as they were opened -> whether they are still the ones under those names.

A file that is moved or deleted stays writable for whoever has it open: commits would go on succeeding, into nothing.
"""

import os
from pathlib import Path

SUFFIXES = ("", "-wal", "-shm")  # to lose the last one lets two processes write without seeing each other


class Files:
    """Made once the database is open; while somebody has it open SQLite replaces none of them."""

    def __init__(self, database: Path) -> None:
        self._opened = [(path, _identity(path)) for path in (f"{database}{suffix}" for suffix in SUFFIXES)]

    @property
    def only_the_wal_is_missing(self) -> bool:
        """Then what is in it can still go into the database. One that was replaced would be applied to that later."""
        (database, _), (wal, _) = self._opened[:2]
        return _identity(wal) is None and _identity(database) == self._opened[0][1]

    def gone(self) -> str | None:
        """The first one that was moved, replaced or deleted; takes some µs."""
        for path, opened in self._opened:
            if _identity(path) != opened:
                return path
        return None


def _identity(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)  # noqa: PTH116  a Path costs as much again, before and after every commit
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
