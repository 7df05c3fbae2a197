"""Bring a database's schema up to date while relays of two versions run: expand, roll, contract.

The numbered files of `migrations/` add: columns, tables, constants as defaults. What a version uses no more is dropped
by a later file, of its own, which says by its first line `-- oldest: 3` that only relays that know schema 3 may run
from then on; it waits until no other lives. Below a line `-- concurrently` stand indexes, each built beside the work.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from typing import NamedTuple

from psycopg import errors

from relay.errors import ConfigurationError, StoreBusy, StoreUnsafe
from relay.store.postgres.connection import Connection, Transaction

LOCK = 0x616D6F52 << 32  # "amoR": of migrations; see `locks` for those of keys
LOCK_TIMEOUT = "1s"  # a wait for a table's lock blocks all later ones
PATIENCE = 60  # tries
PAUSE = 1.0  # seconds between two tries
DEADLINE = 60.0  # seconds for the transaction of a migration
INDEXED_EVERY = 600.0  # seconds
INDEX_DEADLINE = 6 * 3600.0  # seconds for one index


class Script(NamedTuple):
    """One file. `oldest`: relays that know this schema, or a newer one, may run beside it."""

    number: int
    oldest: int
    sql: str
    indexes: tuple[str, ...] = ()


class Found(NamedTuple):
    """The schema of a database, 0 if it has none; the oldest schema that a relay must know; that of living relays."""

    schema: int
    oldest: int
    living: int | None = None


class Locked(StoreBusy):
    """Another transaction holds a lock that the migration needs."""


def newest() -> int:
    """Return the schema that this relay knows."""
    return scripts()[-1].number


def needed() -> int:
    """Return the schema that this relay needs: a file that drops something need not have run."""
    return max(each.number for each in scripts() if not _contracts(each))


def scripts() -> Sequence[Script]:
    """Return the files, in their order."""
    folder = files("relay.store.postgres") / "migrations"
    return [_script(each.name, each.read_text()) for each in sorted(folder.iterdir(), key=lambda file: file.name)]


def _script(name: str, text: str) -> Script:
    oldest = re.match(r"-- oldest: (\d+)\n", text)
    sql, _, indexes = text.partition("\n-- concurrently\n")
    built = tuple(each.strip() for each in indexes.split(";") if each.strip())
    return Script(int(name.split("_")[0]), int(oldest[1]) if oldest else 1, sql, built)


def _contracts(script: Script) -> bool:
    before = [each.oldest for each in scripts() if each.number < script.number]
    return bool(before) and script.oldest > max(before)


# ---- what a database has


async def check_schema(transaction: Transaction) -> None:
    """Raise StoreUnsafe if this relay must not use the database, or cannot; ConfigurationError if nothing is in it."""
    found = await _found(transaction)
    if not found.schema:
        raise ConfigurationError("the database has no tables of a relay: start a relay on it, or `relay migrate`")
    _check_not_newer(found)
    if found.schema < needed():
        raise StoreUnsafe(f"the database has schema {found.schema}, this relay needs {needed()}: `relay migrate`")


async def is_migrated(transaction: Transaction) -> bool:
    """Whether there is nothing that `migrate` could do; StoreUnsafe as `check_schema`."""
    found = await _found(transaction)
    _check_not_newer(found)
    return not _runnable(found)


async def _found(transaction: Transaction) -> Found:
    # from pg_class: to_regclass alone believes what this session has cached, also after another has made the table
    there_sql = "select exists (select from pg_class where oid = to_regclass('relay_meta'))"
    [(there,)] = await transaction.rows(there_sql)
    if not there:
        return Found(0, 0)
    sql = "select schema, oldest, (select min(schema) from relays where gone_at is null) from relay_meta"
    [found] = await transaction.rows(sql)
    return Found(*found)


def _check_not_newer(found: Found) -> None:
    if found.oldest > newest():
        raise StoreUnsafe(
            f"the database needs relays that know schema {found.oldest}, this one knows {newest()}: upgrade the relay"
        )


def _runnable(found: Found) -> list[Script]:
    """What may run now, in order: nothing after one that has to wait until an older relay is gone."""
    runnable = []
    for each in scripts():
        if each.number > found.schema:
            if found.living is not None and found.living < each.oldest:
                break
            runnable.append(each)
    return runnable


# ---- migrate


async def migrate(connection: Connection) -> None:
    """Migrate as far as relays that live allow, trying for a minute if another transaction is in the way.

    Raises StoreUnsafe if this relay must not run or a relay that lives is too old, StoreBusy, and ConfigurationError if
    the role may not change the schema.
    """
    for left in reversed(range(PATIENCE)):
        try:
            await connection.transact(_migrate, deadline=DEADLINE, gated=False)
        except Locked:
            if not left:
                raise
            await asyncio.sleep(PAUSE)
        else:
            return


async def _migrate(transaction: Transaction) -> None:
    with _explained():
        await transaction.rows(
            "select set_config('lock_timeout', %s, true), set_config('statement_timeout', '0', true)", (LOCK_TIMEOUT,)
        )
        await transaction.rows("select pg_advisory_xact_lock(%s)", (LOCK,))
        found = await _found(transaction)
        _check_not_newer(found)
        for each in _runnable(found):
            await transaction.script(_with_version(each))
            found = found._replace(schema=each.number)
    if found.schema < needed():
        raise StoreUnsafe(
            f"a relay that knows schema {found.living} still runs: upgrade it to a version between, or stop it"
        )


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except errors.LockNotAvailable as error:
        raise Locked("cannot migrate now: another transaction holds a lock on the relay's tables") from error
    except errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"the role may not change the schema ({error.diag.message_primary}):"
            " have one that may run what `relay migrate --sql` prints"
        ) from error


def _with_version(script: Script) -> str:
    oldest = f"greatest(oldest, {script.oldest})"
    return f"{script.sql}\nupdate relay_meta set schema = {script.number}, oldest = {oldest};\n"


# ---- indexes


async def keep_indexed(connect: Callable[..., Connection]) -> None:
    """Build missing indexes on a connection of their own, once that can be done; the caller cancels it.

    A server that this relay must not use is left alone: `ready` says what is wrong.
    """
    while True:
        if any(each.indexes for each in scripts()):
            connection = connect(name="indexes")
            try:
                with suppress(StoreBusy, StoreUnsafe, ConfigurationError):
                    await build_indexes(connection)
            finally:
                await connection.close()
        await asyncio.sleep(INDEXED_EVERY)


async def build_indexes(connection: Connection) -> None:
    """Build what is missing of the indexes of migrations that have run; one that is invalid is dropped first.

    It may take as long as the oldest transaction of the server; nobody waits for it meanwhile.
    """
    schema = (await connection.transact(_found)).schema
    for sql in (index for each in scripts() if each.number <= schema for index in each.indexes):
        name = _name(sql)
        state = await connection.run([(_INDEX, {"name": name})])
        if state[0] == [(False,)]:
            await connection.outside(f"drop index concurrently {name}", deadline=INDEX_DEADLINE)
        if state[0] in ([], [(False,)]):
            await connection.outside(sql, deadline=INDEX_DEADLINE)


_INDEX = """
select i.indisvalid or exists (select 1 from pg_stat_progress_create_index p where p.index_relid = i.indexrelid)
from pg_index i where i.indexrelid = to_regclass(%(name)s)
"""  # one that is being built now is not valid either


def _name(sql: str) -> str:
    found = re.fullmatch(r"create (?:unique )?index concurrently (\w+) on .*", sql, re.DOTALL)
    if not found:
        raise ValueError(f"not an index that is built concurrently: {sql}")
    return found[1]


# ---- for a role that may


_GRANTS = """\
grant select, insert, update, delete on all tables in schema {0} to {1};
grant usage, select on all sequences in schema {0} to {1};
"""


async def sql_of(transaction: Transaction) -> str:
    """Return what `migrate` and `build_indexes` would run, for psql; empty if nothing is to be done."""
    found = await _found(transaction)
    _check_not_newer(found)
    if not (runnable := _runnable(found)):
        return ""
    who = "select quote_ident(coalesce(current_schema(), 'public')), quote_ident(current_user)"
    [(schema, role)] = await transaction.rows(who)
    lines = [
        f"begin;\nset local lock_timeout = '{LOCK_TIMEOUT}';\nselect pg_advisory_xact_lock({LOCK});\n",
        *map(_with_version, runnable),
        _GRANTS.format(schema, role),
        "commit;\n",
        *(f"{index};\n" for each in runnable for index in each.indexes),
    ]
    return "".join(lines)
