"""A store's URL -> the store. With `upkeep` the one that knows which kinds there are."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from relay.errors import ConfigurationError, StoreBusy, StoreLocked
from relay.model import Delivery
from relay.signals import Committed, Emit, Signal
from relay.store.account_records import AccountRecords
from relay.store.contract import Archive, OwnedStore
from relay.store.records import BackupCopy, IntegrityReport
from relay.store.session_key import SessionKey
from relay.store.url import PostgresUrl as PostgresUrl
from relay.store.url import SqliteUrl as SqliteUrl
from relay.store.url import StoreUrl as StoreUrl
from relay.store.url import parse_store_url as parse_store_url
from relay.store.url import state_folder as state_folder

if TYPE_CHECKING:
    from relay.store.sqlite.store import SqliteStore

READY_WITHIN = 1.5  # seconds of a start for the shared store: then webhooks are taken without it


def check_permissions(url: StoreUrl, spool: Path) -> None:
    """ConfigurationError if this process may not own the store, or the spool before it; nothing is opened or made."""
    from relay.store.sqlite.moved_files import check_permitted

    match url:
        case SqliteUrl(path):
            check_permitted(path, owner=True)
        case PostgresUrl():
            check_extra()
            check_permitted(spool, owner=True)
        case _:
            assert_never(url)


async def open_store(
    url: StoreUrl,
    *,
    spool: Path,
    emit: Emit,
    failed: Callable[[], object],
    disowned: Callable[[], object],
    late: Callable[[Sequence[Delivery]], object],
    init: bool = False,
    durable: bool = True,
    ballast: int = 0,
    clock_set: Callable[[timedelta], object] = lambda _by: None,
) -> OwnedStore:
    """Own the store, as a new incarnation of this process: made if missing, migrated, due what a dead owner held.

    `spool`: the file to commit to while a PostgreSQL store is away. `failed` is called once, from any thread, when
    nothing can be promised any more; `clock_set`, with the difference, when the store's clock was set. In the event
    loop `disowned` is called when others own what this process had claimed, and `late` with deliveries that were
    claimed at insert for a webhook whose reply came from the spool. `init`: begin with an empty file where the one
    before is gone. `durable`: refuse a server that may lose what it has committed. `ballast`: bytes of disk to hold
    back for the moment when it is full. Raises a StoreError or ConfigurationError; not if PostgreSQL is away.
    """
    match url:
        case SqliteUrl(path):
            return _open_file(path, emit=emit, failed=failed, init=init, ballast=ballast, clock_set=clock_set)
        case PostgresUrl():
            check_extra()
            return await _open_shared(
                url,
                spool,
                emit=emit,
                failed=failed,
                disowned=disowned,
                late=late,
                init=init,
                durable=durable,
                ballast=ballast,
                clock_set=clock_set,
            )
        case _:
            assert_never(url)


async def _open_shared(
    url: PostgresUrl,
    spool: Path,
    *,
    emit: Emit,
    failed: Callable[[], object],
    disowned: Callable[[], object],
    late: Callable[[Sequence[Delivery]], object],
    init: bool,
    durable: bool,
    ballast: int,
    clock_set: Callable[[timedelta], object],
) -> OwnedStore:
    """Own the spool, and part of the database under the spool's name. A database that is unfit is refused at once."""
    from relay.store.postgres.store import PostgresStore
    from relay.store.spool.start import open_spool
    from relay.store.spool.store import SpoolingStore

    async def check() -> None:
        visitor = PostgresStore.visit(url.dsn, prepare=url.prepare)
        try:
            await visitor.status()
        finally:
            await visitor.close()

    loop = asyncio.get_running_loop()

    def emit_in_loop(signal: Signal) -> None:
        if isinstance(signal, Committed):  # the spool's thread has committed; the shared store's come from the loop
            loop.call_soon_threadsafe(emit, signal)
        else:
            emit(signal)

    file = await open_spool(spool, emit=emit_in_loop, failed=failed, check_shared=check, init=init, ballast=ballast)
    shared = PostgresStore.open(
        url.dsn,
        name=file.name,
        emit=emit,
        disowned=disowned,
        clock_set=clock_set,
        prepare=url.prepare,
        durable=durable,
    )
    store = SpoolingStore(shared, file, emit=emit, late=late)
    try:
        with suppress(StoreBusy, TimeoutError):  # it is away: the spool takes what comes
            async with asyncio.timeout(READY_WITHIN):
                await shared.ready()
    except BaseException:
        await store.close()
        raise
    return store


