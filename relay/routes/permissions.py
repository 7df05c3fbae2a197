"""A file -> who else may change it, and so redirect events or read secrets."""

import os
import stat
from pathlib import Path

ROOT = 0


def writable_by_others(path: Path) -> str | None:
    """Say which others may write the file, and the command that ends it; None if there are none, or none are known."""
    try:
        status = path.stat()
    except OSError:
        return None
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        who = "anybody" if status.st_mode & stat.S_IWOTH else "its group"
        return f"{who} may change this file, and so where events go: chmod go-w"
    if status.st_uid not in (ROOT, os.geteuid()):
        return f"uid {status.st_uid} may change this file, and so where events go: chown it to root or to the relay"
    return None
