"""OSError -> words; a file that this process may not use -> one sentence: what it lacks, who owns it, who we are."""

import os
import pwd
import stat
from pathlib import Path

_EFFECTIVE = os.access in os.supports_effective_ids


def permission_problem(path: Path, *, write: bool = False) -> str | None:
    """Why it cannot be read (with `write`, written too, or made); None if permissions are not the reason."""
    for folder in reversed(path.absolute().parents):
        if not os.path.lexists(folder):
            return None
        if not _may(folder, os.X_OK):
            return _sentence("enter", folder, "x")
    if not path.exists():
        made_in = path.absolute().parent
        return _sentence("write in", made_in, "w") if write and not _may(made_in, os.W_OK) else None
    if not _may(path, os.R_OK):
        return _sentence("read", path, "rw" if write else "r")
    return _sentence("write", path, "w") if write and not _may(path, os.W_OK) else None


def write_problem(path: Path, error: OSError) -> str:
    """Say why the file could not be written, whatever the reason."""
    return permission_problem(path, write=True) or f"cannot write {path}: {os_error_text(error)}"


def os_error_text(error: OSError) -> str:
    """The system's words for it: `Connection refused`. asyncio adds the address to them, twice."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    text = error.strerror or str(error) or type(error).__name__  # a failed name look-up has no errno of the system
    return text.partition(" (while attempting")[0]


def _may(path: Path, how: int) -> bool:
    return os.access(path, how, effective_ids=_EFFECTIVE)


def _sentence(doing: str, path: Path, lacking: str) -> str:
    if "w" in lacking and os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"cannot {doing} {path}: its file system is mounted read-only"
    found = path.stat()
    owner, we = _user(found.st_uid), _user(os.geteuid())
    mode = stat.S_IMODE(found.st_mode)
    chown, run_as = f"chown {we.partition(' ')[0]} {path}", f"run it as {owner}"
    if found.st_uid == os.geteuid():
        remedy = f"chmod u+{lacking} {path}"
    elif found.st_uid == 0:  # a slip of root's, such as a restored backup
        remedy = f"{chown}, or {run_as}"
    else:  # the daemon's, most likely: a chown to whoever runs a command would take it from the daemon
        remedy = f"{run_as}, or {chown}"
    return f"cannot {doing} {path}: it belongs to {owner}, mode {mode:04o}, and this process runs as {we}: {remedy}"


def _user(uid: int) -> str:
    """`relay (uid 10001)`; a number alone in a container that has no name for it."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"{uid}"
