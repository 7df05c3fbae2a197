"""The key of the console's cookies in a file beside the database, `relay.db.session-key`, mode 0600."""

import asyncio
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from relay.errors import CorruptError, StoreBusy
from relay.os_errors import os_error_text, permission_problem, write_problem
from relay.store.session_key import BYTES, new_key

_OURS_ALONE, _OTHERS = 0o600, 0o077  # modes


class SessionKeyFile:
    """See `SessionKey`."""

    def __init__(self, database: Path) -> None:
        self._file = database.with_name(f"{database.name}.session-key")

    async def read(self) -> bytes:
        """Return what is in the file, made if it is missing."""
        return await asyncio.to_thread(_read_or_make, self._file)

    async def replace(self) -> None:
        """Make another key, if there is one; StoreBusy if that cannot be done now."""
        await asyncio.to_thread(_replace, self._file)


def _read_or_make(file: Path) -> bytes:
    try:
        return _read(file)
    except FileNotFoundError:
        pass
    try:
        _make(file)
        return _read(file)
    except OSError as error:
        raise StoreBusy(write_problem(file, error)) from None


def _read(file: Path) -> bytes:
    """Read the key; others lose the rights that a copy or a restore has given them."""
    try:
        with file.open("rb") as opened:
            found = os.fstat(opened.fileno())
            if stat.S_IMODE(found.st_mode) & _OTHERS and found.st_uid == os.geteuid():
                os.fchmod(opened.fileno(), _OURS_ALONE)
            key = opened.read(BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreBusy(permission_problem(file) or f"the file {file} cannot be read: {os_error_text(error)}") from None
    if len(key) != BYTES:
        raise CorruptError(f"{file} has no key of {BYTES} bytes: remove it, then everybody has to log in again")
    return key


def _make(file: Path) -> None:
    """Write a key beside, then give it the name, unless another process was first."""
    temporary = _written_beside(file)
    try:
        with suppress(FileExistsError):
            os.link(temporary, file)
    finally:
        temporary.unlink()
    _sync_folder(file)


def _replace(file: Path) -> None:
    """Write another key beside, for the owner of this one, then put it in its place."""
    try:
        owner = file.stat()
        temporary = _written_beside(file)
        try:
            if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):  # root's command, another's relay
                os.chown(temporary, owner.st_uid, owner.st_gid)
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(file)
    except FileNotFoundError:  # nobody has logged in yet
        return
    except OSError as error:
        raise StoreBusy(write_problem(file, error)) from None


def _written_beside(file: Path) -> Path:
    descriptor, temporary = tempfile.mkstemp(prefix=f"{file.name}.", suffix=".tmp", dir=file.parent)  # mode 0600
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(new_key())
        opened.flush()
        os.fsync(opened.fileno())
    return Path(temporary)


def _sync_folder(file: Path) -> None:
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
