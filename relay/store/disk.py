"""A store's path -> the disk it is on: its room, and its kind by the kernel's list of mounts, which may not do."""

import os
import re
from pathlib import Path

from relay.store.records import Disk

MEBIBYTE = 1024 * 1024
MOUNTS = Path("/proc/self/mountinfo")

_NETWORK = frozenset({
    "9p", "afs", "ceph", "cifs", "coda", "fuse.glusterfs", "fuse.sshfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3",
    "smbfs", "vboxsf", "virtiofs",
})  # fmt: skip
_PASSING = frozenset({"overlay", "ramfs", "tmpfs"})


def disk_of(folder: Path) -> Disk:
    """As it is now."""
    seen = os.statvfs(folder)
    return Disk(seen.f_blocks * seen.f_frsize, seen.f_bavail * seen.f_frsize)


def doubt(store: Path, mounts: str) -> str | None:
    """What to say of the disk that `store` is on; None if it is local and stays. `mounts` is what MOUNTS holds."""
    kind = _kind(store, mounts)
    if kind in _NETWORK:
        return f"{kind} is a network file system: locks and flushes may not hold; put the store on a local disk"
    if kind in _PASSING:
        return f"{kind} goes with this machine or container: put the store on a disk or a volume"
    return None


def mounted() -> str:
    """The kernel's list; empty where there is none."""
    try:
        return MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return ""


def _kind(path: Path, mounts: str) -> str | None:
    """The type of the last mount on the nearest folder: it covers those before. See proc(5)."""
    found: dict[Path, str] = {}
    for line in mounts.splitlines():
        head, _, tail = line.partition(" - ")
        fields, kind = head.split(" "), tail.partition(" ")[0]
        if len(fields) > 4 and kind:
            found[Path(_plain(fields[4]))] = kind
    return next((found[folder] for folder in path.resolve().parents if folder in found), None)


def _plain(text: str) -> str:
    """A blank is written as its octal number behind a backslash."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)
