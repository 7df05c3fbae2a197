"""One owner per database: a locked file beside it with the owner's pid."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from relay.errors import ConfigurationError, StoreLocked
from relay.os_errors import write_problem

GIVES_WAY = b" gives way"
PATIENCE = 1_000  # tries of 10 ms for a lock that gives way


class Lock:
    """Locked from construction until `release()` or the end of the process, however it ends.

    One that `gives_way` is that of a command with long work: a daemon that starts waits until the command has seen
    `wanted()` and released it.
    """

    def __init__(self, database: Path, *, gives_way: bool = False) -> None:
        self._database = database
        self._path = _path(database)
        self._gives_way = gives_way
        self._fd = _locked(self._path, database, waits=not gives_way)
        self._found = bool(os.fstat(self._fd).st_size)
        _wanted(self._path).unlink(missing_ok=True)
        self._write_pid()

    def wanted(self) -> bool:
        """Whether another process waits for this lock, which gives way."""
        return self._gives_way and _wanted(self._path).exists()

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
            fd = _locked(self._path, self._database, waits=False)
        except (StoreLocked, ConfigurationError):
            return False
        os.close(self._fd)
        self._fd = fd
        self._write_pid()
        return True

    def _write_pid(self) -> None:
        os.ftruncate(self._fd, 0)
        os.write(self._fd, b"%d%s\n" % (os.getpid(), GIVES_WAY if self._gives_way else b""))
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


def _locked(path: Path, database: Path, *, waits: bool) -> int:
    """Open and lock the file under this name; StoreLocked if another relay has it."""
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(write_problem(path, error)) from None
        if not (_try_lock(fd, fcntl.LOCK_EX, tries=10) or (waits and _is_given_way(fd, path))):
            pid = _pid(fd) or "?"
            os.close(fd)
            raise StoreLocked(f"{database} is in use by another relay, pid {pid}: stop it, or use another --store")
        if _is_same_file(fd, path):
            return fd
        os.close(fd)  # a start that failed removed its file between `open` and `flock`


def _is_given_way(fd: int, path: Path) -> bool:
    """Ask for a lock that gives way, and wait for it; False at once if it is that of a daemon."""
    if GIVES_WAY not in os.pread(fd, 64, 0):
        return False
    _wanted(path).touch(mode=0o600)
    return _try_lock(fd, fcntl.LOCK_EX, tries=PATIENCE)


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


def _wanted(path: Path) -> Path:
    return path.with_name(path.name + ".wanted")


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
    text, *_ = os.pread(fd, 32, 0).split() or [b""]
    return int(text) if text.isdigit() else None
