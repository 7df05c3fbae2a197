"""A store -> a verified copy of it in another file, as it stood at one moment.

SQLite's backup API, in steps within one read transaction: without that transaction every commit of the daemon's would
have the copy begin anew. Writers go on meanwhile; the WAL grows until the copy is made, and is used again afterwards.
"""

import os
import tempfile
from contextlib import closing
from pathlib import Path

import apsw

from relay.errors import ConfigurationError, StoreError
from relay.os_errors import permission_problem, write_problem
from relay.store.records import BackupCopy
from relay.store.sqlite.integrity import contents, structure
from relay.store.sqlite.migrate import check_version
from relay.store.sqlite.missing_database import check_exists
from relay.store.sqlite.sql import rows

STEP = 1_000  # pages: between steps an interruption is noticed

_TABLES = ("webhooks", "events", "deliveries", "attempts", "pauses", "losses", "audit")


def backup(store: Path, to: Path, *, overwrite: bool = False) -> BackupCopy:
    """Copy the store at `store` to `to`, which is there only once it is verified and on disk.

    Raises ConfigurationError if there is no store, or `to` is there already (unless `overwrite`) or cannot be written;
    StoreError if the copy is not what it should be, and then there is none.
    """
    check_exists(store)
    _check_free(to, overwrite)
    with closing(_opened(store)) as source:
        return _copied(source, to)


def before(connection: apsw.Connection, store: Path, schema: int) -> Path | None:
    """Copy the store before it is migrated to this schema; None if it holds nothing to lose."""
    if not _counts(connection)["webhooks"]:
        return None
    to = store.with_name(f"{store.name}.before-{schema}")
    _copied(connection, to)
    return to


def _check_free(to: Path, overwrite: bool) -> None:
    if said := permission_problem(to, write=True):
        raise ConfigurationError(said)
    if to.is_dir():
        raise ConfigurationError(f"{to} is a folder: name a file, like {to / 'relay-copy.db'}")
    if to.exists() and not overwrite:
        raise ConfigurationError(f"{to} is there already: name another file, or overwrite it with --force")
    if Path(f"{to}-wal").exists():  # SQLite would apply it to the copy
        raise ConfigurationError(f"{to} is a database in use: name another file")


def _opened(store: Path) -> apsw.Connection:
    try:
        source = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READWRITE)
        check_version(source, str(store))
    except apsw.Error as error:
        raise StoreError(f"cannot read {store}: {_said(error)}") from error
    return source


def _copied(source: apsw.Connection, to: Path) -> BackupCopy:
    """Copy to a temporary file, and rename it to `to` once it is sound and on disk."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as folder:
            made = Path(folder) / to.name
            copied = _copy(source, made)
            _sync(made)
            made.replace(to)
        _sync(to.parent)
    except OSError as error:
        raise ConfigurationError(write_problem(to, error)) from error
    except apsw.FullError as error:
        raise ConfigurationError(f"no space left on {to.parent}: make room, or name a file on another disk") from error
    except apsw.Error as error:
        raise StoreError(f"cannot copy the store to {to}: {_said(error)}") from error
    return copied


def _said(error: apsw.Error) -> str:
    """Return the error's text; a step of a copy has none of its own, and says "not an error" of any failure."""
    if "not an error" not in str(error):
        return str(error)
    code = apsw.mapping_extended_result_codes.get(getattr(error, "extendedresult", 0))
    return str(code or type(error).__name__)


def _copy(source: apsw.Connection, to: Path) -> BackupCopy:
    to.touch(mode=0o600)  # it holds what people said
    source.execute("begin")
    try:
        expected = _counts(source)
        with closing(apsw.Connection(str(to))) as copy, copy.backup("main", source, "main") as steps:
            while not steps.done:
                steps.step(STEP)
    finally:
        source.execute("rollback")
    with closing(apsw.Connection(str(to))) as copy:
        _check_sound(copy, expected)
        corrupt = tuple(id_ for each in contents(copy).values() for id_ in each.corrupt)
    return BackupCopy(counts=expected, size=to.stat().st_size, corrupt=corrupt)


def _check_sound(copy: apsw.Connection, expected: dict[str, int]) -> None:
    found, counts = structure(copy), _counts(copy)
    if found or counts != expected:
        seen = f"{'; '.join(found)[:200]}; {counts}, expected {expected}"
        raise StoreError(f"the copy is not sound, and is not kept: check the disk, then the store ({seen})")


def _counts(connection: apsw.Connection) -> dict[str, int]:
    """Count rows by table; an earlier version had fewer tables."""
    there = [name for (name,) in rows(connection.cursor(), "select name from sqlite_schema where type = 'table'")]
    return {
        table: rows(connection.cursor(), f"select count(*) from {table}")[0][0] for table in _TABLES if table in there
    }


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
