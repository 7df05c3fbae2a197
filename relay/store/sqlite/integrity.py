"""A store, in use or not -> what in it is corrupt or missing.

SQLite checks its own structure in one read transaction; meanwhile the WAL grows. Contents are checked row by row, for
at most `LONGEST_READ` at a time.
"""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import apsw

from relay.errors import StoreFailed
from relay.store.checksum import is_corrupt
from relay.store.records import AckGap, Contents, IntegrityReport
from relay.store.sqlite.ack_gaps import losses, missing
from relay.store.sqlite.entity_index import unindexed
from relay.store.sqlite.migrate import check_version
from relay.store.sqlite.missing_database import check_exists
from relay.store.sqlite.sql import a_blob, rows
from relay.store.sqlite.watermark import acked

LONGEST_READ = 0.5  # seconds
MOST_TOLD = 20  # faults of structure; one fault may show in every row

_CONTENTS = {"webhooks": ("body", "''"), "events": ("payload", "id")}
"""What the checksum of a row is of."""

_NUMBERS = ("claimed", "attempt", "base", "replays", "pending_since")
_ODD = "select count(*) from deliveries where " + " or ".join(f"typeof({each}) <> 'integer'" for each in _NUMBERS)


def verify(store: Path) -> IntegrityReport:
    """ConfigurationError if there is no store, StoreUnsafe if it is of another version, StoreFailed if unreadable.

    Nothing is written, and a WAL stays what it is.
    """
    told = acked(store)  # first: a daemon may commit more before we look
    check_exists(store)
    try:
        with closing(apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.set_busy_timeout(1000)
            check_version(connection, str(store))
            return IntegrityReport(
                structure=structure(connection),
                contents=contents(connection),
                losses=_losses(connection, told),
            )
    except apsw.Error as error:
        raise StoreFailed(
            f"{store} cannot be read ({type(error).__name__}: {error}): copy what is left, then restore a backup"
        ) from error


def structure(connection: apsw.Connection) -> tuple[str, ...]:
    """Return what SQLite finds wrong: pages, indexes, and rows without their parent."""
    cursor = connection.cursor()
    try:
        found = [text for (text,) in rows(cursor, f"pragma integrity_check({MOST_TOLD})") if text != "ok"]
        [(odd,)] = rows(cursor, _ODD)
        strays = rows(cursor, 'select "table", parent, count(*) from pragma_foreign_key_check group by 1, 2')
    except apsw.CorruptError as error:
        return (str(error),)
    if odd:
        found.append(f"deliveries with a value that is no number where one belongs: {odd}")
    if missed := unindexed(cursor):
        found.append(f"events that are not in the index by entity and should be: {missed}")
    return (*found, *(f"{table} that belong to none of {parent}: {count}" for table, parent, count in strays))


def contents(connection: apsw.Connection) -> dict[str, Contents]:
    """Check every row that has a checksum, by table; an earlier version had none."""
    sql = "select t.name from sqlite_schema t join pragma_table_info(t.name) c where c.name = 'checksum'"
    marked = {name for (name,) in rows(connection.cursor(), sql)}
    return {table: _contents(connection, table, *of) for table, of in _CONTENTS.items() if table in marked}


def _contents(connection: apsw.Connection, table: str, column: str, named: str) -> Contents:
    count = unmarked = 0
    corrupt: list[str] = []
    last, more = 0, True
    while more:
        until, more = perf_counter() + LONGEST_READ, False
        with closing(connection.cursor()) as cursor:
            id_ = "coalesce(cast(id as blob), cast('row ' || seq as blob))"
            sql = f"select seq, {id_}, {a_blob(column)}, cast(checksum as blob), cast({named} as blob) from {table}"
            for seq, told, content, kept, name in cursor.execute(f"{sql} where seq > ? order by seq", (last,)):
                count, last = count + 1, seq
                unmarked += kept is None
                if is_corrupt(content, kept, name):
                    corrupt.append(told.decode(errors="backslashreplace"))
                if more := perf_counter() > until:
                    break
    return Contents(rows=count, unmarked=unmarked, corrupt=tuple(corrupt))


def _losses(connection: apsw.Connection, told: int) -> tuple[AckGap, ...]:
    """Return the recorded gaps, and the one that the next start would record."""
    cursor = connection.cursor()
    unnoticed = missing(cursor, told, datetime.now(UTC))
    return (*losses(cursor), *([unnoticed] if unnoticed else ()))
