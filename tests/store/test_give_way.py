"""`relay.store.give_way`: reads wait for a commit that is under way, but not for ever."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import pytest

from relay.errors import StoreBusy, StoreFailed
from relay.store import give_way
from relay.store.give_way import GiveWay
from relay.store.postgres.batch import Batch
from relay.store.sqlite.write_queue import LONGEST_WAIT, WriteQueue, run_each
from tests.store.conftest import NOON, open_sqlite, routed, to, webhook

EVER = 30.0
"""Seconds; a test that waits for it fails by its own limit of time or by what it asserts."""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(give_way, "LONGEST", EVER)


@pytest.fixture
async def readers() -> GiveWay:
    return GiveWay(asyncio.get_running_loop())


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_read_does_not_wait_if_no_commit_is_under_way(readers: GiveWay, patient: None) -> None:
    await asyncio.wait_for(readers.wait(), 5)
    await asyncio.wait_for(asyncio.to_thread(readers.of_one_read().wait), 5)


async def test_reads_wait_until_the_commit_has_ended(readers: GiveWay, patient: None) -> None:
    readers.begin()
    with ThreadPoolExecutor() as threads:
        waits = [
            asyncio.ensure_future(readers.wait()),
            asyncio.get_running_loop().run_in_executor(threads, readers.of_one_read().wait),
        ]
        done, _ = await asyncio.wait(waits, timeout=0.05)
        readers.end()
        assert not done
        await asyncio.wait_for(asyncio.gather(*waits), 5)


async def test_a_read_waits_no_longer_than_that_in_all(readers: GiveWay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(give_way, "LONGEST", 0.01)
    readers.begin()
    await readers.wait()
    read = readers.of_one_read()
    await asyncio.to_thread(read.wait)

    def never(_timeout: float) -> bool:
        raise AssertionError("waited again")

    monkeypatch.setattr(read, "_free", _Busy(never))
    read.wait()


class _Busy:
    def __init__(self, wait: Any) -> None:
        self.wait = wait

    def is_set(self) -> bool:
        return False


async def test_a_reader_that_was_cancelled_is_no_trouble(readers: GiveWay, patient: None) -> None:
    readers.begin()
    one, other = asyncio.ensure_future(readers.wait()), asyncio.ensure_future(readers.wait())
    await turns()
    one.cancel()
    await turns()
    readers.end()
    await asyncio.wait_for(other, 5)
    assert one.cancelled()


async def test_readers_go_on_after_whoever_waited_for_the_commit(patient: None) -> None:
    queue, order = WriteQueue(), list[str]()

    async def commit() -> None:
        await queue.submit(lambda _cursor: None)
        order.append("committed")

    async def read() -> None:
        await queue.readers.wait()
        order.append("read")

    writing = asyncio.ensure_future(commit())
    await turns()
    reading = asyncio.ensure_future(read())
    await turns()
    assert order == []
    queue.reply([(each, [None]) for each in queue.take()])
    await asyncio.gather(writing, reading)
    assert order == ["committed", "read"]


async def test_readers_wait_for_what_was_queued_behind_a_commit(patient: None) -> None:
    queue = WriteQueue()
    queue.submit_many(run_each, [lambda _cursor: None], lambda _replies: None)
    first = queue.take()
    queue.submit_many(run_each, [lambda _cursor: None], lambda _replies: None)
    reading = asyncio.ensure_future(queue.readers.wait())
    queue.reply([(each, [None]) for each in first])
    await turns()
    assert not reading.done()
    queue.reply([(each, [None]) for each in queue.take()])
    await asyncio.wait_for(reading, 5)


async def test_no_commit_is_under_way_once_what_may_wait_was_committed_with_another(patient: None) -> None:
    queue = WriteQueue()
    queue.submit_many(run_each, [lambda _cursor: None], lambda _replies: None)
    queue.submit_many(run_each, [lambda _cursor: None], lambda _replies: None, may_wait=True)
    queue.reply([(each, [None]) for each in queue.take()])
    await asyncio.sleep(4 * LONGEST_WAIT)  # its own wake-up comes after all was committed
    await asyncio.wait_for(queue.readers.wait(), 5)


async def test_a_batch_that_was_woken_for_nothing_has_no_commit_under_way(patient: None) -> None:
    refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def together(_writes: Sequence[int]) -> list[int | Exception]:
        return [await refused]

    batch = Batch[int, int](together, size=lambda _write: 1)
    first = batch.submit(1)
    await turns()
    batch.submit_many([2], lambda _replies: None, may_wait=True)
    refused.set_exception(StoreBusy("away"))  # the other is refused with it, before its time
    with pytest.raises(StoreBusy):
        await first
    await asyncio.sleep(4 * LONGEST_WAIT)
    await asyncio.wait_for(batch.readers.wait(), 5)
    await batch.close()


async def test_what_waited_long_enough_is_forgotten(readers: GiveWay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(give_way, "LONGEST", 0.001)
    readers.begin()
    for _ in range(3):
        await readers.wait()
    assert not readers._waiting


async def test_questions_to_a_store_wait_for_its_commit(tmp_path: Path, patient: None) -> None:
    store = open_sqlite(tmp_path, NOON)
    other = apsw.Connection(str(tmp_path / "relay.db"))
    try:
        other.execute("begin immediate")  # so that the commit takes long
        keeping = store.keep(webhook(1), [routed(1, to())])
        await turns()
        asking = asyncio.ensure_future(store.status())
        waits: list[asyncio.Future[Any]] = [keeping, asking]
        done, _ = await asyncio.wait(waits, timeout=0.1)
        other.execute("rollback")
        assert not done
        await asyncio.gather(*waits)
    finally:
        other.close()
        await store.close()


async def test_what_deliveries_wait_for_gives_no_way(tmp_path: Path, patient: None) -> None:
    store = open_sqlite(tmp_path, NOON)
    other = apsw.Connection(str(tmp_path / "relay.db"))
    try:
        other.execute("begin immediate")
        keeping = store.keep(webhook(1), [routed(1, to())])
        await turns()
        await asyncio.wait_for(store.due(["bot"]), 5)
        assert not keeping.done()
        other.execute("rollback")
        await keeping
    finally:
        other.close()
        await store.close()


async def test_a_question_that_waits_for_a_commit_while_the_store_is_closed_is_refused(
    tmp_path: Path, patient: None
) -> None:
    store = open_sqlite(tmp_path, NOON)
    other = apsw.Connection(str(tmp_path / "relay.db"))
    try:
        other.execute("begin immediate")
        keeping = store.keep(webhook(1), [routed(1, to())])
        await turns()
        asking = asyncio.ensure_future(store.status())
        await turns()
        closing = asyncio.ensure_future(store.close())
        await turns()
        other.execute("rollback")
        with pytest.raises(StoreFailed):
            await asking
        await asyncio.gather(keeping, closing)
    finally:
        other.close()
