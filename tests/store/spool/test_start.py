"""A spool is opened, or set aside while the shared store replies; no other store is ever taken for one."""

import asyncio
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from relay.errors import ConfigurationError, StoreBusy, StoreLocked, StoreUnsafe
from relay.signals import AcksMissing, Signal, SpoolSetAside
from relay.store.records import Filter
from relay.store.spool.start import open_spool
from relay.store.sqlite.spool import SqliteSpool
from relay.store.sqlite.sql import rows
from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import MINUTE, NOON, claim, deliver, open_sqlite, webhook
from tests.store.spool.conftest import Relay, aside, direct, request
from tests.store.spool.shared import FakeShared


async def replies() -> None:
    """The shared store is there."""


async def silent() -> None:
    raise StoreBusy("PostgreSQL is away")


async def opened(folder: Path, check=replies, signals: list[Signal] | None = None) -> SqliteSpool:
    emit = (signals if signals is not None else []).append
    return await open_spool(folder / "spool.db", emit=emit, failed=lambda: None, check_shared=check, now=lambda: NOON)


async def spooled(folder: Path, *numbers: int) -> None:
    spool = await opened(folder)
    for number in numbers:
        spool.spool_many([request(number)], lambda _replies: None)
    await spool.close()


async def test_a_spool_keeps_its_name_and_its_webhooks(tmp_path: Path) -> None:
    spool = await opened(tmp_path)
    name = spool.name
    spool.spool_many([request(1), request(2)], lambda _replies: None)
    await spool.close()
    again = await opened(tmp_path, silent)
    assert (again.name, again.waiting, again.oldest_at) == (name, 2, NOON)
    await again.close()


@pytest.mark.parametrize("harm", ["torn", "missing", "foreign"])
async def test_a_spool_that_is_damaged_is_set_aside_while_the_shared_store_replies(tmp_path: Path, harm: str) -> None:
    await spooled(tmp_path, 1, 2, 3)
    file = tmp_path / "spool.db"
    match harm:
        case "torn":
            file.write_bytes(b"\x00" * 20_000)
        case "missing":
            file.unlink()
        case "foreign":
            file.unlink()
            connection = apsw.Connection(str(file))
            connection.execute("create table bookmarks (url text)")
            connection.close()
    with pytest.raises(StoreUnsafe):
        await opened(tmp_path, silent)
    assert aside(tmp_path) == [], "not while nobody can take what comes"
    signals: list[Signal] = []
    spool = await opened(tmp_path, replies, signals)
    assert [type(each) for each in signals][:2] == [SpoolSetAside, AcksMissing]
    assert "--store" not in signals[0].error
    assert signals[0].to == f"{file}.damaged-20261122T120000Z"
    assert (tmp_path / "spool.db.damaged-20261122T120000Z").exists() == (harm != "missing")
    assert [each.count for each in await spool.losses()] == [3]
    assert spool.waiting == 0
    await spool.close()
    spool = await opened(tmp_path, silent)
    assert [each.count for each in await spool.losses()] == [3]
    await spool.close()


def everything_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("what", ["a database of another program", "not a database"])
async def test_a_file_that_was_never_a_spool_is_refused_and_stays_as_it_is(tmp_path: Path, what: str) -> None:
    file = tmp_path / "spool.db"
    if what == "not a database":
        file.write_text("minutes of the meeting\n" * 100)
    else:
        connection = apsw.Connection(str(file))
        connection.execute("create table bookmarks (url text)")
        connection.close()
    before = file.read_bytes()
    for _ in range(2):
        with pytest.raises(ConfigurationError) as refused:
            await opened(tmp_path)
        assert str(refused.value) == f"{file} is {what}, and no spool: name another file with --spool"
    assert file.read_bytes() == before
    assert everything_in(tmp_path) == [file]


async def test_losses_of_the_spool_are_handed_to_the_shared_store_once(tmp_path: Path, shared: FakeShared) -> None:
    await spooled(tmp_path, 1, 2)
    (tmp_path / "spool.db").unlink()
    await (await opened(tmp_path)).close()
    for _ in range(2):
        relay = Relay(tmp_path, shared)
        relay.begin()
        await direct(relay)
        await relay.stop()
        assert [each.count for each in shared.recorded_losses] == [2]


async def test_an_emptied_spool_that_is_gone_has_lost_nothing(tmp_path: Path, shared: FakeShared) -> None:
    await spooled(tmp_path, 1, 2)
    relay = Relay(tmp_path, shared)
    relay.begin()
    await direct(relay)
    await relay.spool.shrink()
    await relay.stop()
    (tmp_path / "spool.db").unlink()
    signals: list[Signal] = []
    spool = await opened(tmp_path, silent, signals)
    assert signals == []
    assert list(await spool.losses()) == []
    await spool.close()


