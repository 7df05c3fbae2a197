"""SQLite in the contract's suite: see `Kind` in `tests.store.conftest`."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from relay.errors import StoreLocked
from relay.model import Webhook
from relay.signals import Emit
from relay.store.contract import Archive
from relay.store.sqlite.store import SqliteStore
from tests.store.damage import roll_back


def open_store(folder: Path, now: datetime, emit: Emit = lambda _signal: None) -> SqliteStore:
    return SqliteStore.open(folder / "relay.db", now=now, emit=emit, failed=lambda: None)


def take_over(folder: Path, now: datetime) -> SqliteStore:
    """The lock file is removed, as people do who believe that it is stale: nothing else lets a second owner in."""
    (folder / "relay.db.lock").unlink()
    return open_store(folder, now)


async def join(folder: Path, now: datetime) -> SqliteStore | None:
    with pytest.raises(StoreLocked):
        open_store(folder, now)
    return None


async def lose_webhooks(folder: Path, now: datetime) -> SqliteStore:
    """A database that was restored from a backup, beside the watermark of the lost one."""
    database = folder / "relay.db"
    await open_store(folder, now).close()
    backup = database.read_bytes()
    store = open_store(folder, now)
    for number in (1, 2):
        await store.keep(Webhook(id=f"lost-{number}", source="crm", received_at=now, body=b""), [])
    await store.close()
    roll_back(database, backup)
    return open_store(folder, now)


def lose_answer(store: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(store, SqliteStore)
    writer = store._writer
    transact = writer._transact

    def lose(batch: Sequence[Any]) -> list[Any]:
        monkeypatch.setattr(writer, "_transact", transact)
        transact(batch)
        raise apsw.BusyError("the answer was lost")

    monkeypatch.setattr(writer, "_transact", lose)
