"""No byte of an erased person is in any file of a SQLite store, wherever an erasure was killed."""

import asyncio
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from relay.model import Retention
from relay.signals import Notice, Signal, StoreGaveUp
from relay.store.sqlite.integrity import verify
from relay.store.sqlite.lock import Lock, owner_pid
from relay.store.sqlite.store import SqliteStore
from tests.e2e.processes import until
from tests.store import killed_forget
from tests.store.conftest import NOON
from tests.store.killed_forget import CANARIES, erase, open_store
from tests.store.test_erasure import FORD, arrived

EVERY = int(os.environ.get("EVERY", "100"))  # statements from one kill to the next; 1 by hand

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.store.sqlite.rewriting.PAUSE", 0.0)
    monkeypatch.setattr("relay.store.sqlite.erasure.PAUSE", 0.0)


def holding(folder: Path) -> dict[str, int]:
    """How often a canary is in each file that has one."""
    counts = {each.name: sum(map(each.read_bytes().count, CANARIES)) for each in folder.iterdir()}
    return {name: number for name, number in counts.items() if number}


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def sound(path: Path) -> bool:
    return verify(path).sound


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of an earlier relay that knows the person."""
    made = tmp_path / "start"
    made.mkdir()
    asyncio.run(killed_forget.fill(made / "relay.db"))
    return made


@pytest.fixture
def killed(tmp_path: Path) -> list[Path]:
    """What each kill left."""
    command = (sys.executable, "-m", "tests.store.killed_forget", str(tmp_path), str(EVERY))
    steps = int(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=3000).stdout)
    assert steps > 2
    return [tmp_path / str(step) for step in range(1, steps + 1)]


async def test_no_byte_is_left_in_any_file_while_the_store_is_in_use(folder: Path) -> None:
    assert holding(folder)["relay.db"] > 100
    store: SqliteStore = open_store(folder / "relay.db")
    try:
        await killed_forget.erase_in(store)
        assert holding(folder) == {}
        assert names(folder) >= {"relay.db", "relay.db-wal", "relay.db-shm"}
    finally:
        await store.close()
    assert holding(folder) == {}
    assert sound(folder / "relay.db")


async def test_a_daemon_gets_the_store_that_a_command_rewrites_and_goes_on_with_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a daemon the command owns the store meanwhile, minutes of a large one."""
    monkeypatch.setattr("relay.store.sqlite.rewriting.PAUSE", 0.01)
    path = folder / "relay.db"
    visitor = SqliteStore.visit(path)
    await killed_forget.erase_rows(visitor)
    rewriting = asyncio.create_task(visitor.erasure.rewrite())
    await until(lambda: owner_pid(path) is not None)
    lock = await asyncio.to_thread(Lock, path)
    await rewriting
    assert len(await visitor.erasure.open_erasures()) == 1, "there is more to be rewritten"
    lock.release()
    store = open_store(path)
    await store.erasure.rewrite()
    assert await visitor.erasure.open_erasures() == []
    await visitor.close()
    await store.close()
    assert holding(folder) == {}


async def test_no_byte_is_left_in_pages_that_were_freed_by_an_earlier_relay(folder: Path) -> None:
    with closing(apsw.Connection(str(folder / "relay.db"))) as older:
        older.pragma("secure_delete", 0)
        older.execute("begin; create table purged (body)")
        older.executemany("insert into purged values (?)", [(CANARIES[0] * 600,)] * 1_500)
        older.execute("drop table purged; commit")
        older.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        assert older.pragma("freelist_count") > 1_500  # more than the rewriting uses otherwise
    await erase(folder / "relay.db")
    assert holding(folder) == {}


async def test_wherever_it_is_killed_a_repeated_erasure_leaves_no_byte(killed: list[Path]) -> None:
    for folder in killed:
        await erase(folder / "relay.db")
        assert holding(folder) == {}
        assert sound(folder / "relay.db")


async def test_a_start_goes_on_with_what_a_kill_has_left(folder: Path) -> None:
    store = open_store(folder / "relay.db")
    await killed_forget.erase_rows(store)
    await store.close()
    assert holding(folder) != {}
    store = open_store(folder / "relay.db")
    try:
        await store.erasure.rewrite()
        assert holding(folder) == {}
        assert await store.erasure.open_erasures() == []
    finally:
        await store.close()


async def test_on_a_disk_that_gets_low_the_free_pages_are_given_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "relay.db"
    with_free_pages(path, 300)
    has_room = iter([True, True, True])
    monkeypatch.setattr(SqliteStore, "_has_room", lambda _self: next(has_room, False))
    store = open_store(path)
    try:
        await killed_forget.erase_rows(store)
        await store.erasure.rewrite()
        assert free_pages(path) >= 300
        assert await store.erasure.open_erasures() != []
    finally:
        await store.close()


