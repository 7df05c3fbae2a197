"""`relay.store.sqlite.write_queue`: what a batch is made of."""

import asyncio
from typing import Any

import pytest

from relay.store.sqlite.write_queue import MAX_BATCH, WriteQueue, Writes, run_each


def message(writes: int) -> Writes[Any, Any]:
    return Writes(run_each, [lambda _cursor: None] * writes, lambda _replies: None)


@pytest.fixture
async def queue() -> WriteQueue:
    return WriteQueue()


def sizes(batch: list[Writes[Any, Any]]) -> list[int]:
    return [len(each.arguments) for each in batch]


async def test_a_batch_has_all_messages_that_wait(queue: WriteQueue) -> None:
    for writes in (1, 3, 2):
        queue.put(message(writes))
    assert sizes(queue.take()) == [1, 3, 2]


async def test_at_the_end_nothing_is_left(queue: WriteQueue) -> None:
    queue.put(message(1))
    queue.close()
    assert sizes(queue.take()) == [1]
    assert queue.take() == []


async def test_a_batch_is_bounded_but_divides_no_message(queue: WriteQueue) -> None:
    for _ in range(5):
        queue.put(message(MAX_BATCH // 2 - 1))
    taken = [sizes(queue.take()) for _ in range(2)]
    assert taken == [[MAX_BATCH // 2 - 1] * 3, [MAX_BATCH // 2 - 1] * 2]


async def test_the_thread_is_woken_once_by_the_messages_of_a_turn(queue: WriteQueue) -> None:
    taken = asyncio.create_task(asyncio.to_thread(queue.take))
    queue.submit(lambda _cursor: None)
    queue.submit_many(run_each, [lambda _cursor: None], lambda _replies: None)
    assert sum(sizes(await taken)) == 2
    await asyncio.sleep(0)
    queue.close()
    assert queue.take() == []
