"""Records of amoCRM accounts in files beside the database: `relay.db.account-main.json`, and a lock for each.

A file is replaced as a whole: written beside, synced, renamed, and the folder synced. Its owner alone may read it.
"""

import asyncio
import fcntl
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

from relay.errors import StoreBusy
from relay.os_errors import os_error_text, permission_problem, write_problem
from relay.store.account_records import NOTHING, AccountRecord, decode, encode

HELD_WITHIN = 60.0  # seconds; its holder makes a request of at most 20
TRIED_EACH = 0.05
_OURS_ALONE, _OTHERS = 0o600, 0o077  # modes


class AccountFiles:
    """See `AccountRecords`."""

    def __init__(self, database: Path) -> None:
        self._database = database

    async def read(self, account: str) -> AccountRecord:
        """Return what is stored."""
        file = self._file(account)
        try:
            return decode(await asyncio.to_thread(_bytes, file), f"the file {file}")
        except FileNotFoundError:
            return NOTHING

    @asynccontextmanager
    async def held(self, account: str) -> AsyncIterator["HeldFile"]:
        """Hold the lock of this account's file; it ends with the process, too."""
        lock = self._file(account).with_suffix(".lock")
        descriptor = _opened(lock)
        try:
            await _locked(descriptor, lock)
            yield HeldFile(self._file(account), await self.read(account))
        finally:
            os.close(descriptor)  # and with it the lock

    def _file(self, account: str) -> Path:
        return self._database.with_name(f"{_start(self._database)}{account}.json")


class HeldFile:
    """See `HeldRecord`."""

    def __init__(self, file: Path, record: AccountRecord) -> None:
        self._file = file
        self.record = record

    async def write(self, record: AccountRecord) -> None:
        """Replace the file."""
        await asyncio.to_thread(_replace, self._file, encode(record))
        self.record = record


@contextmanager
def held_at_once(database: Path) -> Iterator[list[tuple[str, str]]]:
    """Hold the records of all accounts beside a database, as `encode` makes them, by name; StoreBusy if one is held."""
    start = _start(database)
    names = [each.name.removeprefix(start) for each in database.parent.iterdir() if each.name.startswith(start)]
    files = {name.removesuffix(".json"): database.with_name(start + name) for name in names if name.endswith(".json")}
    with ExitStack() as stack:
        for file in files.values():
            lock = file.with_suffix(".lock")
            descriptor = _opened(lock)
            stack.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreBusy(f"another process holds {lock}: try again") from None
        yield [(name, encode(decode(_bytes(file), f"the file {file}"))) for name, file in sorted(files.items())]


def _bytes(file: Path) -> bytes:
    """Read a file; if it is ours, others lose the rights that a copy or a restore has given them."""
    try:
        with file.open("rb") as opened:
            found = os.fstat(opened.fileno())
            if stat.S_IMODE(found.st_mode) & _OTHERS and found.st_uid == os.geteuid():
                os.fchmod(opened.fileno(), _OURS_ALONE)
            return opened.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        said = permission_problem(file, write=True) or f"the file {file} cannot be read: {os_error_text(error)}"
        raise StoreBusy(said) from None


def _start(database: Path) -> str:
    return f"{database.name}.account-"


def _opened(lock: Path) -> int:
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OURS_ALONE)
    except OSError as error:
        raise StoreBusy(write_problem(lock, error)) from None


async def _locked(descriptor: int, lock: Path) -> None:
    try:
        async with asyncio.timeout(HELD_WITHIN):
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                await asyncio.sleep(TRIED_EACH)
    except TimeoutError:
        raise StoreBusy(f"another process has held {lock} for {HELD_WITHIN:g} s") from None


def _replace(file: Path, text: str) -> None:
    beside = file.with_suffix(".new")
    try:
        beside.unlink(missing_ok=True)  # of a process that ended: its mode may be another
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OURS_ALONE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
        beside.replace(file)
        _sync_folder(file.parent)
    except OSError as error:
        raise StoreBusy(write_problem(file, error)) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
