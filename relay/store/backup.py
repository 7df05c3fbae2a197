"""A store in use -> a verified copy of it in another file, as it stood at one moment.

SQLite's backup API, in steps within one read transaction: without that transaction every commit of the daemon's would
have the copy begin anew. Writers go on meanwhile; the WAL grows until the copy is made, and is used again afterwards.
"""

import os
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import apsw

from relay.errors import Misconfigured, StoreError
from relay.store.migrate import check_version
from relay.store.query import rows

STEP = 1_000  # pages: between steps an interruption is noticed

_TABLES = ("webhooks", "events", "deliveries", "attempts", "pauses", "audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a copy holds: rows by table, and its size in bytes."""

    counts: dict[str, int]
    size: int


def backup(store: Path, to: Path, *, overwrite: bool = False) -> Copied:
    """Copy the store at `store` to `to`, which is there only once it is verified and on disk.

    Raises Misconfigured if there is no store, or `to` is there already (unless `overwrite`) or cannot be written;
    StoreError if the copy is not what it should be, and then there is none.
    """
    if not store.exists():
        raise Misconfigured(f"no store at {store}: start `relay run`, or name the store with --store")
    _demand_free(to, overwrite)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as folder:
            made = Path(folder) / to.name
            copied = _copy(store, made)
            _sync(made)
            made.replace(to)
        _sync(to.parent)
    except OSError as error:
        raise Misconfigured(f"cannot write {to}: {error.strerror}") from error
    except apsw.Error as error:
        raise StoreError(f"cannot copy {store} to {to}: {error}") from error
    return copied


def _demand_free(to: Path, overwrite: bool) -> None:
    if to.exists() and not overwrite:
        raise Misconfigured(f"{to} is there already: name another file, or overwrite it with --force")
    if Path(f"{to}-wal").exists():  # SQLite would apply it to the copy
        raise Misconfigured(f"{to} is a database in use: name another file")


def _copy(store: Path, to: Path) -> Copied:
    to.touch(mode=0o600)  # it holds what people said
    with closing(apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READWRITE)) as source:
        check_version(source, str(store))
        with closing(apsw.Connection(str(to))) as copy:
            source.execute("begin")
            expected = _counts(source)
            with copy.backup("main", source, "main") as steps:
                while not steps.done:
                    steps.step(STEP)
    return Copied(counts=_verified(to, expected), size=to.stat().st_size)


def _verified(path: Path, expected: dict[str, int]) -> dict[str, int]:
    """Its counts, if it is sound, holds as much as the store did, and opens as one."""
    with closing(apsw.Connection(str(path))) as copy:
        check_version(copy, str(path))
        found = [text for (text,) in rows(copy.cursor(), "pragma integrity_check")]
        strays = rows(copy.cursor(), "pragma foreign_key_check")
        counts = _counts(copy)
    if found != ["ok"] or strays or counts != expected:
        seen = f"{'; '.join(found)[:200]}; {len(strays)} stray rows; {counts}, expected {expected}"
        raise StoreError(f"the copy is not sound, and is not kept: check the disk, then the store ({seen})")
    return counts


def _counts(connection: apsw.Connection) -> dict[str, int]:
    return {table: rows(connection.cursor(), f"select count(*) from {table}")[0][0] for table in _TABLES}


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