def _open_file(
    path: Path,
    *,
    emit: Emit,
    failed: Callable[[], object],
    init: bool,
    ballast: int,
    clock_set: Callable[[timedelta], object],
) -> "SqliteStore":
    from relay.store.sqlite.disk import Space
    from relay.store.sqlite.missing_database import written_at
    from relay.store.sqlite.store import SqliteStore
    from relay.store.times import utc_now

    space = Space(path, ballast=ballast, emit=emit)
    space.prepare()
    return SqliteStore.open(
        path,
        written_at=written_at(path),
        now=utc_now(),
        emit=emit,
        failed=failed,
        space=space,
        init=init,
        clock_set=clock_set,
    )


@asynccontextmanager
async def visiting(url: StoreUrl) -> AsyncIterator[Archive]:
    """The store, beside its owner if there is one, with its clock. ConfigurationError if there is no store."""
    store = await _visit(url)
    try:
        yield store
    finally:
        await store.close()


async def _visit(url: StoreUrl) -> Archive:
    match url:
        case SqliteUrl(path):
            from relay.store.sqlite.store import SqliteStore

            return SqliteStore.visit(path)
        case PostgresUrl():
            check_extra()
            from relay.store.postgres.store import PostgresStore

            visitor = PostgresStore.visit(url.dsn, prepare=url.prepare)
            try:
                await visitor.look_in()
            except BaseException:
                await visitor.close()
                raise
            return visitor
        case _:
            assert_never(url)


def account_records(url: StoreUrl) -> AccountRecords:
    """What the processes of this store share of amoCRM accounts. Nothing is opened."""
    match url:
        case SqliteUrl(path):
            from relay.store.sqlite.account_files import AccountFiles

            return AccountFiles(path)
        case PostgresUrl():
            check_extra()
            from relay.store.postgres.account_rows import AccountRows

            return AccountRows(url.dsn)
        case _:
            assert_never(url)


def session_key(url: StoreUrl) -> SessionKey:
    """The key of the cookies of this store's relays. Nothing is opened."""
    match url:
        case SqliteUrl(path):
            from relay.store.sqlite.session_key_file import SessionKeyFile

            return SessionKeyFile(path)
        case PostgresUrl():
            check_extra()
            from relay.store.postgres.session_key_row import SessionKeyRow

            return SessionKeyRow(url.dsn)
        case _:
            assert_never(url)


async def notice_losses(url: StoreUrl) -> None:
    """Record webhooks that are missing, as the owner; one that runs did so when it started.

    Of a PostgreSQL store, too: each relay compares with its spool when it starts.
    """
    if isinstance(url, PostgresUrl):
        return
    from relay.store.sqlite.store import SqliteStore
    from relay.store.times import utc_now

    with suppress(StoreLocked):
        await SqliteStore.open(url.path, now=utc_now(), emit=lambda _signal: None, failed=lambda: None).close()


def verify(url: StoreUrl) -> IntegrityReport:
    """Look for what is corrupt or missing, beside an owner or not; nothing is written.

    Raises ConfigurationError if there is no store, StoreUnsafe if it is of another version, StoreFailed if unreadable.
    """
    match url:
        case SqliteUrl(path):
            from relay.store.sqlite.integrity import verify

            return verify(path)
        case PostgresUrl():
            check_extra()
            from relay.store.postgres import integrity

            return integrity.verify(url)
        case _:
            assert_never(url)


def held_up(url: StoreUrl) -> bool:
    """Whether a reader beside the owner of the store keeps too much from being cleared away, and must end."""
    if not isinstance(url, SqliteUrl):
        return False
    from relay.store.sqlite.wal import too_long

    return too_long(url.path)


def copy(url: SqliteUrl, to: Path, *, overwrite: bool = False) -> BackupCopy:
    """Copy the store, beside an owner or not, to a file that appears once it is whole, sound and on disk.

    Raises ConfigurationError if there is no store, or `to` is there already (unless `overwrite`) or
    cannot be written; StoreError if the copy is not sound, and then there is none.
    """
    from relay.store.sqlite.backup import backup

    return backup(url.path, to, overwrite=overwrite)


def check_url(url: StoreUrl) -> None:
    """ValueError for a PostgreSQL URL that libpq cannot use, as far as that shows without a server."""
    if isinstance(url, PostgresUrl):
        with suppress(ImportError):  # the missing package is for the opening to say
            import_module("relay.store.postgres.dsn").check_dsn(url.dsn)


def check_extra() -> None:
    """ConfigurationError if what drives PostgreSQL is not installed."""
    try:
        import_module("relay.store.postgres.connection")
    except ImportError as error:  # of psycopg, or of libpq, which that loads
        raise ConfigurationError(
            "a PostgreSQL store needs another package: pip install 'amocrm-relay[postgresql]'"
        ) from error
