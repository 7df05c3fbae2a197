"""One owner per database: a locked file beside it with the owner's pid."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from relay.errors import ConfigurationError, StoreLocked
from relay.os_errors import write_problem


class Lock:
    """Locked from construction until `release()` or the end of the process, however it ends."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = _path(database)
        self._fd = _locked(self._path, database)
        self._found = bool(os.fstat(self._fd).st_size)
        self._write_pid()

    def held(self) -> bool:
        """False once another process owns the store, which takes that the lock file was removed. Costs 1 µs.

        A file that was removed, and not locked by another process since, is locked anew.
        """
        try:
            found = os.stat(self._name)  # noqa: PTH116  a Path costs as much again, before every commit
        except OSError:
            found = None
        if found and (found.st_dev, found.st_ino) == self._identity:
            return True
        try:
            fd = _locked(self._path, self._database)
        except (StoreLocked, ConfigurationError):
            return False
        os.close(self._fd)
        self._fd = fd
        self._write_pid()
        return True

    def _write_pid(self) -> None:
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())
        stat = os.fstat(self._fd)
        self._name, self._identity = str(self._path), (stat.st_dev, stat.st_ino)

    def release(self) -> None:
        """Unlock; the file stays for the next owner."""
        os.close(self._fd)

    def undo(self) -> None:
        """Release, and remove the file if it was not there before."""
        if not self._found:
            with suppress(OSError):
                self._path.unlink()  # while locked: a process that has it open already finds that it is gone
        self.release()


def _locked(path: Path, database: Path) -> int:
    """Open and lock the file under this name; StoreLocked if another relay has it."""
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(write_problem(path, error)) from None
        if not _try_lock(fd, fcntl.LOCK_EX, tries=10):
            pid = _pid(fd) or "?"
            os.close(fd)
            raise StoreLocked(f"{database} is in use by another relay, pid {pid}: stop it, or use another --store")
        if _is_same_file(fd, path):
            return fd
        os.close(fd)  # a start that failed removed its file between `open` and `flock`


def _is_same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def owner_pid(database: Path) -> int | None:
    """Return the pid of the daemon that holds the lock, None if none does."""
    try:
        fd = os.open(_path(database), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _try_lock(fd, fcntl.LOCK_SH, tries=1) else _pid(fd)
    finally:
        os.close(fd)


def _path(database: Path) -> Path:
    return database.with_name(database.name + ".lock")


def _try_lock(fd: int, how: int, *, tries: int) -> bool:
    """Lock `fd`; retry, because `owner_pid` locks the file for a moment, too."""
    for left in reversed(range(tries)):
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if left:
                time.sleep(0.01)
        else:
            return True
    return False


def _pid(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None
