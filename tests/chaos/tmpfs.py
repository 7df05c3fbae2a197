"""A folder -> a small file system in memory: it can be filled, and made larger, while a relay runs on it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC
from pathlib import Path

MEBIBYTE = 1024 * 1024


class Tmpfs:
    """What is mounted at `folder`."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        self.folder = folder
        self.mebibytes = mebibytes
        self._filler = folder / "filler"

    @property
    def free(self) -> int:
        """Bytes."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize

    def grow(self, mebibytes: int) -> None:
        """Have so much more."""
        self.mebibytes += mebibytes
        _run("mount", "-o", f"remount,size={self.mebibytes}m", str(self.folder))

    def fill(self) -> None:
        """Another program takes what there is, to the last byte."""
        with self._filler.open("ab") as file:
            while left := self.free:
                with no_space():  # a relay has taken some of it since: there is less
                    os.posix_fallocate(file.fileno(), file.tell(), left)
                file.seek(0, os.SEEK_END)

    def empty(self) -> None:
        """It gives it back."""
        self._filler.unlink()


@contextmanager
def no_space() -> Iterator[None]:
    """An ENOSPC inside of it is no error."""
    try:
        yield
    except OSError as error:
        if error.errno != ENOSPC:
            raise


@contextmanager
def mounted(folder: Path, *, mebibytes: int) -> Iterator[Tmpfs]:
    """For as long as the block lasts."""
    folder.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder))
    try:
        yield Tmpfs(folder, mebibytes)
    finally:
        _run("umount", str(folder))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
