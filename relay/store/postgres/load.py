"""Rows of a store of another kind -> a database that holds none yet, in one transaction, by COPY."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from relay.errors import ConfigurationError, CorruptError, StoreBusy
from relay.store.postgres import migrate
from relay.store.postgres.connection import Connection
from relay.store.postgres.durability import check_version
from relay.store.postgres.failures import text_of
from relay.store.postgres.locks import hashed
from relay.store.postgres.session import DURABLE, PARAMETERS
from relay.store.postgres.text import clean
from relay.store.url import PostgresUrl

_BEGIN = f"select {DURABLE.format(local='true')}, set_config('lock_timeout', '2s', true)"
_OURS = (
    "webhooks, events, deliveries, dismissed, attempts, pauses, audit, losses, tombstones, erasures, enrichments,"
    " heal_events, hook_index, heal_marks, run_marks, heal_requests, guards, refusals, refused, switched_off,"
    " account_records"
)
_LOCK = f"lock table {_OURS} in share row exclusive mode"
_EMPTY = """
select not exists (select from webhooks) and not exists (select from audit) and not exists (select from guards)
  and not exists (select from account_records) and not exists (select from heal_events)
"""
_NUMBER_ON = """
select setval(pg_get_serial_sequence('webhooks', 'seq'), (select coalesce(max(seq), 0) + 1 from webhooks), false),
  setval(pg_get_serial_sequence('events', 'seq'), (select coalesce(max(seq), 0) + 1 from events), false),
  setval('audit_changes', (select coalesce(max(seq), 0) + 1 from audit), false)
"""

Row = tuple[Any, ...]
Table = tuple[str, tuple[str, ...], Iterable[Row]]
"""A name, the columns that the rows have, and the rows."""


async def prepare(url: PostgresUrl) -> None:
    """Migrate the database; raises what `migrate` does."""
    connection = Connection(url.dsn, name="move", prepare=url.prepare, on_connect=check_version)
    try:
        await migrate.migrate(connection)
    finally:
        await connection.close()


def load(url: PostgresUrl, tables: Sequence[Table]) -> dict[str, int]:
    """Load these rows into a database that `prepare` has migrated, and count them by table; all or nothing. Blocks.

    Raises ConfigurationError if it holds webhooks already, CorruptError for a row that does not fit, and StoreBusy if
    PostgreSQL is away.
    """
    with _explained(), psycopg.connect(url.dsn, **PARAMETERS, prepare_threshold=None) as connection:
        connection.execute(_BEGIN)
        connection.execute(_LOCK)
        if connection.execute(_EMPTY).fetchone() != (True,):
            raise ConfigurationError(
                f"{url} holds webhooks, an audit or accounts already: a store moves into an empty database"
            )
        counts = {name: _copy(connection, name, columns, rows) for name, columns, rows in tables}
        connection.execute(_NUMBER_ON)
        connection.commit()
        connection.autocommit = True
        connection.execute(f"analyze {_OURS}")  # plans made before would be those of empty tables
    return counts


def _copy(connection: psycopg.Connection[Row], name: str, columns: tuple[str, ...], rows: Iterable[Row]) -> int:
    named = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(name), named)
    key = columns.index("key") if name == "deliveries" else None  # keys of hooks are compared as they are
    number = 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([_value(each, is_key=place == key) for place, each in enumerate(row)])
            number += 1
    return number


def _value(value: object, *, is_key: bool) -> object:
    """As the database stores it: without what it refuses in text, and an ordering key as its hash."""
    if not isinstance(value, str):
        return value
    return hashed(value) if is_key else clean(value)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(f"the role may not write the relay's tables: {text_of(error)}") from error
    except (psycopg.errors.LockNotAvailable, psycopg.OperationalError) as error:
        raise StoreBusy(f"nothing was moved: {text_of(error)}") from error
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise CorruptError(f"nothing was moved, a row does not fit: {text_of(error)}; see `relay verify`") from error
