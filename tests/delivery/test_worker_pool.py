"""`relay.delivery.worker_pool` with work of a list; how many at a time, and who does it."""

import asyncio
from collections import deque
from collections.abc import Coroutine

import pytest

from relay.delivery.worker_pool import WorkerPool
from relay.errors import StoreFailed


class Scene:
    """Work for three workers, each piece as long as the gate is shut; `tasks` are all that ever worked."""

    def __init__(self) -> None:
        self.todo: deque[int] = deque()
        self.done: list[int] = []
        self.busy = 0
        self.busiest = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.tasks: list[asyncio.Task[None]] = []
        self.faults: dict[int, type[Exception]] = {}
        self.workers = WorkerPool(self.next_attempt, limit=3, start=self.begin)
        self.limit = self.workers.limit

    def begin(self, work: Coroutine[None, None, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    def next_attempt(self) -> Coroutine[None, None, None] | None:
        return self.attempt(self.todo.popleft()) if self.todo else None

    async def attempt(self, number: int) -> None:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await self.gate.wait()
        await asyncio.sleep(0)
        self.busy -= 1
        self.done.append(number)
        if fault := self.faults.get(number):
            raise fault

    async def do(self, *numbers: int) -> None:
        self.give(*numbers)
        await self.idle()

    def give(self, *numbers: int) -> None:
        self.todo.extend(numbers)
        self.workers.call(len(self.todo))

    async def idle(self) -> None:
        for _ in range(100):
            await asyncio.sleep(0)
        assert not self.todo
        assert not self.busy

    async def end(self) -> None:
        self.limit(0)
        await self.idle()
        assert all(task.done() for task in self.tasks)


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_as_many_as_may_work_side_by_side_and_do_all_there_is(scene: Scene) -> None:
    await scene.do(*range(20))
    assert sorted(scene.done) == [*range(20)]
    assert (scene.busiest, len(scene.tasks)) == (3, 3)
    await scene.end()


async def test_those_that_rest_work_again_and_new_ones_come_only_if_they_are_too_few(scene: Scene) -> None:
    for number in range(50):
        await scene.do(number)
    assert (scene.done, len(scene.tasks)) == ([*range(50)], 1)
    await scene.do(1, 2)
    assert len(scene.tasks) == 2
    await scene.end()


async def test_one_more_is_called_while_others_are_busy(scene: Scene) -> None:
    scene.gate.clear()
    scene.give(1)
    await asyncio.sleep(0)
    scene.give(2)
    await asyncio.sleep(0)
    assert scene.busy == 2
    scene.gate.set()
    await scene.idle()
    await scene.end()


async def test_fewer_may_work_from_now_on(scene: Scene) -> None:
    await scene.do(1, 2, 3)
    scene.limit(1)
    scene.busiest = 0
    await scene.do(*range(10))
    assert scene.busiest == 1
    assert sum(not task.done() for task in scene.tasks) == 1
    await scene.end()


async def test_who_is_busy_ends_what_he_does_and_nothing_more_is_begun(scene: Scene) -> None:
    scene.gate.clear()
    scene.give(*range(5))
    await asyncio.sleep(0)
    scene.limit(0)
    scene.gate.set()
    await asyncio.gather(*scene.tasks)
    assert (sorted(scene.done), [*scene.todo]) == ([0, 1, 2], [3, 4])


async def test_who_finds_nothing_once_all_are_to_end_ends(scene: Scene) -> None:
    scene.gate.clear()
    scene.give(1)
    await asyncio.sleep(0)
    scene.limit(0)
    scene.gate.set()
    await scene.idle()
    assert [task.done() for task in scene.tasks] == [True]


async def test_one_too_many_that_finds_nothing_ends_and_misses_no_call(scene: Scene) -> None:
    scene.gate.clear()
    scene.give(1, 2)
    await asyncio.sleep(0)
    scene.limit(1)
    scene.gate.set()
    await scene.idle()
    await scene.do(1)
    assert scene.done[-1] == 1
    await scene.end()


async def test_another_takes_the_place_of_one_that_raised(scene: Scene) -> None:
    scene.limit(1)
    scene.faults = dict.fromkeys((1, 3), ZeroDivisionError)
    await scene.do(*range(5))
    assert scene.done == [*range(5)]
    assert [type(task.exception()) for task in scene.tasks[:2]] == [ZeroDivisionError] * 2
    await scene.end()


async def test_nobody_takes_the_place_of_one_that_found_the_store_failed(scene: Scene) -> None:
    scene.limit(2)
    scene.faults = dict.fromkeys(range(5), StoreFailed)
    scene.give(*range(5))
    await asyncio.wait(scene.tasks)
    assert ([*scene.todo], len(scene.tasks)) == ([2, 3, 4], 2)


async def test_what_comes_while_the_last_one_looks_for_work_is_done(scene: Scene) -> None:
    """At every point at which another task can run."""
    scene.limit(1)
    for turns in range(10):
        scene.give(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        await scene.do(turns)
        assert scene.done[-1] == turns
    await scene.end()
