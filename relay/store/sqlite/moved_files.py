"""The database's files: whether this process may use them, and whether they are still the ones that were opened.

A file that is moved or deleted stays writable for a process that has it open: commits would go on succeeding, into
nothing.
"""

import os
from pathlib import Path

from relay.errors import ConfigurationError
from relay.os_errors import permission_problem

SUFFIXES = ("", "-wal", "-shm")  # to lose the last one lets two processes write without seeing each other


class Files:
    """Made once the database is open; SQLite replaces none of its files while they are open."""

    def __init__(self, database: Path) -> None:
        self._opened = [(path, _identity(path)) for path in (f"{database}{suffix}" for suffix in SUFFIXES)]

    @property
    def only_the_wal_is_missing(self) -> bool:
        """Whether its content can still be checkpointed. A replaced WAL would be applied to the database later."""
        (database, _), (wal, _) = self._opened[:2]
        return _identity(wal) is None and _identity(database) == self._opened[0][1]

    def gone(self) -> str | None:
        """Return the first file that was moved, replaced or deleted; takes some µs."""
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


# ---- permissions, checked before anything is opened, made or called corrupt


def check_permitted(database: Path, *, owner: bool = False) -> None:
    """Raise ConfigurationError, with the owner and mode, if a visitor, or the `owner`, lacks access to one of them."""
    if said := refused(database, owner=owner):
        raise ConfigurationError(said)


def refused(database: Path, *, owner: bool = False) -> str | None:
    """Return which permission is missing, as a sentence; None if none is."""
    there = owner or _is_there(database)  # a visitor makes none
    for suffix in SUFFIXES:
        if said := permission_problem(Path(f"{database}{suffix}"), write=there):
            return said
    for suffix in (".lock", ".acked", ".ballast"):
        beside = Path(f"{database}{suffix}")
        if beside.exists() and (said := permission_problem(beside, write=owner)):
            return said
    return None


def _is_there(database: Path) -> bool:
    try:
        return database.exists()
    except PermissionError:
        return False
