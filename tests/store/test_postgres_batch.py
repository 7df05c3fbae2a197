"""Group commit on the loop: which writes make up one transaction, and when."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from relay.errors import StoreBusy
from relay.store import give_way
from relay.store.postgres import batch
from relay.store.postgres.batch import Batch


class Transactions:
    """Those that were made; the next ones are refused once `away` is set."""

    def __init__(self) -> None:
        self.made: list[list[int]] = []
        self.away = False

    async def do(self, writes: Sequence[int]) -> list[int]:
        self.made.append([*writes])
        await asyncio.sleep(0)
        if self.away:
            raise StoreBusy("away")
        return [*writes]


@pytest.fixture
def transactions() -> Transactions:
    return Transactions()


@pytest.fixture
async def writes(transactions: Transactions) -> AsyncIterator[Batch[int, int]]:
    made = Batch(transactions.do, size=lambda _write: 1)
    yield made
    await made.close()


def submit(
    writes: Batch[int, int], *numbers: int, may_wait: bool = True
) -> "asyncio.Future[Sequence[int | Exception]]":
    done: asyncio.Future[Sequence[int | Exception]] = asyncio.get_running_loop().create_future()
    writes.submit_many(numbers, done.set_result, may_wait=may_wait)
    return done


async def turns(number: int = 10) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_what_may_wait_is_committed_with_the_next_write_that_may_not(
    writes: Batch[int, int], transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "LONGEST_WAIT", 60.0)
    first, second = submit(writes, 1, 2), submit(writes, 3)
    await turns()
    assert not transactions.made
    third = submit(writes, 4, may_wait=False)
    assert [*await first, *await second, *await third] == [1, 2, 3, 4]
    assert transactions.made == [[1, 2, 3, 4]]
    fourth = submit(writes, 5)
    await turns()
    assert len(transactions.made) == 1, "it waits again"
    assert [await writes.submit(6), *await fourth] == [6, 5]
    assert transactions.made == [[1, 2, 3, 4], [5, 6]]


async def test_what_may_wait_is_committed_soon_if_nothing_else_is_written(
    writes: Batch[int, int], transactions: Transactions
) -> None:
    for number in (1, 2):
        first, second = submit(writes, number), submit(writes, -number)
        assert [*await first, *await second] == [number, -number]
    assert transactions.made == [[1, -1], [2, -2]]


async def test_what_may_wait_is_refused_with_what_it_would_overtake(
    writes: Batch[int, int], transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "LONGEST_WAIT", 60.0)
    transactions.away = True
    at_once = writes.submit(1)
    await turns(1)
    waits = submit(writes, 2)
    with pytest.raises(StoreBusy):
        await at_once
    assert isinstance((await waits)[0], StoreBusy)


async def test_what_may_wait_is_committed_when_the_store_closes(
    writes: Batch[int, int], transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "LONGEST_WAIT", 60.0)
    waits = submit(writes, 1)
    await writes.close()
    assert await waits == [1]


async def test_readers_give_way_from_a_write_until_nothing_waits(
    writes: Batch[int, int], transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(give_way, "LONGEST", 30.0)
    order: list[str] = []
    done = writes.submit(1)
    done.add_done_callback(lambda _done: order.append("committed"))
    reading = asyncio.ensure_future(writes.readers.wait())
    reading.add_done_callback(lambda _done: order.append("read"))
    await asyncio.wait_for(asyncio.gather(done, reading), 5)
    assert order == ["committed", "read"]
    await asyncio.wait_for(writes.readers.wait(), 5)


async def test_readers_go_on_after_writes_that_were_refused(
    writes: Batch[int, int], transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(give_way, "LONGEST", 30.0)
    transactions.away = True
    with pytest.raises(StoreBusy):
        await writes.submit(1)
    await asyncio.wait_for(writes.readers.wait(), 5)
