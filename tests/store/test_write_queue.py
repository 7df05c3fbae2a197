"""`relay.store.sqlite.write_queue`: what a batch is made of, and when it waits for more."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from relay.store.sqlite import write_queue
from relay.store.sqlite.write_queue import BUSY, GATHER, MAX_BATCH, WriteQueue, Writes, run_each


def message(writes: int) -> Writes[Any, Any]:
    return Writes(run_each, [lambda _cursor: None] * writes, lambda _replies: None)


class Waits:
    """In place of `select`: what is done while a batch waits for more."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def select(self, *asked: Any) -> None:
        self.times.append(asked[3])
        self.meanwhile()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    waits = Waits()
    monkeypatch.setattr(write_queue, "select", waits)
    return waits


@pytest.fixture
async def queue() -> WriteQueue:
    return WriteQueue()


def sizes(batch: list[Writes[Any, Any]]) -> list[int]:
    return [len(each.arguments) for each in batch]


@pytest.mark.parametrize(("before", "waited"), [([1], False), ([BUSY - 1], False), ([BUSY], True), ([1] * BUSY, True)])
async def test_a_batch_waits_for_more_if_the_one_before_was_of_several(
    queue: WriteQueue, waits: Waits, before: list[int], waited: bool
) -> None:
    for writes in before:
        queue.put(message(writes))
    assert sizes(queue.take(gather=True)) == before
    assert not waits.times, "the first one"
    queue.put(message(1))
    waits.meanwhile = lambda: queue.put(message(2))
    assert sizes(queue.take(gather=True)) == ([1, 2] if waited else [1])
    assert waits.times == ([GATHER] if waited else [])


async def test_it_waits_no_more_once_it_is_quiet(queue: WriteQueue, waits: Waits) -> None:
    for writes in (BUSY, 1, 1):
        queue.put(message(writes))
        queue.take(gather=True)
    assert len(waits.times) == 1


async def test_after_a_failure_nothing_waits(queue: WriteQueue, waits: Waits) -> None:
    for _ in range(2):
        queue.put(message(BUSY))
        queue.take(gather=False)
    assert not waits.times


async def test_at_the_end_nothing_waits_and_nothing_is_left(queue: WriteQueue, waits: Waits) -> None:
    queue.put(message(BUSY))
    queue.take(gather=True)
    queue.put(message(1))
    queue.close()
    assert sizes(queue.take(gather=True)) == [1]
    assert queue.take(gather=True) == []
    assert not waits.times


async def test_a_batch_is_bounded_but_divides_no_message(queue: WriteQueue, waits: Waits) -> None:
    for _ in range(5):
        queue.put(message(MAX_BATCH // 2 - 1))
    taken = [sizes(queue.take(gather=True)) for _ in range(2)]
    assert taken == [[MAX_BATCH // 2 - 1] * 3, [MAX_BATCH // 2 - 1] * 2]


async def test_the_thread_is_woken_once_by_the_messages_of_a_turn(queue: WriteQueue) -> None:
    taken = asyncio.create_task(asyncio.to_thread(queue.take, gather=True))
    queue.submit(lambda _cursor: None)
    queue.submit_many(run_each, [lambda _cursor: None], lambda _replies: None)
    assert sum(sizes(await taken)) == 2
    await asyncio.sleep(0)
    queue.close()
    assert queue.take(gather=True) == []
