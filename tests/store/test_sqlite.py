"""What only the SQLite store promises: durability's settings, one owner, migrations, group commit, the disk."""

import asyncio
import fcntl
import os
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from relay.errors import ConfigurationError, StoreBusy, StoreFailed, StoreLocked, StoreUnsafe
from relay.model import Retention
from relay.signals import Committed, Signal, StoreGaveUp
from relay.store.records import Filter
from relay.store.requests import KeepRequest
from relay.store.sqlite import claims
from relay.store.sqlite import store as store_module
from relay.store.sqlite.owner import RECOVERY
from relay.store.sqlite.store import SqliteStore
from relay.store.times import from_ms, to_ms
from tests.store.conftest import MINUTE, NOON, claim, deliver, routed, to, webhook
from tests.store.kind_sqlite_many import replies_of


def open_store(folder: Path, signals: list[Signal] | None = None, failures: list[int] | None = None) -> SqliteStore:
    return SqliteStore.open(
        folder / "relay.db",
        now=NOON,
        emit=(signals if signals is not None else []).append,
        failed=lambda: (failures if failures is not None else []).append(1),
    )


def permissions(folder: Path) -> dict[str, str]:
    return {file.name: oct(file.stat().st_mode & 0o777) for file in folder.iterdir()}


def write(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


async def test_what_durability_rests_on_is_set_for_the_writing_connection(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    settings = await store._writer.submit(
        lambda cursor: [cursor.execute(f"pragma {name}").fetchall()[0][0] for name in ("journal_mode", "synchronous")]
    )
    await store.close()
    assert settings == ["wal", 2]


async def test_the_settings_are_read_back_and_a_lie_refuses_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from relay.store.sqlite import store

    connect = store._connect

    def careless(path: Path, *, read_only: bool = False) -> apsw.Connection:
        connection = connect(path, read_only=read_only)
        connection.pragma("synchronous", "normal")
        return connection

    monkeypatch.setattr(store, "_connect", careless)
    with pytest.raises(StoreUnsafe, match="synchronous=1"):
        open_store(tmp_path)


async def test_a_second_owner_is_refused_and_told_the_pid(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with pytest.raises(StoreLocked, match=f"pid {os.getpid()}"):
        open_store(tmp_path)
    await store.close()
    await open_store(tmp_path).close()


async def test_a_start_that_is_refused_leaves_nothing_open(tmp_path: Path) -> None:
    write(tmp_path / "relay.db", "create table theirs (a)")
    with pytest.raises(StoreUnsafe) as refused:
        open_store(tmp_path)
    assert opened(tmp_path) == []
    del refused  # until here its frames held whatever was forgotten


async def test_a_start_that_fails_at_its_last_step_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from relay.store.sqlite import store

    connect = store._connect

    def no_reader(path: Path, *, read_only: bool = False) -> apsw.Connection:
        if read_only:
            raise ConfigurationError("no more files")
        return connect(path)

    monkeypatch.setattr(store, "_connect", no_reader)
    with pytest.raises(ConfigurationError) as failed:
        open_store(tmp_path)
    assert opened(tmp_path) == []
    del failed


def opened(folder: Path) -> list[str]:
    """The files of a folder that this process has open."""
    links = []
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the list itself was open, too
            links.append(fd.readlink())
    return [str(link) for link in links if link.is_relative_to(folder)]


async def test_a_close_ends_a_long_read(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    reads = [asyncio.create_task(store._read(lambda cursor: cursor.execute(endless).get)) for _ in range(2)]
    fail_safes = [threading.Timer(seconds, store._reader.interrupt) for seconds in (3, 4)]
    for each in fail_safes:
        each.start()
    await asyncio.sleep(0.1)  # the first of them is under way
    await store.close()
    in_time = fail_safes[0].is_alive()
    for each in fail_safes:
        each.cancel()
    await asyncio.gather(*reads, return_exceptions=True)
    assert in_time


async def test_a_close_that_waits_for_a_read_leaves_the_loop_to_others(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    begun, may_end = threading.Event(), threading.Event()

    def begin_and_wait() -> None:
        begun.set()
        may_end.wait(10)

    reading = asyncio.create_task(store._read(lambda _cursor: begin_and_wait()))
    await asyncio.to_thread(begun.wait, 10)
    closing = asyncio.create_task(store.close())
    for _ in range(5):
        await asyncio.sleep(0.01)
    assert not closing.done()
    may_end.set()
    await closing
    await reading


async def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        store = open_store(tmp_path)
    finally:
        os.umask(before)
    await store.keep(webhook(), [routed(1, to())])
    modes = permissions(tmp_path)
    await store.close()
    assert modes == dict.fromkeys(
        ("relay.db", "relay.db-wal", "relay.db-shm", "relay.db.lock", "relay.db.acked"), "0o600"
    )


async def test_a_visitor_works_beside_the_owner_and_the_owner_sees_it(tmp_path: Path) -> None:
    owner = open_store(tmp_path)
    visitor = SqliteStore.visit(tmp_path / "relay.db")
    await visitor.keep(webhook(), [routed(1, to())])
    assert [d.event_id for d in await claim(owner)] == ["event-0001"]
    await visitor.close()
    await owner.close()


async def test_a_visitor_claims_nothing(tmp_path: Path) -> None:
    owner = open_store(tmp_path)
    visitor = SqliteStore.visit(tmp_path / "relay.db")
    assert await visitor.keep(webhook(1), [routed(1, to(lease=MINUTE))]) == []
    together = [visitor.keep(webhook(n), [routed(n, to(lease=MINUTE))]) for n in (2, 3)]
    assert [await each for each in together] == [[], []]
    assert await claim(visitor) == []
    assert [each.event_id for each in await claim(owner)] == ["event-0001", "event-0002", "event-0003"]
    await visitor.close()
    await owner.close()


async def test_the_status_tells_the_pid_of_a_daemon_while_there_is_one(tmp_path: Path) -> None:
    daemon = open_store(tmp_path)
    visitor = SqliteStore.visit(tmp_path / "relay.db")
    assert (await visitor.status()).owner == os.getpid()
    await daemon.close()
    assert (await visitor.status()).owner is None
    await visitor.close()


async def test_a_command_that_looks_whether_a_daemon_runs_keeps_none_from_starting(tmp_path: Path) -> None:
    await open_store(tmp_path).close()
    looking = os.open(tmp_path / "relay.db.lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    looked = threading.Timer(0.005, lambda: os.close(looking))
    looked.start()
    await open_store(tmp_path).close()
    looked.join()


async def test_a_visitor_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no store at .*relay run"):
        SqliteStore.visit(tmp_path / "relay.db")
    assert not (tmp_path / "relay.db").exists()


async def test_a_damaged_file_is_told_in_the_stores_own_words(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number in range(50):
        await store.keep(replace(webhook(number), body=os.urandom(10_000)), [routed(number, to())])
    await store.close()
    with (tmp_path / "relay.db").open("r+b") as file:
        file.seek(4096)  # the first page says what tables there are
        file.write(b"\xff" * 400_000)
    with pytest.raises(StoreFailed, match=r"relay\.db is corrupt, or its disk fails.*relay verify"):
        await found_by_a_visitor(tmp_path)


async def found_by_a_visitor(folder: Path) -> None:
    visitor = SqliteStore.visit(folder / "relay.db")
    try:
        await visitor.find(Filter(), limit=10)
    finally:
        await visitor.close()


async def test_a_lock_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "relay.db.lock").mkdir()
    with pytest.raises(ConfigurationError, match=r"cannot write .*relay\.db\.lock: "):
        open_store(tmp_path)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no folder .*nowhere"):
        open_store(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("create table theirs (a)", "another program"),
        ("pragma user_version = 99", "newer relay"),
        ("create table t (a); pragma user_version = 1", "not a relay's database"),
    ],
)
async def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path, sql: str, says: str) -> None:
    write(tmp_path / "relay.db", sql)
    with pytest.raises(StoreUnsafe, match=says):
        open_store(tmp_path)
    connection = apsw.Connection(str(tmp_path / "relay.db"))
    tables = connection.execute("select count(*) from sqlite_schema where name = 'deliveries'").fetchall()
    connection.close()
    assert tables == [(0,)]


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "relay.db").write_text("not a database, " * 100)
    with pytest.raises(StoreUnsafe, match="not a database"):
        open_store(tmp_path)


async def test_a_probe_reaches_the_disk(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    wal = tmp_path / "relay.db-wal"
    before = wal.stat().st_size
    await store.probe()
    grown = wal.stat().st_size - before
    await store.close()
    assert grown > 0


async def test_writes_that_wait_together_are_committed_together(tmp_path: Path) -> None:
    signals: list[Signal] = []
    store = open_store(tmp_path, signals)
    kept = [store.keep(webhook(n), [routed(n, to())]) for n in range(100)]
    for future in kept:
        await future
    await store.close()
    commits = [signal for signal in signals if isinstance(signal, Committed)]
    assert sum(commit.writes for commit in commits) == 100
    assert len(commits) < 50


async def test_one_bad_write_does_not_spoil_the_batch(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    good = store.keep(webhook(1), [routed(1, to())])
    bad = store.keep(webhook(2), [routed(2, to()), routed(2, to())])  # one event id twice
    other = store.keep(webhook(3), [routed(3, to())])
    await good
    with pytest.raises(apsw.ConstraintError):
        await bad
    await other
    shown = await store.show("webhook-0002")
    await store.close()
    assert shown is None, "nothing of the bad one is left"


async def test_a_writer_locked_out_says_busy_and_recovers(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store._connection.set_busy_timeout(10)
    foreign = apsw.Connection(str(tmp_path / "relay.db"))
    foreign.execute("begin immediate")
    with pytest.raises(StoreBusy):
        await store.keep(webhook(), [routed(1, to())])
    foreign.execute("rollback")
    foreign.close()
    assert len(await store.keep(webhook(), [routed(1, to(lease=MINUTE))])) == 1
    await store.close()


async def test_what_waits_behind_one_that_is_locked_out_does_not_come_before_it(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store._connection.set_busy_timeout(300)
    foreign = apsw.Connection(str(tmp_path / "relay.db"))
    foreign.execute("begin immediate")
    first = store.keep(webhook(1), [routed(1, to())])
    await asyncio.sleep(0.1)  # the writer has it, and waits for the lock
    second = store.keep(webhook(2), [routed(2, to())])
    with pytest.raises(StoreBusy):
        await first
    foreign.execute("rollback")
    foreign.close()
    with pytest.raises(StoreBusy):
        await second
    await store.keep(webhook(1), [routed(1, to())])
    await store.close()


async def test_no_write_overtakes_one_of_its_batch_that_is_locked_out(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    faults: list[Exception] = [apsw.BusyError("by another program"), ValueError("bad, so each is committed alone")]

    def fail(_cursor: apsw.Cursor) -> None:
        raise faults.pop()

    first, second = store._writer.submit(fail), store.keep(webhook(2), [routed(2, to())])
    for each in (first, second):
        with pytest.raises(StoreBusy):
            await each
    assert await store.keep(webhook(2), [routed(2, to(lease=MINUTE))])
    await store.close()


async def test_a_full_disk_says_busy_and_works_again_when_there_is_room(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store._connection.pragma("max_page_count", 1)
    big = webhook().__class__(id="big", source="crm", received_at=NOON, body=b"x" * 1_000_000)
    with pytest.raises(StoreBusy, match="full"):
        await store.keep(big, [])
    store._connection.pragma("max_page_count", 1_000_000)
    await store.keep(big, [])
    assert await store.show("big") is not None
    await store.close()


async def test_a_full_disk_has_room_for_the_small_ones_of_a_batch(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store._connection.pragma("max_page_count", 200)
    requests = [
        KeepRequest(replace(webhook(number), body=b"x" * size), []) for number, size in enumerate((9, 1_000_000, 9), 1)
    ]
    small, large, other = await asyncio.gather(*replies_of(store.keep_many, requests), return_exceptions=True)
    assert (small, type(large), other) == ([], StoreBusy, [])
    await store.close()


async def test_after_an_io_error_nothing_is_promised_any_more(tmp_path: Path) -> None:
    signals: list[Signal] = []
    failures: list[int] = []
    store = open_store(tmp_path, signals, failures)

    def break_disk(_cursor: apsw.Cursor) -> None:
        raise apsw.IOError("fsync said EIO")

    with pytest.raises(StoreFailed, match="EIO"):
        await store._writer.submit(break_disk)
    with pytest.raises(StoreFailed):
        await store.keep(webhook(), [])
    assert failures == [1]
    [gave_up] = [signal for signal in signals if isinstance(signal, StoreGaveUp)]
    assert "EIO" in gave_up.error, "operators learn why"
    await store.close()


async def test_a_delivery_whose_row_is_not_found_again_is_not_said_to_be_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    [delivery] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    monkeypatch.setattr(claims, "_SETTLE", f"{claims._SETTLE} and false")  # as a table does that is out of order
    with pytest.raises(StoreFailed, match="of 1 rows that were read only 0 are found"):
        await deliver(store, delivery)
    await store.close()


async def test_a_writer_that_breaks_ends_the_relay(tmp_path: Path) -> None:
    signals: list[Signal] = []
    failed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hear(signal: Signal) -> None:
        signals.append(signal)
        if isinstance(signal, Committed):
            raise ZeroDivisionError("broken for the test")

    store = SqliteStore.open(
        tmp_path / "relay.db", now=NOON, emit=hear, failed=lambda: loop.call_soon_threadsafe(failed.set)
    )
    kept = store.keep(webhook(), [])
    async with asyncio.timeout(30):
        await failed.wait()
    await store.close()
    assert not kept.done(), "nobody knows whether it is committed"
    assert "ZeroDivisionError" in str(signals[-1])


async def test_the_wal_does_not_grow_without_end(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for n in range(300):
        body = os.urandom(100_000)
        await store.keep(webhook(n).__class__(id=f"w{n}", source="crm", received_at=NOON, body=body), [])
    size = (tmp_path / "relay.db-wal").stat().st_size
    await store.close()
    assert size < 20_000_000


async def test_nothing_that_the_daemon_asks_all_day_scans_the_history(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    asked: dict[str, object] = {RECOVERY: (0,)}

    def note(_cursor: apsw.Cursor, sql: str, values: object) -> bool:
        asked[sql] = values
        return True

    for connection in (store._connection, store._reader):
        connection.set_exec_trace(note)
    await store.keep(webhook(1), [routed(1, to(key="lead-7"), to("dwh")), routed(2, to(key="lead-7"))])
    [delivery] = await claim(store)
    await deliver(store, delivery)
    await store.release(await claim(store, "dwh"), now=NOON)
    await store.due(["bot", "dwh"])
    await store.status()
    await store.audit_changes((await store.audit_changes(None))[0])
    await store.publish_health({})
    await store.keep(webhook(2), [routed(3)], window=MINUTE)
    await store.keep(webhook(3), [routed(4)], dated=MINUTE)
    await store.purge(Retention(delivered=-MINUTE), now=NOON)
    plans = {
        sql: [row[3] for row in store._connection.execute("explain query plan " + sql, values)]
        for sql, values in list(asked.items())
        if sql.split()[0] in ("select", "update", "delete", "with")
    }
    await store.close()
    assert len(plans) >= 8
    [repeats] = [plan for sql, plan in plans.items() if "digest = " in sql]
    alike = "webhooks_repeats (source=? AND dated=? AND digest=? AND received_at>? AND received_at<?)"
    assert [alike in line for line in repeats].count(True) == 2, "not all that came within the window"
    [since] = [plan for sql, plan in plans.items() if "w.body <> " in sql]
    assert any("SEARCH entity_index" in line and "entity=?" in line for line in since), "nor all about that entity"
    fine = (
        "subquery",
        "CONSTANT",
        "LIST",
        "SCAN pauses",
        "SCAN conditions",
        "SCAN probes",
        "SCAN relays",
        "SCAN reports",
        "SCAN sqlite_sequence",
        "SCAN losses",
        "SCAN settled",  # as many as are given
        "SCAN claimed",
        "SCAN asked",
        "SCAN segments",  # one for each 16,384 events
        "SCAN entity_indexed",
        "SCAN guards",  # one for each source
    )  # a handful
    scans = [
        (line, sql)
        for sql, plan in plans.items()
        for line in plan
        if line.startswith("SCAN") and "count(*)" not in sql and not any(word in line for word in fine)
        if line.replace("SCAN", "CO-ROUTINE") not in plan  # of a few rows, found by an index
        if not (sql.strip().startswith("select 1 from") and "where" not in sql)  # whether there is any row
    ]
    assert scans == []
    counts = [
        line
        for sql, plan in plans.items()
        if "count(*)" in sql
        for line in plan
        if line.startswith("SCAN") and line.replace("SCAN", "CO-ROUTINE") not in plan
    ]
    partial = (
        "INDEX deliveries_",
        "INDEX events_unrouted",
        "INDEX webhooks_unparsed",
        "SCAN dismissed",
        "subquery",
        "CONSTANT",
    )
    assert all(any(word in line for word in partial) for line in counts), "what is pending, not the history"


@pytest.mark.parametrize("ms", [0, 1, 999, 1_795_344_780_123, 253_402_300_799_999])
def test_milliseconds_go_to_a_datetime_and_back(ms: int) -> None:
    assert to_ms(from_ms(ms)) == ms
    assert from_ms(ms).tzinfo is UTC
    assert to_ms(datetime(2026, 11, 22, 10, 53, 0, 123_999, tzinfo=UTC)) == 1_795_344_780_123


async def test_a_disk_that_fails_at_the_start_and_again_at_close_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(apsw.Connection):
        def close(self, force: bool = False) -> None:
            raise apsw.IOError("again")

    def fail(*_arguments: object) -> None:
        raise apsw.IOError("the first")

    monkeypatch.setattr(store_module, "_connect", lambda path: Failing(str(path)))
    monkeypatch.setattr(store_module, "_make_ready", fail)
    with pytest.raises(StoreFailed, match="the first"):
        open_store(tmp_path)