async def test_on_a_disk_that_is_low_what_a_kill_has_left_is_given_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "relay.db"
    with_free_pages(path, 300)
    with monkeypatch.context() as killed:
        killed.setattr("relay.store.sqlite.rewriting._unfill", _killed)
        store = open_store(path)
        await killed_forget.erase_rows(store)
        with pytest.raises(InterruptedError):
            await store.erasure.rewrite()
        await store.close()
    assert free_pages(path) < 100
    monkeypatch.setattr(SqliteStore, "_has_room", lambda _self: False)
    store = open_store(path)
    try:
        await store.erasure.rewrite()
        assert free_pages(path) >= 300
        assert await store.erasure.open_erasures() != []
    finally:
        await store.close()


def with_free_pages(path: Path, number: int) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("create table large (page blob)")
    connection.executemany("insert into large values (zeroblob(4000))", [()] * number)
    connection.execute("drop table large")
    connection.close()


def free_pages(path: Path) -> int:
    connection = apsw.Connection(str(path))
    free = connection.pragma("freelist_count")
    connection.close()
    assert isinstance(free, int)
    return free


def _killed(_cursor: apsw.Cursor) -> int:
    raise InterruptedError


async def test_a_text_that_a_disk_has_made_no_utf_8_is_rewritten_as_it_is(folder: Path) -> None:
    path = folder / "relay.db"
    store = open_store(path)
    await killed_forget.erase_rows(store)
    await store.close()
    damage(path, "update attempts set reason = cast(x'ff66' as text) where number = 1")
    damage(path, "update reports set value = cast(x'ff67' as text)")
    damage(path, "update conditions set error = cast(x'ff68' as text)")
    before = kept(path)
    store = open_store(path)
    try:
        await store.erasure.rewrite()
        assert await store.erasure.open_erasures() == []
    finally:
        await store.close()
    assert kept(path) == before
    assert holding(folder) == {}


async def test_no_byte_is_left_where_healing_knows_of_very_many_events(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.store.sqlite.rewriting.MOST", 500)  # rows of what is called a small table
    path = folder / "relay.db"
    store = open_store(path)
    await killed_forget.erase_rows(store)
    await store.close()
    older = apsw.Connection(str(path))
    older.pragma("secure_delete", 0)
    older.executemany(
        "insert into heal_events (source, channel, event_id, type, action, entity, entity_id, key, at, found_at, state,"
        " before) values ('crm', 'hooks', ?, 't', 'a', 'contacts', '777', 'k', 0, 0, 'seen', ?)",
        [(f"event-{number:05}", f'"Zaphod {"z" * (number % 700)}"') for number in range(3_000)],
    )
    older.execute("delete from heal_events where event_id like '%3'; update heal_events set before = null")
    rows = older.execute("select * from heal_events order by event_id").fetchall()
    older.close()
    assert holding(folder) != {}
    store = open_store(path)
    try:
        await store.erasure.rewrite()
        assert holding(folder) == {}
    finally:
        await store.close()
    after = apsw.Connection(str(path))
    assert after.execute("select * from heal_events order by event_id").fetchall() == rows
    after.close()
    assert sound(path)


async def test_a_page_that_cannot_be_read_ends_no_relay(folder: Path) -> None:
    path = folder / "relay.db"
    store = open_store(path)
    await killed_forget.erase_rows(store)
    await store.close()
    damage(path, "pragma wal_checkpoint(truncate)")
    zero_a_page(path, "attempts")
    heard: asyncio.Queue[Signal] = asyncio.Queue()
    store = SqliteStore.open(path, now=NOON, emit=heard.put_nowait, failed=lambda: None)
    tasks = [asyncio.create_task(each) for each in store.background(Retention)]
    try:
        while not isinstance(signal := await heard.get(), Notice):
            assert not isinstance(signal, StoreGaveUp)
        assert signal.text == "erased data stays in the store"
        assert not any(each.done() for each in tasks)
        assert await store.keep(*arrived(999, contacts={"add": [FORD]})) == []
    finally:
        for each in tasks:
            each.cancel()
        await store.close()


def kept(path: Path) -> list[object]:
    connection = apsw.Connection(str(path))
    found = connection.execute(
        "select event, target, number, hex(reason), typeof(reason), typeof(status) from attempts"
        " union all select 0, name, 0, hex(value), typeof(value), '' from reports"
        " union all select 1, target, 0, hex(error), typeof(error), '' from conditions order by 1, 2, 3"
    ).fetchall()
    connection.close()
    return found


def damage(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql).fetchall()
    connection.close()


def zero_a_page(path: Path, table: str) -> None:
    connection = apsw.Connection(str(path))
    [(page,)] = connection.execute("select max(pageno) from dbstat where name = ?", (table,)).fetchall()
    size = connection.pragma("page_size")
    connection.close()
    with path.open("r+b") as opened:
        opened.seek((page - 1) * size)
        opened.write(bytes(size))
