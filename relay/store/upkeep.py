"""A PostgreSQL store as a whole: migrate it, move a SQLite store into it, forward or forget a stranded spool."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from relay.errors import ConfigurationError
from relay.signals import Emit
from relay.store.open import PostgresUrl, SqliteUrl, StoreUrl, check_extra

if TYPE_CHECKING:
    from relay.store.contract import SharedStore
    from relay.store.records import AuditEntry, ForgottenSpool
    from relay.store.spool.drain import Drained
    from relay.store.sqlite.spooled import Contents


async def migrate(url: StoreUrl) -> None:
    """Bring the schema up to date and build its indexes; ConfigurationError if it is none of PostgreSQL."""
    dsn = _postgres(url, "relay run brings a SQLite store up to date by itself")
    from relay.store.postgres.connection import Connection
    from relay.store.postgres.migrate import build_indexes, migrate

    connection = Connection(dsn.dsn, name="migrate", prepare=dsn.prepare)
    try:
        await migrate(connection)
        await build_indexes(connection)
    finally:
        await connection.close()


async def migration_sql(url: StoreUrl) -> str:
    """Return the SQL that would bring the schema up to date, empty if it is; nothing is changed."""
    dsn = _postgres(url, "relay run brings a SQLite store up to date by itself")
    from relay.store.postgres.connection import Connection
    from relay.store.postgres.migrate import sql_of

    connection = Connection(dsn.dsn, name="migrate", prepare=dsn.prepare)
    try:
        return await connection.transact(sql_of)
    finally:
        await connection.close()


async def move(source: StoreUrl, to: StoreUrl) -> Mapping[str, int]:
    """Copy everything that a SQLite store holds into an empty PostgreSQL store; count the rows by table.

    The source stays as it is. Raises what `exported` and `load` do, and ConfigurationError for stores of other kinds.
    """
    if not isinstance(source, SqliteUrl):
        raise ConfigurationError("only a SQLite store can be moved: --from sqlite:///relay.db")
    dsn = _postgres(to, "a SQLite store moves into PostgreSQL only")
    from relay.store.postgres.load import prepare

    await prepare(dsn)
    return await asyncio.to_thread(_move, source.path, dsn)


def _move(source: Path, to: PostgresUrl) -> Mapping[str, int]:
    from relay.store.postgres.load import load
    from relay.store.sqlite.export import exported

    with exported(source) as tables:
        return load(to, tables)


async def drain(
    file: Path, to: StoreUrl, *, audit: Callable[[str, datetime], "AuditEntry"], durable: bool, emit: Emit
) -> "Drained":
    """See `spool.drain.drain`; ConfigurationError if the store is none of PostgreSQL.

    `durable`: refuse a server that may lose what it has committed.
    """
    dsn = _postgres(to, "a spool belongs to one")
    from relay.store.postgres.store import PostgresStore
    from relay.store.spool.drain import drain

    def opened(name: str) -> "SharedStore":
        return PostgresStore(dsn.dsn, name=name, emit=emit, prepare=dsn.prepare, durable=durable)

    return await drain(file, opened, audit=audit, emit=emit)


async def forget_spool(start: str, url: StoreUrl, audit: Callable[[datetime], "AuditEntry"]) -> "ForgottenSpool":
    """See `postgres.gone.forget_spool`; ConfigurationError if the store is none of PostgreSQL."""
    dsn = _postgres(url, "only relays that share one have spools")
    from relay.store.postgres.store import PostgresStore

    visitor = PostgresStore.visit(dsn.dsn, prepare=dsn.prepare)
    try:
        await visitor.look_in()
        return await visitor.forget_spool(start, audit(visitor.clock()))
    finally:
        await visitor.close()


def spool_contents(file: Path) -> "Contents | None":
    """Read what a spool of this machine holds, beside the relay that owns it; None if there is none."""
    import apsw

    from relay.store.sqlite.moved_files import check_permitted
    from relay.store.sqlite.spooled import contents

    if not file.is_file():
        return None
    check_permitted(file, owner=False)
    try:
        with closing(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.set_busy_timeout(1_000)
            return contents(connection.cursor())
    except apsw.Error as error:
        raise ConfigurationError(f"{file} cannot be read as a spool: {error}") from error


def _postgres(url: StoreUrl, otherwise: str) -> PostgresUrl:
    if not isinstance(url, PostgresUrl):
        raise ConfigurationError(f"{url} is not a PostgreSQL store: {otherwise}; name one by --store postgresql://…")
    check_extra()
    return url
