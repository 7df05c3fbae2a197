"""The disk under a database: its kind, how much room there is, and a ballast that is released when there is none.

ample ─▶ scarce ─▶ low ─▶ full        by free bytes; each change of level is one line in the log
                    │      └ a commit found no room: the ballast is released, so pending deliveries can be settled;
                    │        webhooks are kept only in pages that a purge has freed
                    └ delivered history is purged before its retention ends

The ballast is a file beside the database that nobody reads. It keeps other programs from taking the last of the disk.
"""

import errno
import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from relay.errors import ConfigurationError
from relay.signals import DiskSpace, DiskSpaceChanged, Emit
from relay.store.records import Disk

MEBIBYTE = 1024 * 1024
MOUNTS = Path("/proc/self/mountinfo")

_NETWORK = frozenset({
    "9p", "afs", "ceph", "cifs", "coda", "fuse.glusterfs", "fuse.sshfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3",
    "smbfs", "vboxsf", "virtiofs",
})  # fmt: skip
_PASSING = frozenset({"overlay", "ramfs", "tmpfs"})


def disk_of(folder: Path) -> Disk:
    """Return the size and the free bytes of the file system now."""
    seen = os.statvfs(folder)
    return Disk(seen.f_blocks * seen.f_frsize, seen.f_bavail * seen.f_frsize)


def doubt(store: Path, mounts: str) -> str | None:
    """Return why the disk of `store` is unsuitable; None if it is local and permanent. `mounts`: the text of MOUNTS."""
    kind = _kind(store, mounts)
    if kind in _NETWORK:
        return f"{kind} is a network file system: locks and flushes may not hold; put the store on a local disk"
    if kind in _PASSING:
        return f"{kind} goes with this machine or container: put the store on a disk or a volume"
    return None


def mounted() -> str:
    """Return the kernel's list of mounts; empty where there is none."""
    try:
        return MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return ""


def _kind(path: Path, mounts: str) -> str | None:
    """Return the type of the last mount on the nearest folder: it covers those before. See proc(5)."""
    found: dict[Path, str] = {}
    for line in mounts.splitlines():
        head, _, tail = line.partition(" - ")
        fields, kind = head.split(" "), tail.partition(" ")[0]
        if len(fields) > 4 and kind:
            found[Path(_plain(fields[4]))] = kind
    return next((found[folder] for folder in path.resolve().parents if folder in found), None)


def _plain(text: str) -> str:
    """Decode octal escapes: a space is written as backslash and octal number."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


# ---- room

LEAST_TO_OPEN = MEBIBYTE // 4  # SQLite needs 32 KiB and more for its -shm, and the log of a migration
LEAST_TO_KEEP = 4 * MEBIBYTE  # without a ballast; less, and the disk is full
NO_FALLOCATE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
BACK = 1.1  # a level is left for a better one when so much more is free than it takes


class Space:
    """The room beside one database, and its ballast of at most `ballast` bytes. Thread-safe."""

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
        """The level that `look` or a commit found last."""
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
        self._set_level(DiskSpace.FULL)

    def release(self) -> bool:
        """Release the ballast after a commit found no room. False if there is none: a second try would fail too."""
        with self._lock:
            dropped = self._drop()
            self._set_level(DiskSpace.FULL)
            return dropped

    def look(self) -> DiskSpace:
        """Refill the ballast as far as there is room, and return the level."""
        with self._lock:
            wanted = min(self._ballast, self._disk(self._folder).total // 8)
            ballast = self._refill(wanted)
            disk = self._disk(self._folder)
            level = self._level_of(disk, ballast, wanted)
            if level > self._level:
                level = max(self._level, self._level_of(disk._replace(free=int(disk.free / BACK)), ballast, wanted))
            self._set_level(level, free=disk.free)
            return level

    def _drop(self) -> bool:
        try:
            self._file.unlink()
        except FileNotFoundError:
            return False
        return True

    def _refill(self, wanted: int) -> int:
        """Grow the ballast and return its size; at least as many bytes stay free for other programs."""
        if not wanted:
            self._drop()
            return 0
        size_now = self._file.stat().st_size if self._file.exists() else 0
        size = min(wanted, (self._disk(self._folder).free + size_now) // 2)
        if size <= size_now:
            return size_now
        return size if _allocate(self._file, size) else 0

    def _level_of(self, disk: Disk, ballast: int, wanted: int) -> DiskSpace:
        """Return the level; a disk that was full stays so until the ballast is whole and as much is free again."""
        least = max(wanted, LEAST_TO_KEEP)
        whole = ballast >= wanted and disk.free >= least
        if not whole and (self._level is DiskSpace.FULL or disk.free + ballast < least):
            return DiskSpace.FULL
        if disk.free < 4 * wanted:
            return DiskSpace.LOW
        return DiskSpace.SCARCE if disk.scarce else DiskSpace.AMPLE

    def _set_level(self, level: DiskSpace, *, free: int | None = None) -> None:
        if level is not self._level:
            self._level = level
            self._emit(DiskSpaceChanged(level=level, folder=str(self._folder), free=free))


def _allocate(file: Path, size: int) -> bool:
    """Make the file `size` bytes long with every block allocated; False, and no file, if the disk refuses."""
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
