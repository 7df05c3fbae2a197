"""A store that is gone is not begun anew in silence; one that never was is."""

import os
from pathlib import Path

import apsw
import pytest

from relay.errors import ConfigurationError, StoreFailed, StoreUnsafe
from relay.signals import Notice, Signal
from relay.store.sqlite.backup import backup
from relay.store.sqlite.integrity import verify
from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import NOON, interrupted, open_sqlite, routed, to, webhook


def begin(folder: Path, signals: list[Signal] | None = None) -> SqliteStore:
    """What `relay run --init` does."""
    emit = (signals if signals is not None else []).append
    return SqliteStore.open(folder / "relay.db", now=NOON, emit=emit, failed=lambda: None, init=True)


@pytest.fixture
async def used(tmp_path: Path) -> Path:
    """A folder whose store has kept two webhooks."""
    store = open_sqlite(tmp_path, NOON)
    for number in (1, 2):
        await store.keep(webhook(number), [routed(number, to())])
    await store.close()
    return tmp_path


def missing(database: Path) -> None:
    database.unlink()


def empty(database: Path) -> None:
    os.truncate(database, 0)


def blank(database: Path) -> None:
    """A database with nothing in it: all that there was before its first checkpoint, and no WAL."""
    database.unlink()
    connection = apsw.Connection(str(database))
    connection.pragma("journal_mode", "wal")
    connection.close()


LOOKS = (SqliteStore.visit, verify, lambda path: backup(path, path.with_name("copy.db")))


@pytest.mark.parametrize("harm", [missing, empty, blank])
async def test_a_store_that_is_gone_refuses_the_start_and_says_what_to_do(used: Path, harm: object) -> None:
    assert callable(harm)
    harm(used / "relay.db")
    before = (used / "relay.db").exists() and (used / "relay.db").read_bytes()
    with pytest.raises(StoreUnsafe, match=r"but 2 webhooks were kept .*put it back or restore .*relay run --init"):
        open_sqlite(used, NOON)
    assert ((used / "relay.db").exists() and (used / "relay.db").read_bytes()) == before


@pytest.mark.parametrize("harm", [missing, empty])
@pytest.mark.parametrize("look", LOOKS)
async def test_those_who_only_look_say_the_same_of_a_store_that_is_gone(used: Path, harm: object, look: object) -> None:
    assert callable(harm)
    assert callable(look)
    harm(used / "relay.db")
    with pytest.raises(StoreUnsafe, match=r"but 2 webhooks were kept .*put it back or restore"):
        look(used / "relay.db")
    (used / "relay.db-wal").write_bytes(b"the newest webhooks")
    with pytest.raises(StoreUnsafe, match=r"relay\.db-wal belongs to it"):
        look(used / "relay.db")
    assert (used / "relay.db-wal").read_bytes() == b"the newest webhooks"
    assert not (used / "relay.db").exists() or not (used / "relay.db").stat().st_size


@pytest.mark.parametrize("look", LOOKS)
async def test_an_empty_file_that_never_was_a_store_is_none(tmp_path: Path, look: object) -> None:
    assert callable(look)
    (tmp_path / "relay.db").touch()
    with pytest.raises(ConfigurationError, match="no store at"):
        look(tmp_path / "relay.db")
    assert (tmp_path / "relay.db").stat().st_size == 0


@pytest.mark.parametrize("harm", [missing, empty, blank])
async def test_init_begins_with_an_empty_store_and_says_so(used: Path, harm: object) -> None:
    assert callable(harm)
    harm(used / "relay.db")
    signals: list[Signal] = []
    store = begin(used, signals)
    assert await store.show("webhook-0001") is None
    assert await store.losses() == (), "who begins anew knows"
    await store.close()
    [noticed] = [signal for signal in signals if isinstance(signal, Notice)]
    assert (noticed.level, noticed.fields["webhooks"]) == ("warning", 2)
    await open_sqlite(used, NOON).close()


async def test_init_is_refused_where_a_store_is(used: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is a store at .*leave it out"):
        begin(used)
    store = open_sqlite(used, NOON)
    assert await store.show("webhook-0001") is not None
    await store.close()


async def test_a_first_start_needs_no_flag_and_minds_none(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for store in (open_sqlite(tmp_path, NOON), begin(tmp_path / "other")):
        await store.keep(webhook(), [])
        assert await store.show("webhook-0001") is not None
        await store.close()


@pytest.mark.parametrize("harm", [missing, empty])
async def test_a_wal_without_its_database_is_left_alone(tmp_path: Path, harm: object) -> None:
    """SQLite would remove it, and with it the newest webhooks."""
    assert callable(harm)
    store = open_sqlite(tmp_path, NOON)
    await store.keep(webhook(1), [])
    image = tmp_path / "image"
    image.mkdir()
    for name in ("relay.db", "relay.db-wal"):  # as an earlier relay left it: nothing tells of webhooks but the WAL
        (image / name).write_bytes((tmp_path / name).read_bytes())
    await store.close()
    whole, wal = (image / "relay.db").read_bytes(), (image / "relay.db-wal").read_bytes()
    harm(image / "relay.db")
    for opened in (open_sqlite, lambda folder, _now: begin(folder)):
        with pytest.raises(StoreUnsafe, match=r"relay\.db-wal belongs to it"):
            opened(image, NOON)
    assert (image / "relay.db-wal").read_bytes() == wal
    (image / "relay.db").write_bytes(whole)  # "put it back"
    store = open_sqlite(image, NOON)
    assert await store.show("webhook-0001") is not None
    await store.close()


async def test_a_database_that_was_cut_short_is_told_in_a_line(used: Path) -> None:
    database = used / "relay.db"
    os.truncate(database, database.stat().st_size // 2)
    with pytest.raises(StoreFailed, match=r"relay\.db is corrupt.*relay verify"):
        open_sqlite(used, NOON)
    with pytest.raises(StoreFailed, match=r"relay\.db is corrupt"):
        open_sqlite(used, NOON)  # the lock was given back


async def test_a_first_start_that_was_killed_at_any_statement_is_repeated(tmp_path: Path) -> None:
    """Nothing was kept, so nothing is evidently gone."""
    (tmp_path / "relay.db").touch()
    await open_sqlite(tmp_path, NOON).close()
    for folder in interrupted(tmp_path / "killed"):
        await open_sqlite(folder, NOON).close()
