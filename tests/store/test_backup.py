"""`relay.store.sqlite.backup`: a copy of a store in use, whole and sound, or none."""

import asyncio
import resource
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from relay.errors import ConfigurationError, StoreError, StoreUnsafe
from relay.store.records import BackupCopy, Filter
from relay.store.sqlite import backup as module
from relay.store.sqlite.backup import backup
from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import MINUTE, NOON, claim, deliver, open_sqlite, routed, to, webhook


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    (tmp_path / "of").mkdir()
    opened = open_sqlite(tmp_path / "of", NOON)
    await opened.keep(webhook(1), [routed(1, to(lease=MINUTE)), routed(2, to("dwh"))])
    yield opened
    await opened.close()


async def made(tmp_path: Path, **flags: bool) -> BackupCopy:
    (tmp_path / "to").mkdir(exist_ok=True)
    return await asyncio.to_thread(backup, tmp_path / "of" / "relay.db", tmp_path / "to" / "relay.db", **flags)


async def test_a_copy_of_a_store_in_use_opens_as_a_store_and_is_drained(store: SqliteStore, tmp_path: Path) -> None:
    copied = await made(tmp_path)
    assert (copied.counts["webhooks"], copied.counts["events"], copied.counts["deliveries"]) == (1, 2, 2)
    assert copied.size == (tmp_path / "to" / "relay.db").stat().st_size
    restored = open_sqlite(tmp_path / "to", NOON)
    for target in ("bot", "dwh"):
        [delivery] = await claim(restored, target)
        assert await deliver(restored, delivery)
    await restored.close()


async def test_the_copy_is_one_moment_though_the_store_is_written_all_the_while(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3, 400):
        await store.keep(webhook(number), [routed(number, to())])
    monkeypatch.setattr(module, "STEP", 1)
    stop = threading.Event()
    writing = threading.Thread(target=write_until, args=(stop, tmp_path / "of" / "relay.db"))
    writing.start()
    try:
        copied = await asyncio.wait_for(made(tmp_path), 20)
    finally:
        stop.set()
        writing.join()
    assert copied.counts["events"] == 399, "each page was copied once, whatever was committed meanwhile"
    assert len((await store.status()).targets) > 2, "it was written meanwhile"


def write_until(stop: threading.Event, path: Path) -> None:
    """Commit as fast as it goes, as another process."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(1000)
    number = 0
    while not stop.is_set():
        number += 1
        connection.execute("insert into pauses values (?, 0, '', '')", (f"target-{number}",))
    connection.close()


async def test_nothing_but_the_copy_is_left(store: SqliteStore, tmp_path: Path) -> None:
    await made(tmp_path)
    assert [file.name for file in (tmp_path / "to").iterdir()] == ["relay.db"]
    assert (tmp_path / "to" / "relay.db").stat().st_mode & 0o777 == 0o600


async def test_a_file_that_is_there_stays_unless_it_is_to_be_overwritten(store: SqliteStore, tmp_path: Path) -> None:
    await made(tmp_path)
    before = (tmp_path / "to" / "relay.db").read_bytes()
    await store.keep(webhook(3), [routed(3, to())])
    with pytest.raises(ConfigurationError, match=r"there already.*--force"):
        await made(tmp_path)
    assert (tmp_path / "to" / "relay.db").read_bytes() == before
    assert (await made(tmp_path, overwrite=True)).counts["events"] == 3


@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_folder_is_no_file_to_copy_to(store: SqliteStore, tmp_path: Path, overwrite: bool) -> None:
    with pytest.raises(ConfigurationError, match=r"of is a folder: name a file, like \S+/of/relay-copy\.db$"):
        await asyncio.to_thread(backup, tmp_path / "of" / "relay.db", tmp_path / "of", overwrite=overwrite)


async def test_a_store_in_use_is_never_overwritten(store: SqliteStore, tmp_path: Path) -> None:
    path = tmp_path / "of" / "relay.db"
    with pytest.raises(ConfigurationError, match="in use"):
        await asyncio.to_thread(backup, path, path, overwrite=True)
    assert await store.count(Filter()) == {"bot": 1, "dwh": 1}


async def test_a_copy_that_is_not_sound_is_not_kept(store: SqliteStore, tmp_path: Path) -> None:
    stray = apsw.Connection(str(tmp_path / "of" / "relay.db"))
    stray.execute("insert into attempts values (99, 'bot', 1, 0, 0, '', '', 200, '', 0)")
    stray.close()
    with pytest.raises(StoreError, match="attempts that belong to none of deliveries: 1"):
        await made(tmp_path)
    assert list((tmp_path / "to").iterdir()) == []


async def test_what_is_no_store_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "of").mkdir()
    with pytest.raises(ConfigurationError, match="no store at"):
        await made(tmp_path)
    apsw.Connection(str(tmp_path / "of" / "relay.db")).execute("create table theirs (a)").close()
    with pytest.raises(StoreUnsafe):
        await made(tmp_path)


async def test_a_copy_that_cannot_be_written_on_is_told_with_what_went_wrong(
    store: SqliteStore, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(StoreError) as raised:
            await made(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(raised.value).endswith("relay.db: SQLITE_IOERR_WRITE")
    assert list((tmp_path / "to").iterdir()) == []


async def test_a_folder_that_is_not_there_is_told_in_a_line(store: SqliteStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot write .*No such file"):
        await asyncio.to_thread(backup, tmp_path / "of" / "relay.db", tmp_path / "nowhere" / "relay.db")
