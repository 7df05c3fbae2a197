"""`store.sqlite.entity_index`: a look-up finds the same whatever is indexed, and nothing of it goes to waste."""

import asyncio
import os
from asyncio import Future
from collections.abc import AsyncIterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import apsw
import pytest

from relay.errors import StoreBusy
from relay.model import Retention, State
from relay.signals import DiskSpace
from relay.store.records import Disk, Duplicate, Filter, KeepResult
from relay.store.sqlite import entity_index
from relay.store.sqlite.backup import backup
from relay.store.sqlite.disk import MEBIBYTE, Space
from relay.store.sqlite.entity_index import index_batch, keep_indexed
from relay.store.sqlite.integrity import verify
from relay.store.sqlite.reading import _FILTERS, filter_sql
from relay.store.sqlite.store import SqliteStore
from tests.e2e.processes import until
from tests.store.conftest import MINUTE, NOON, act, claim, deliver, open_sqlite, routed, to, webhook
from tests.store.test_duplicates import WINDOW, move

IDS = (
    "7",
    "07",
    "7x",
    "+7",
    "4831596",
    "9" * 18,
    "9" * 19,
    "",
    "5f0e-uuid",
    "8" * 5000,
    "a" * 5000,
    "nul \0",
    "\ud800",
)
KEPT = 3 * len(IDS)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entity_index, "BATCH", 4)
    monkeypatch.setattr(entity_index, "PAUSE", 0.0)
    monkeypatch.setattr(entity_index, "EVERY", 0.01)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = open_sqlite(tmp_path, NOON)
    yield opened
    await opened.close()


def keep(store: SqliteStore, number: int, id_: str) -> Future[KeepResult]:
    one = routed(number, to())
    return store.keep(webhook(number), [replace(one, event=replace(one.event, data={"id": id_}))])


async def keep_some(store: SqliteStore) -> None:
    """Of each id three events, one after another."""
    await asyncio.gather(*(keep(store, number, IDS[number % len(IDS)]) for number in range(1, KEPT + 1)))


async def index(store: SqliteStore, batches: int = 1) -> None:
    for _ in range(batches):
        await store._writer.submit(index_batch)


def indexed(folder: Path) -> tuple[int, list[tuple[int, object, int]]]:
    """How far it goes, and its rows."""
    with closing(apsw.Connection(str(folder / "relay.db"))) as connection:
        [(up_to,)] = connection.execute("select up_to from entity_indexed").fetchall()
        return up_to, connection.execute("select * from entity_index order by event").fetchall()


def named(events: Sequence[int]) -> list[str]:
    return [f"event-{number:04}" for number in events]


async def check_finds_all(store: SqliteStore) -> None:
    for place, id_ in enumerate(IDS):
        expected = [number for number in range(1, KEPT + 1) if number % len(IDS) == place]
        about = Filter(entity_id=id_)
        first = await store.find(about, limit=2)
        rest = await store.find(about, limit=2, before=first.next)
        assert [each.event_id for each in (*first, *rest)] == named(expected[::-1])
        assert [each.id for each in await store.events(about, limit=9)] == named(expected)
        assert await store.count(about) == {"bot": 3}