async def test_the_watermark_counts_anew_after_a_spool_was_emptied(tmp_path: Path, shared: FakeShared) -> None:
    await spooled(tmp_path, 1, 2)
    relay = Relay(tmp_path, shared)
    relay.begin()
    await direct(relay)
    await relay.spool.shrink()
    shared.away = True
    shared.drop()
    await relay.keep(request(3))
    await relay.stop()
    (tmp_path / "spool.db").unlink()
    spool = await opened(tmp_path)
    assert [each.count for each in await spool.losses()] == [1]
    await spool.close()


async def windows(spool: SqliteSpool) -> list[int]:
    return [seq for (seq,) in await spool._read(lambda cursor: rows(cursor, "select webhook from spooled"))]


async def test_the_windows_of_a_webhook_are_forgotten_with_it(tmp_path: Path) -> None:
    spool = await opened(tmp_path)
    done = asyncio.get_running_loop().create_future()
    spool.spool_many([request(1, window=MINUTE), request(2, window=MINUTE)], done.set_result)
    await done
    assert await windows(spool) == [1, 2]
    await spool.forget([1])
    assert await windows(spool) == [2]
    await spool.close()


async def test_seqs_that_begin_anew_find_nothing_of_what_was_deleted_by_hand(tmp_path: Path) -> None:
    spool = await opened(tmp_path)
    done = asyncio.get_running_loop().create_future()
    spool.spool_many([request(1, window=MINUTE)], done.set_result)
    await done
    await spool._writer.submit(lambda cursor: purge_all(cursor))
    await spool.shrink()
    assert await windows(spool) == []
    await spool.close()


def purge_all(cursor) -> None:
    for table in ("deliveries", "events", "webhooks"):
        cursor.execute(f"delete from {table}")


async def test_a_relays_own_store_is_never_forwarded(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "spool.db", now=NOON, emit=lambda _signal: None, failed=lambda: None)
    await store.keep(webhook(1), [])
    await store.close()
    before = (tmp_path / "spool.db").read_bytes()
    with pytest.raises(ConfigurationError, match=r"spool\.db is the store of a relay, not a spool: name another file"):
        await opened(tmp_path)
    assert (tmp_path / "spool.db").read_bytes() == before
    assert aside(tmp_path) == []


async def test_a_start_that_was_killed_before_the_file_was_marked_is_repeated(tmp_path: Path) -> None:
    await open_sqlite(tmp_path, NOON).close()
    (tmp_path / "relay.db").rename(tmp_path / "spool.db")
    (tmp_path / "relay.db.acked").unlink(missing_ok=True)
    spool = await opened(tmp_path)
    assert spool.waiting == 0
    await spool.close()


async def test_a_spool_of_a_newer_relay_is_left_alone(tmp_path: Path) -> None:
    await spooled(tmp_path, 1)
    connection = apsw.Connection(str(tmp_path / "spool.db"))
    connection.pragma("user_version", 1_000)
    connection.close()
    with pytest.raises(StoreUnsafe, match="newer relay"):
        await opened(tmp_path)
    assert aside(tmp_path) == []


async def test_a_spool_in_use_is_refused_by_its_own_flag(tmp_path: Path) -> None:
    spool = await opened(tmp_path)
    with pytest.raises(StoreLocked, match="--spool"):
        await opened(tmp_path)
    await spool.close()


async def test_a_spool_delivers_by_hand_and_forwards_only_what_is_left(tmp_path: Path, shared: FakeShared) -> None:
    await spooled(tmp_path, 1, 2)
    by_hand = SqliteStore.open(tmp_path / "spool.db", now=NOON, emit=lambda _signal: None, failed=lambda: None)
    [first, _second] = await claim(by_hand)
    assert await deliver(by_hand, first)
    await by_hand.close()
    relay = Relay(tmp_path, shared)
    relay.begin()
    await direct(relay)
    assert await shared.stored() == ["webhook-0001", "webhook-0002"]
    assert [each.event_id for each in await shared.inner.find(Filter(), limit=9)] == ["event-0002"]
    await relay.stop()


async def test_before_the_shared_store_replies_its_clock_is_the_one_that_is_remembered(
    tmp_path: Path, shared: FakeShared, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = timedelta(minutes=10)
    machine = shared.inner.clock
    monkeypatch.setattr(shared.inner, "clock", lambda: machine() + ahead)
    relay = Relay(tmp_path, shared)
    relay.begin()
    await direct(relay)
    await relay.stop()
    shared.away = True
    relay = Relay(tmp_path, shared)
    relay.begin()
    assert abs(relay.store.clock() - machine() - ahead) < timedelta(seconds=5)
    await relay.stop()
