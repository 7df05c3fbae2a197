"""A store's URL -> the store. No other module outside a kind's own folder knows which kinds there are."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

from relay.errors import ConfigurationError, StoreLocked
from relay.signals import Emit
from relay.store.contract import Archive, OwnedStore
from relay.store.records import BackupCopy, IntegrityReport


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """Which store. It prints as people know it: by its file."""

    path: Path

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `sqlite:///relay.db` or `sqlite:////var/lib/relay/relay.db`.

        ConfigurationError for a store that is not available yet, and for a folder; ValueError for other texts.
        """
        if text.startswith(("postgresql:", "postgres:")):
            raise ConfigurationError("a PostgreSQL store is not available yet: use --store sqlite:///relay.db")
        scheme, _, path = text.partition(":///")
        if scheme != "sqlite" or not path:
            raise ValueError("a store is written sqlite:///relay.db or sqlite:////absolute/path/relay.db")
        if path.endswith("/") or os.path.isdir(path):  # noqa: PTH112  Path.is_dir fails where it may not look
            raise ConfigurationError(f"{path} is a folder: name a file, like sqlite:///{Path(path) / 'relay.db'}")
        return cls(Path(path))

    def __str__(self) -> str:
        return str(self.path)


def check_permissions(url: StoreUrl) -> None:
    """ConfigurationError if this process may not own the store; nothing is opened or made."""
    from relay.store.sqlite.moved_files import check_permitted

    check_permitted(url.path, owner=True)


def open_store(
    url: StoreUrl,
    *,
    emit: Emit,
    failed: Callable[[], object],
    init: bool = False,
    ballast: int = 0,
    clock_set: Callable[[timedelta], object] = lambda _by: None,
) -> OwnedStore:
    """Own the store, as a new incarnation of this process: made if missing, migrated, due what a dead owner held.

    `failed` is called once, from any thread, when nothing can be promised any more; `clock_set`, with the difference,
    when the store's clock was set. `init`: begin with an empty store where the one before is gone. `ballast`: bytes of
    disk to hold back for the moment when it is full. Raises a StoreError or ConfigurationError.
    """
    from relay.store.sqlite.disk import Space
    from relay.store.sqlite.missing_database import written_at
    from relay.store.sqlite.store import SqliteStore
    from relay.store.sqlite.times import utc_now

    space = Space(url.path, ballast=ballast, emit=emit)
    space.prepare()
    return SqliteStore.open(
        url.path,
        written_at=written_at(url.path),
        now=utc_now(),
        emit=emit,
        failed=failed,
        space=space,
        init=init,
        clock_set=clock_set,
    )


@asynccontextmanager
async def visiting(url: StoreUrl) -> AsyncIterator[Archive]:
    """The store, beside its owner if there is one. ConfigurationError if there is no store."""
    from relay.store.sqlite.store import SqliteStore

    store = SqliteStore.visit(url.path)
    try:
        yield store
    finally:
        await store.close()


async def notice_losses(url: StoreUrl) -> None:
    """Record webhooks that are missing, as the owner; one that runs did so when it started."""
    from relay.store.sqlite.store import SqliteStore
    from relay.store.sqlite.times import utc_now

    with suppress(StoreLocked):
        await SqliteStore.open(url.path, now=utc_now(), emit=lambda _signal: None, failed=lambda: None).close()


def verify(url: StoreUrl) -> IntegrityReport:
    """Look for what is corrupt or missing, beside an owner or not; nothing is written.

    Raises ConfigurationError if there is no store, StoreUnsafe if it is of another version, StoreFailed if unreadable.
    """
    from relay.store.sqlite.integrity import verify

    return verify(url.path)


def copy(url: StoreUrl, to: Path, *, overwrite: bool = False) -> BackupCopy:
    """Copy the store, beside an owner or not, to a file that appears once it is whole, sound and on disk.

    Raises ConfigurationError if there is no store, or `to` is there already (unless `overwrite`) or cannot be written;
    StoreError if the copy is not sound, and then there is none.
    """
    from relay.store.sqlite.backup import backup

    return backup(url.path, to, overwrite=overwrite)