@pytest.mark.parametrize("bits", [14, 3])
@pytest.mark.parametrize("batches", [0, 1, 5, KEPT // 4, KEPT // 4 + 1])
async def test_a_look_up_finds_the_same_whatever_is_indexed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int, bits: int
) -> None:
    monkeypatch.setattr(entity_index, "_INDEX", entity_index._INDEX.replace(">> 14", f">> {bits}"))
    monkeypatch.setitem(_FILTERS, "entity_id", entity_index.ABOUT.replace(">> 14", f">> {bits}"))
    store = open_sqlite(tmp_path, NOON)
    await keep_some(store)
    await index(store, batches)
    up_to, rows = indexed(tmp_path)
    assert up_to == len(rows) == min(4 * batches, KEPT)
    await check_finds_all(store)
    await store.close()


async def test_a_replay_finds_by_entity_what_is_indexed_and_what_is_not(store: SqliteStore) -> None:
    await keep_some(store)
    await index(store, 4)
    for each in await claim(store, limit=KEPT):
        await deliver(store, each)
    assert await store.replay(Filter(entity_id="7"), act()) == 3
    assert await store.count(Filter(states=(State.PENDING,), entity_id="7")) == {"bot": 3}


@pytest.mark.parametrize("batches", [0, 1, 3])
async def test_a_b_and_a_are_three_whatever_is_indexed(store: SqliteStore, batches: int) -> None:
    await keep_some(store)
    replies = []
    for number, body in enumerate("ABAA", KEPT + 1):
        one, [event] = move(number, body, 600)
        replies.append(await store.keep(one, [event], dated=WINDOW))
        await index(store, batches * KEPT)
    assert replies == [[], [], [], Duplicate(webhook=f"webhook-{KEPT + 3:04}", events=1)]


async def test_a_reparsed_webhook_is_found_before_and_after_its_events_are_indexed(store: SqliteStore) -> None:
    await store.keep(webhook(1, unparsed="unreadable"), [])
    await keep(store, 2, "8")
    await index(store)
    assert await store.reparse(webhook(1), [routed(3, to())], act())
    for _ in range(2):
        assert [each.event_id for each in await store.find(Filter(entity_id="7"), limit=9)] == ["event-0003"]
        await index(store)


@pytest.mark.timeout(30)
async def test_the_owner_indexes_each_batch_that_is_full(store: SqliteStore, tmp_path: Path) -> None:
    await keep_some(store)
    working = [asyncio.create_task(each) for each in store.background(Retention)]
    await until(lambda: indexed(tmp_path)[0] >= KEPT - 3)
    await asyncio.sleep(0.05)
    assert indexed(tmp_path)[0] == KEPT // 4 * 4, "the rest is no batch"
    for each in working:
        each.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    await check_finds_all(store)


async def test_a_purge_takes_the_index_rows_along(store: SqliteStore, tmp_path: Path) -> None:
    await keep_some(store)
    await index(store, 5)
    for each in await claim(store, limit=KEPT - 2):
        await deliver(store, each)
    await store.purge(Retention(delivered=-MINUTE), now=NOON)
    assert indexed(tmp_path) == (20, [])
    await index(store, 5)
    assert [event for _, _, event in indexed(tmp_path)[1]] == [KEPT - 1, KEPT]
    assert verify(tmp_path / "relay.db").sound
    left = await store.find(Filter(entity_id=IDS[0]), limit=9)
    assert [each.event_id for each in left] == [f"event-{KEPT:04}"]


async def test_a_row_of_an_event_that_is_gone_finds_nothing(store: SqliteStore, tmp_path: Path) -> None:
    await keep(store, 1, "7")
    await index(store)
    with closing(apsw.Connection(str(tmp_path / "relay.db"))) as connection:
        connection.execute("insert into entity_index values (0, 7, 99), (0, 8, 1)")
    assert [each.event_id for each in await store.find(Filter(entity_id="7"), limit=9)] == ["event-0001"]
    assert await store.count(Filter(entity_id="8")) == {}


async def test_a_full_disk_refuses_the_index_and_no_look_up(tmp_path: Path) -> None:
    free = [400 * MEBIBYTE]
    space = Space(tmp_path / "relay.db", ballast=MEBIBYTE, emit=lambda _: None, disk=lambda _: Disk(free[0], free[0]))
    store = SqliteStore.open(tmp_path / "relay.db", now=NOON, emit=lambda _: None, failed=lambda: None, space=space)
    await keep_some(store)
    free[0] = 0
    (tmp_path / "relay.db.ballast").unlink(missing_ok=True)
    assert space.look() is DiskSpace.FULL
    working = asyncio.gather(*store.background(Retention))
    await asyncio.sleep(0.1)
    assert indexed(tmp_path) == (0, [])
    await check_finds_all(store)
    free[0] = 400 * MEBIBYTE
    await until(lambda: indexed(tmp_path)[0] > 0)
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    await store.close()


async def test_a_busy_store_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    refused, done = [StoreBusy("no"), StoreBusy("no")], asyncio.Event()

    async def write(_run: object) -> None:
        if refused:
            raise refused.pop()
        done.set()

    async def read(_run: object) -> bool:
        return True

    working = asyncio.create_task(keep_indexed(read, write))
    async with asyncio.timeout(30):
        await done.wait()
    working.cancel()
    assert not refused


async def test_a_kill_within_a_batch_leaves_the_index_as_it_was_before_or_after(
    store: SqliteStore, tmp_path: Path
) -> None:
    await keep_some(store)
    seen = []
    for step in count(1):
        ended = killed_at(step, tmp_path)
        up_to, rows = indexed(tmp_path)
        assert up_to == len(rows) <= KEPT
        assert verify(tmp_path / "relay.db").sound
        seen.append(up_to)
        if not ended:
            break
    assert seen[0] == 0 and seen[-1] == 4, seen
    await check_finds_all(store)


def killed_at(step: int, folder: Path) -> bool:
    """Whether a process that writes a batch got as far as this statement."""
    child = os.fork()
    if not child:
        statements = count(1)
        connection = apsw.Connection(str(folder / "relay.db"))
        connection.set_exec_trace(lambda *_: next(statements) < step or os._exit(9))  # type: ignore[arg-type]
        connection.execute("begin immediate")
        index_batch(connection.cursor())
        connection.execute("commit")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize(
    "harm",
    [
        "delete from entity_index where event = 2",
        "update entity_indexed set up_to = 9",
        "update entity_index set entity = 9",
    ],
)
async def test_an_event_that_the_index_misses_is_found_by_verify(store: SqliteStore, tmp_path: Path, harm: str) -> None:
    await keep_some(store)
    await index(store)
    assert verify(tmp_path / "relay.db").sound
    with closing(apsw.Connection(str(tmp_path / "relay.db"))) as connection:
        connection.execute(harm)
    [said] = verify(tmp_path / "relay.db").structure
    assert "not in the index by entity" in said


async def test_a_lost_mark_makes_all_of_it_the_tail(store: SqliteStore, tmp_path: Path) -> None:
    await keep_some(store)
    await index(store)
    with closing(apsw.Connection(str(tmp_path / "relay.db"))) as connection:
        connection.execute("delete from entity_indexed")
    await check_finds_all(store)
    assert verify(tmp_path / "relay.db").sound


async def test_a_lost_mark_is_made_anew(store: SqliteStore, tmp_path: Path) -> None:
    await keep_some(store)
    await index(store)
    with closing(apsw.Connection(str(tmp_path / "relay.db"))) as connection:
        connection.execute("delete from entity_indexed")
    await index(store, 2)
    assert indexed(tmp_path)[0] == 8


async def test_an_entity_id_that_is_null_stops_no_index(store: SqliteStore, tmp_path: Path) -> None:
    await keep_some(store)
    with closing(apsw.Connection(str(tmp_path / "relay.db"))) as connection:
        for given, instead in (("text not null", "text"), ("text", "text not null")):
            connection.execute("pragma writable_schema = on")
            connection.execute(
                "update sqlite_schema set sql = replace(sql, :old, :new) where name = 'events'",
                {"old": f"entity_id   {given},", "new": f"entity_id   {instead},"},
            )
            connection.execute("pragma writable_schema = reset")
            if instead == "text":
                connection.execute("update events set entity_id = null where seq = 2")
    await index(store, 2)
    assert indexed(tmp_path)[0] == 8
    assert await store.count(Filter(entity_id=IDS[3])) == {"bot": 3}


async def test_a_backup_is_looked_up_like_its_store(store: SqliteStore, tmp_path: Path) -> None:
    await keep_some(store)
    await index(store, 3)
    (tmp_path / "copy").mkdir()
    backup(tmp_path / "relay.db", tmp_path / "copy" / "relay.db")
    copy = SqliteStore.visit(tmp_path / "copy" / "relay.db")
    await check_finds_all(copy)
    await copy.close()


async def test_a_look_up_reads_no_more_than_the_segments_and_the_tail(store: SqliteStore) -> None:
    where, values = filter_sql(Filter(entity_id="7", target="bot", action="add"))
    tables = "deliveries d join events e on e.seq = d.event"
    sql = f"explain query plan select d.event from {tables} where {where} order by d.event desc, d.target limit 50"
    plan = await store._read(lambda cursor: [row[3] for row in cursor.execute(sql, values)])
    assert [line for line in plan if line.startswith("SCAN")] == [
        "SCAN segments",
        "SCAN segments",
        "SCAN entity_indexed",
    ]
    assert "SEARCH events USING INTEGER PRIMARY KEY (rowid>?)" in plan
    assert "SEARCH entity_index USING PRIMARY KEY (segment=? AND entity=?)" in plan
