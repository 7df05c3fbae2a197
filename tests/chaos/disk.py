"""Image file -> a loop-mounted file system whose power can be cut."""

import subprocess
from pathlib import Path
from time import monotonic, sleep

from tests.e2e.processes import PATIENCE
from tests.tools import tool

SIZE = 320 * 1024 * 1024  # sparse; less is too little for xfs
MAKE = {"ext4": ("mkfs.ext4", "e2fsprogs", "-qF"), "xfs": ("mkfs.xfs", "xfsprogs", "-q")}


class Disk:
    """A formatted image; its files are in `folder` while it is mounted."""

    def __init__(self, within: Path, kind: str) -> None:
        self.folder = within / kind
        self.folder.mkdir()
        self._image = within / f"{kind}.img"
        with self._image.open("wb") as image:
            image.truncate(SIZE)
        name, package, flags = MAKE[kind]
        _do(tool(name, package), flags, str(self._image))

    def mount(self) -> None:
        """Mount it; the file system replays its journal, as after a power cut."""
        _do(tool("mount", "mount"), "-o", "loop", str(self._image), str(self.folder))

    def cut(self) -> None:
        """Drop what was not synced, and fail every call until it is mounted again (FS_IOC_SHUTDOWN)."""
        _do(tool("xfs_io", "xfsprogs"), "-x", "-c", "shutdown", str(self.folder))

    def unmount(self) -> None:
        """Unmount it and wait for the end of its loop device; its users must have ended.

        A mount namespace that was made meanwhile keeps both: mounted again, it would still be shut down.
        """
        _do(tool("umount", "mount"), str(self.folder))
        deadline = monotonic() + PATIENCE
        while kept := _do(tool("losetup", "mount"), "--associated", str(self._image)):
            assert monotonic() < deadline, kept
            sleep(0.05)

    def remove(self) -> None:
        """Remove it in whatever state it is, used or not."""
        if self.folder.is_mount():
            _do(tool("umount", "mount"), "--lazy", str(self.folder))
        self._image.unlink()


def _do(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
