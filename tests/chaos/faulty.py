"""SQLite on a disk that fails: a VFS of ours that lets the n-th write or sync of a database's files fail.

Only the files' own calls count: what the relay writes beside them, and the WAL's index in shared memory, do not fail.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import apsw

CODES = {
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
}


@dataclass(kw_only=True)
class Disk:
    """Counts the calls by kind; the `fails`-th of that `kind` gives an I/O error, and if it `stays` so all later ones.

    `torn`: half of what the failing write should write is written all the same.
    """

    kind: str = ""
    fails: int = 0
    stays: bool = False
    torn: bool = False
    calls: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CODES, 0))

    @property
    def failed(self) -> bool:
        """It has happened."""
        return bool(self.kind) and self.calls[self.kind] >= self.fails

    def call(self, kind: str) -> bool:
        """Whether this one fails."""
        self.calls[kind] += 1
        if self.stays and self.failed:
            return True
        return kind == self.kind and self.calls[kind] == self.fails


@contextmanager
def attached(disk: Disk) -> Iterator[None]:
    """Every database that is opened within the block is on this disk."""
    vfs = _Vfs(disk)
    try:
        yield
    finally:
        vfs.unregister()


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__("faulty", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: Any) -> "_File":  # noqa: N802  SQLite's names
        return _File(self._disk, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: Any) -> None:
        self._disk = disk
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self._disk.call("write"):
            if self._disk.torn:
                super().xWrite(bytes(data[: len(data) // 2]), offset)
            raise _error("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._disk.call("sync"):
            raise _error("sync")
        super().xSync(flags)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        if self._disk.call("truncate"):
            raise _error("truncate")
        super().xTruncate(size)


def _error(kind: str) -> apsw.IOError:
    error = apsw.IOError(f"{kind}: injected")
    error.extendedresult = CODES[kind]  # type: ignore[attr-defined]  # apsw reads it, its stubs have it not
    return error
