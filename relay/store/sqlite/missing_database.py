"""What is found in the place of the store -> whether a relay may begin on it, or would begin anew over a loss.

SQLite makes an empty database of a file that is missing or was cut to nothing, and removes the WAL that belonged to it.
"""

from datetime import UTC, datetime
from pathlib import Path

import apsw

from relay.errors import ConfigurationError, StoreUnsafe
from relay.signals import Emit, Notice
from relay.store.sqlite.moved_files import check_permitted
from relay.store.sqlite.sql import rows
from relay.store.sqlite.watermark import Watermark, acked

_REMEDY = "put it back or restore a backup; to begin with an empty store, `relay run --init`"


def check_not_lost(database: Path, kept: int, *, init: bool = False) -> None:
    """Before it is opened: StoreUnsafe if webhooks were kept here and the database is evidently gone."""
    size = _size(database)
    left = database.with_name(f"{database.name}-wal")
    if size:
        return
    what = "is missing" if size is None else "is empty"
    if _size(left):
        raise StoreUnsafe(
            f"{database} {what}, and {left.name} belongs to it: put it back; or move {left.name} away, and restore a"
            " backup or start anew with --init"
        )
    if kept and not init:
        raise StoreUnsafe(f"{database} {what}, but {_told(kept)}: {_REMEDY}")


def check_exists(database: Path) -> None:
    """For readers: StoreUnsafe as above, ConfigurationError if nothing tells that there ever was a store."""
    check_permitted(database)
    check_not_lost(database, acked(database))
    if not _size(database):
        raise ConfigurationError(f"no store at {database}: start `relay run`, or name the store with --store")


def check_not_emptied(connection: apsw.Connection, database: Path, acked: Watermark, *, init: bool, emit: Emit) -> None:
    """Once it is open: StoreUnsafe if it is empty but should not be; ConfigurationError for `init` if it is not."""
    begun = rows(connection.cursor(), "select 1 from sqlite_schema limit 1")
    if begun and init:
        raise ConfigurationError(f"there is a store at {database}: --init is for one that is gone, leave it out")
    if begun or not acked.seq:
        return
    if not init:
        raise StoreUnsafe(f"{database} has nothing in it, but {_told(acked.seq)}: {_REMEDY}")
    fields: dict[str, object] = {"store": str(database), "webhooks": acked.seq}
    emit(Notice(level="warning", text="begun anew: what the store held before is gone", fields=fields))
    acked.advance(0)


def _told(acked: int) -> str:
    return f"{acked} webhook{'s were' if acked > 1 else ' was'} kept in it before"


def written_at(database: Path) -> datetime | None:
    """When the store was last written to, by the clock of then; None if there is none."""
    files = [file for file in (database, Path(f"{database}-wal")) if file.exists()]
    return max((datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in files), default=None)


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None
