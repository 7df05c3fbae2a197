"""`relay.store.sqlite.write_queue`: what a batch is made of, and when it waits for more."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from relay.store.sqlite import write_queue
from relay.store.sqlite.write_queue import GATHER, GATHER_FROM, MAX_BATCH, WriteQueue, Writes, run_each


def submit(queue: WriteQueue, writes: int, *, may_wait: bool = False, grows: bool = False) -> None:
    runs = [lambda _cursor: None] * writes
    grown = (lambda _run: 1) if grows else None
    queue.submit_many(run_each, runs, lambda _replies: None, may_wait=may_wait, grows=grown)


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


@pytest.mark.parametrize(
    ("before", "waited"), [([1], False), ([GATHER_FROM - 1], False), ([GATHER_FROM], True), ([1] * GATHER_FROM, True)]
)
async def test_a_batch_waits_for_more_if_the_one_before_stored_several_webhooks(
    queue: WriteQueue, waits: Waits, before: list[int], waited: bool
) -> None:
    for writes in before:
        submit(queue, writes, grows=True)
    assert sizes(queue.take()) == before
    assert not waits.times, "the first one"
    submit(queue, 1)
    waits.meanwhile = lambda: submit(queue, 2)
    assert sizes(queue.take()) == ([1, 2] if waited else [1])
    assert waits.times == ([GATHER] if waited else [])


async def test_it_waits_no_more_once_it_is_quiet(queue: WriteQueue, waits: Waits) -> None:
    for writes in (GATHER_FROM, 1, 1):
        submit(queue, writes, grows=True)
        queue.take()
    assert len(waits.times) == 1


async def test_settled_attempts_of_several_targets_make_no_webhook_wait(queue: WriteQueue, waits: Waits) -> None:
    for _ in range(2):
        submit(queue, 1, grows=True)
        submit(queue, GATHER_FROM)
        assert sizes(queue.take()) == [1, GATHER_FROM]
    assert not waits.times


async def test_at_the_end_nothing_waits(queue: WriteQueue, waits: Waits) -> None:
    submit(queue, GATHER_FROM, grows=True)
    queue.take()
    submit(queue, 1)
    queue.close()
    assert sizes(queue.take()) == [1]
    assert queue.take() == []
    assert not waits.times
