"""Path of the access file -> its entries, if nobody else can read or change it; and a change of it, as a whole.

Whoever can write the file can make an operator, so it is refused unless it belongs to this user or to root.
"""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from relay.errors import ConfigurationError
from relay.file_versions import OnOpen
from relay.operations.access import entries
from relay.operations.access.entries import Entry
from relay.os_errors import os_error_text, permission_problem, write_problem

MAX_BYTES = 1024 * 1024
ROOT = 0


def load(path: Path, on_open: OnOpen = lambda _path: None) -> tuple[Entry, ...]:
    """Read the entries; ConfigurationError if the file is missing, unsafe or not an access file."""
    on_open(path)
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if problem := exposed(path, os.fstat(file.fileno())):
                raise ConfigurationError(problem)
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError(
            f"the access file {path} does not exist: make it with relay access add NAME --role operator"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            permission_problem(path) or f"the access file {path} cannot be read: {os_error_text(error)}"
        ) from None
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"the access file {path} is over {MAX_BYTES} bytes")
    return entries.read(data, str(path))


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a FIFO would else hold the relay up until somebody writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def exposed(path: Path, status: os.stat_result) -> str | None:
    """Say who else may read or change the file, and the command that ends it; None if nobody.

    The group of a file of root's may read it: Kubernetes and systemd hand secrets to a service in this way.
    """
    if not stat.S_ISREG(status.st_mode):
        return f"the access file {path} is not a file"
    if status.st_uid not in (ROOT, os.geteuid()):
        return f"uid {status.st_uid} may change the access file {path}: chown it to root or to the relay"
    group = stat.S_IWGRP | stat.S_IXGRP if status.st_uid == ROOT else stat.S_IRWXG
    if status.st_mode & (group | stat.S_IRWXO):
        return f"others may use the access file {path}, mode {stat.S_IMODE(status.st_mode):04o}: chmod 600 {path}"
    return None


def change(path: Path, changed: Callable[[Sequence[Entry]], Sequence[Entry]]) -> None:
    """Replace the file by one with the `changed` entries; made if it is missing. Changes of others wait meanwhile."""
    try:
        with _locked(path.absolute().parent):
            before = load(path) if os.path.lexists(path) else ()
            _replace(path, entries.write(changed(before)))
    except OSError as error:
        raise ConfigurationError(write_problem(path, error)) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> None:
    """Write durably, with the owner and the mode of the file before it.

    What root makes in a folder of another user, the state folder of a service, becomes that user's: else the service
    could not read it.
    """
    path = path.resolve()  # a link stays one
    like = path.stat() if path.exists() else None
    owner = like or path.parent.stat()
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        # O_EXCL follows no link: in a folder of a service, root would give it whatever file the link names
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            if (os.geteuid() == ROOT and owner.st_uid != ROOT) or like:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode) if like else 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
