"""The disk under a database: how much room there is, and a ballast to be given up when there is none.

ample ─▶ scarce ─▶ low ─▶ full        by what is free; each crossing is one line in the log
                    │      └ a commit found no room: the ballast goes, so that what is owed can still be settled;
                    │        webhooks are kept only where a purge made room inside the file
                    └ delivered history goes before its time

The ballast is a file beside the database that nobody reads. It keeps other programs from taking the last of the disk.
"""

import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from relay.errors import ConfigurationError
from relay.signals import DiskSpace, DiskSpaceChanged, Emit
from relay.store.disk import MEBIBYTE, disk_of
from relay.store.records import Disk

LEAST_TO_OPEN = MEBIBYTE // 4  # SQLite needs 32 KiB and more for its -shm, and the log of a migration
LEAST_TO_KEEP = 4 * MEBIBYTE  # without a ballast; less, and the disk is full
NO_FALLOCATE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
BACK = 1.1  # a level is left for a better one when so much more is free than it takes


class Space:
    """The room beside one database, and its ballast of at most `ballast` bytes. Any thread may ask."""

    def __init__(self, database: Path, *, ballast: int, emit: Emit, disk: Callable[[Path], Disk] = disk_of) -> None:
        self._disk = disk
        self._folder = database.parent
        self._file = database.with_name(f"{database.name}.ballast")
        self._ballast = ballast
        self._emit = emit
        self._level = DiskSpace.AMPLE
        self._lock = threading.Lock()

    @property
    def level(self) -> DiskSpace:
        """As it was last seen."""
        return self._level

    def prepare(self) -> None:
        """Free the ballast if a database needs it to open. ConfigurationError if that is not enough."""
        if not self._folder.is_dir() or self._disk(self._folder).free >= LEAST_TO_OPEN:
            return
        self._drop()
        if (left := self._disk(self._folder).free) < LEAST_TO_OPEN:
            raise ConfigurationError(
                f"the disk of {self._folder} is full: {left} bytes are free, and to open the store takes"
                f" {LEAST_TO_OPEN}. Free some space there; but leave relay.db-wal alone, webhooks are in it"
            )
        self._cross(DiskSpace.FULL)

    def release(self) -> bool:
        """A commit found no room: give the ballast up. False if there is none, and to try again is no use."""
        with self._lock:
            dropped = self._drop()
            self._cross(DiskSpace.FULL)
            return dropped

    def look(self) -> DiskSpace:
        """Take what is wanting of the ballast, if there is room for it, and see how things stand."""
        with self._lock:
            wanted = min(self._ballast, self._disk(self._folder).total // 8)
            held = self._retake(wanted)
            disk = self._disk(self._folder)
            level = self._judge(disk, held, wanted)
            if level > self._level:
                level = max(self._level, self._judge(disk._replace(free=int(disk.free / BACK)), held, wanted))
            self._cross(level, free=disk.free)
            return level

    def _drop(self) -> bool:
        try:
            self._file.unlink()
        except FileNotFoundError:
            return False
        return True

    def _retake(self, wanted: int) -> int:
        """The bytes held now; never more than what is left to others."""
        if not wanted:
            self._drop()
            return 0
        held = self._file.stat().st_size if self._file.exists() else 0
        size = min(wanted, (self._disk(self._folder).free + held) // 2)
        if size <= held:
            return held
        return size if _allocate(self._file, size) else 0

    def _judge(self, disk: Disk, held: int, wanted: int) -> DiskSpace:
        """A disk that was full is so until the ballast is whole, and as much is free again."""
        least = max(wanted, LEAST_TO_KEEP)
        whole = held >= wanted and disk.free >= least
        if not whole and (self._level is DiskSpace.FULL or disk.free + held < least):
            return DiskSpace.FULL
        if disk.free < 4 * wanted:
            return DiskSpace.LOW
        return DiskSpace.SCARCE if disk.scarce else DiskSpace.AMPLE

    def _cross(self, level: DiskSpace, *, free: int | None = None) -> None:
        if level is not self._level:
            self._level = level
            self._emit(DiskSpaceChanged(level=level, folder=str(self._folder), free=free))


def _allocate(file: Path, size: int) -> bool:
    """Have the file `size` bytes long with every block its own; False, and no file, if the disk will not."""
    try:
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _fill(fd, size)
        finally:
            os.close(fd)
    except OSError:
        with suppress(OSError):
            file.unlink()
        return False
    return True


def _fill(fd: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            if error.errno not in NO_FALLOCATE:
                raise
        else:
            return
    at = os.lseek(fd, 0, os.SEEK_END)
    while at < size:
        at += os.write(fd, bytes(min(size - at, MEBIBYTE)))
    os.fsync(fd)
