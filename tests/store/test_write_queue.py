"""`relay.store.sqlite.write_queue`: what a batch is made of."""

import asyncio
from typing import Any

import pytest

from relay.store.sqlite import write_queue
from relay.store.sqlite.write_queue import MAX_BATCH, WriteQueue, Writes, run_each


def submit(queue: WriteQueue, writes: int, *, may_wait: bool = False) -> None:
    queue.submit_many(run_each, [lambda _cursor: None] * writes, lambda _replies: None, may_wait=may_wait)


@pytest.fixture
async def queue() -> WriteQueue:
    return WriteQueue()


def sizes(batch: list[Writes[Any, Any]]) -> list[int]:
    return [len(each.arguments) for each in batch]


async def test_a_batch_has_all_messages_that_wait(queue: WriteQueue) -> None:
    for writes in (1, 3, 2):
        submit(queue, writes)
    assert sizes(queue.take()) == [1, 3, 2]


async def test_at_the_end_nothing_is_left(queue: WriteQueue) -> None:
    submit(queue, 1)
    queue.close()
    assert sizes(queue.take()) == [1]
    assert queue.take() == []


async def test_a_batch_is_bounded_but_divides_no_message(queue: WriteQueue) -> None:
    for _ in range(5):
        submit(queue, MAX_BATCH // 2 - 1)
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


async def test_what_may_wait_is_taken_with_the_next_write_that_may_not(
    queue: WriteQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_queue, "LONGEST_WAIT", 3600.0)
    taken = asyncio.create_task(asyncio.to_thread(queue.take))
    submit(queue, 2, may_wait=True)
    await asyncio.sleep(0.05)
    assert not taken.done()
    assert queue.idle
    submit(queue, 1)
    assert sizes(await taken) == [2, 1]


async def test_what_waits_while_a_batch_is_committed_does_not_make_one_of_its_own(
    queue: WriteQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_queue, "LONGEST_WAIT", 3600.0)
    submit(queue, 1)
    assert sizes(queue.take()) == [1]
    submit(queue, 2, may_wait=True)
    taken = asyncio.create_task(asyncio.to_thread(queue.take))
    await asyncio.sleep(0.05)
    assert not taken.done()
    queue.close()
    assert sizes(await taken) == [2]


async def test_nothing_waits_longer_than_that(queue: WriteQueue) -> None:
    submit(queue, 2, may_wait=True)
    assert sizes(await asyncio.to_thread(queue.take)) == [2]


async def test_what_may_wait_is_refused_once_the_thread_has_ended(queue: WriteQueue) -> None:
    queue.end(ZeroDivisionError())
    refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    queue.submit_many(run_each, [lambda _cursor: None], refused.set_result, may_wait=True)
    [reply] = await refused
    assert isinstance(reply, ZeroDivisionError)
