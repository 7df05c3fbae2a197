"""The highest seq of a committed webhook, in a file of its own beside the database.

A database that was rolled back, restored, or lost its WAL is sound, only shorter; this file shows it. It is written
after every commit and before any 200, never synced, and so never ahead of what the disk was told to keep.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from relay.errors import ConfigurationError
from relay.os_errors import write_problem
from relay.store.checksum import checksum

SIZE = 8  # bytes of the seq, and as many of its checksum: a false alarm would be believed only once


class Watermark:
    """The file of one database, open for its owner."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path
        self._seq = _read(fd)

    @classmethod
    def open(cls, database: Path) -> Self:
        """Make it if missing. ConfigurationError if that fails."""
        try:
            fd = os.open(_path(database), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(write_problem(_path(database), error)) from None
        return cls(fd, _path(database))

    @property
    def seq(self) -> int:
        """0 if nothing was committed yet, or the file cannot be read."""
        return self._seq

    def advance(self, seq: int) -> None:
        """Write a committed seq. If the disk refuses, the file stays behind, and shows less."""
        if seq == self._seq:
            return
        self._seq = seq
        content = seq.to_bytes(SIZE, "big")
        with suppress(OSError):
            os.pwrite(self._fd, content + checksum(content)[:SIZE], 0)

    def close(self) -> None:
        """Close the file, which stays."""
        os.close(self._fd)

    def undo(self) -> None:
        """Close it, and remove it if it is empty."""
        if not os.fstat(self._fd).st_size:
            with suppress(OSError):
                self._path.unlink()
        self.close()


def acked(database: Path) -> int:
    """Read the file beside `database` without owning it."""
    try:
        fd = os.open(_path(database), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return _read(fd)
    finally:
        os.close(fd)


def _path(database: Path) -> Path:
    return database.with_name(f"{database.name}.acked")


def _read(fd: int) -> int:
    content = os.pread(fd, 2 * SIZE, 0)
    seq = content[:SIZE]
    return int.from_bytes(seq, "big") if content[SIZE:] == checksum(seq)[:SIZE] else 0
