"""A file -> who else may change it: whoever does has every event sent where they like."""

import os
import stat
from pathlib import Path

ROOT = 0


def permissions(path: Path) -> str | None:
    """What to mend; None if only we or root may write it, or if it cannot be told."""
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
