"""`relay.delivery.request_timeouts`: what ends when, on a loop whose time passes only while nothing happens."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from relay.delivery.request_timeouts import RequestTimeouts
from tests.delivery import virtual


async def waiting(timeouts: RequestTimeouts, seconds: float, about: str = "a") -> float:
    """How long a wait without end lasts that may take so many seconds."""
    clock = asyncio.get_running_loop().time
    began = clock()
    with pytest.raises(TimeoutError), timeouts.new(about, seconds):
        await asyncio.Event().wait()
    return clock() - began


def lasted(*scenes: Callable[[RequestTimeouts], Awaitable[float]]) -> Sequence[float]:
    async def play() -> Sequence[float]:
        timeouts = RequestTimeouts()
        return await asyncio.gather(*(scene(timeouts) for scene in scenes))

    return [round(each, 3) for each in virtual.run(play())]


@pytest.mark.parametrize("seconds", [(3, 1, 2), (1, 2, 3), (2, 2, 2), (5, 0.1, 0.2), (0,)])
def test_each_ends_at_its_own_time_whatever_the_others_may_take(seconds: Sequence[float]) -> None:
    scenes = [lambda timeouts, each=each: waiting(timeouts, each) for each in seconds]
    assert lasted(*scenes) == list(seconds)


def test_what_begins_while_the_timer_is_set_ends_in_time() -> None:
    async def later(timeouts: RequestTimeouts) -> float:
        await asyncio.sleep(0.5)
        return await waiting(timeouts, 1)

    assert lasted(lambda timeouts: waiting(timeouts, 1), later) == [1, 1]


def test_what_ended_is_not_cancelled_later_and_the_next_one_has_its_whole_time() -> None:
    async def twice(timeouts: RequestTimeouts) -> float:
        with timeouts.new("a", 1):
            await asyncio.sleep(0.9)
        await asyncio.sleep(0.3)
        return await waiting(timeouts, 1)

    assert lasted(twice) == [1]


@pytest.mark.parametrize(("to", "at"), [(3, 3), (0.7, 0.7), (0.1, 0.5), (1, 1)])
def test_a_change_counts_from_the_start_and_for_those_that_are_meant(to: float, at: float) -> None:
    """Half a second after it."""

    async def change(timeouts: RequestTimeouts) -> float:
        await asyncio.sleep(0.5)
        timeouts.change(to, lambda about: about == "a")
        return 0

    both = lasted(lambda timeouts: waiting(timeouts, 1), lambda timeouts: waiting(timeouts, 1, "b"), change)
    assert both == [at, 1, 0]


def test_a_cancel_is_not_taken_for_a_time_out() -> None:
    async def play() -> tuple[bool, int]:
        task = asyncio.create_task(waiting(RequestTimeouts(), 1))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled(), task.cancelling()

    assert virtual.run(play()) == (True, 1)


def test_a_cancel_at_the_very_moment_of_a_time_out_still_cancels() -> None:
    async def play() -> bool:
        timeouts = RequestTimeouts()
        task = asyncio.create_task(waiting(timeouts, 1))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(1, task.cancel)
        await asyncio.wait([task])
        return task.cancelled()

    assert virtual.run(play())


def test_after_a_time_out_the_task_counts_no_cancel() -> None:
    async def play() -> int:
        await waiting(RequestTimeouts(), 1)
        task = asyncio.current_task()
        assert task
        return task.cancelling()

    assert virtual.run(play()) == 0


def test_another_error_at_the_very_moment_of_a_time_out_is_raised_and_no_cancel_is_left() -> None:
    async def play() -> int:
        with pytest.raises(ValueError, match="other"), RequestTimeouts().new("a", 1):
            try:
                await asyncio.Event().wait()
            finally:
                raise ValueError("other")
        task = asyncio.current_task()
        assert task
        return task.cancelling()

    assert virtual.run(play()) == 0


def test_what_takes_long_to_end_is_cancelled_once() -> None:
    async def play() -> bool:
        with pytest.raises(TimeoutError), RequestTimeouts().new("a", 1):
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(1)
                ended = True
        return ended

    assert virtual.run(play())
