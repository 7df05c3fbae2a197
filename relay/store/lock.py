"""One daemon per database: a locked file beside it that names the owner's pid."""

import fcntl
import os
from pathlib import Path

from relay.errors import StoreLocked


class Lock:
    """Held from construction until `release()` or the end of the process, however that comes."""

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + ".lock")
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(self._fd, 32).decode(errors="replace").strip() or "?"
            os.close(self._fd)
            raise StoreLocked(
                f"{database} is in use by another relay, pid {pid}: stop it, or use another --store"
            ) from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """The file stays: to remove it would let two owners lock two files of one name."""
        os.close(self._fd)
