"""`relay.delivery.settlements` over a store that replies when the test says so."""

import asyncio
from asyncio import Future
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, cast

import pytest

from relay.delivery import retry_busy
from relay.delivery.settlements import Settlements
from relay.errors import StoreBusy, StoreFailed
from relay.model import Delivered, Outcome, Reason
from relay.store.contract import Store
from relay.store.requests import Settlement
from tests.delivery.conftest import NOON, SECOND, delivery

OnReplies = Callable[[Sequence[Any]], object]


class Scene:
    """`calls` of the store that have no reply yet, by event; `settled` are the results that were reported."""

    def __init__(self) -> None:
        self.calls: dict[str, Future[bool]] = {}
        self.settled: list[str] = []
        self.lost: list[str] = []
        self.turns: list[list[str]] = []
        self.may_wait: list[bool] = []  # each turn
        self.now, self.tick = NOON, 0 * SECOND  # by how much each reading of the clock moves it
        self.times: list[datetime] = []
        self.settled_at: list[datetime] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.settlements = Settlements(cast(Store, self), settled=self.on_settled, start=self.begin, clock=self.clock)

    def clock(self) -> datetime:
        self.now += self.tick
        return self.now

    def settle(self, made: Any, *_how: Any, now: Any) -> Future[bool]:
        self.calls[made.event_id] = asyncio.get_running_loop().create_future()
        return self.calls[made.event_id]

    def settle_many(self, settlements: Sequence[Settlement], on_replies: OnReplies, *, may_wait: bool) -> None:
        """Replies once each of them has its reply."""
        self.turns.append([each.delivery.event_id for each in settlements])
        self.may_wait.append(may_wait)
        self.times += [each.now for each in settlements]
        replies = [self.settle(each.delivery, now=each.now) for each in settlements]
        all_replied = asyncio.gather(*replies, return_exceptions=True)
        all_replied.add_done_callback(lambda done: on_replies(done.result()))

    def on_settled(self, made: Settlement, settled: bool) -> None:
        self.settled_at.append(made.now)
        (self.settled if settled else self.lost).append(made.delivery.event_id)

    def begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.get_running_loop().create_task(work))
        return self.tasks[-1]

    def make(self, name: str, *, most: int = 2, may_wait: bool = True) -> asyncio.Task[None]:
        outcome = Outcome(reason=Reason.OK, started_at=NOON, took=SECOND, status=200)

        async def settle() -> None:
            made = delivery(event_id=name)
            if reply := self.settlements.settle(made, outcome, Delivered(), most=most, may_wait=may_wait):
                await reply

        return asyncio.get_running_loop().create_task(settle())

    async def answer(self, name: str, error: Exception | None = None, *, settled: bool = True) -> None:
        asked = self.calls.pop(name)
        if error:
            asked.set_exception(error)
        else:
            asked.set_result(settled)
        await turn()


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(retry_busy, "PAUSE", 0)
    return Scene()


async def test_nobody_waits_for_the_first_ones_and_all_are_told(scene: Scene) -> None:
    first, second, third = (scene.make(name) for name in "abc")
    await turn()
    assert (first.done(), second.done(), third.done()) == (True, True, False)
    assert scene.turns == [["a", "b", "c"]], "asked at once all the same, and together"
    for name in "bca":
        await scene.answer(name)
    assert third.done()
    assert scene.settled == ["a", "b", "c"]
    assert not scene.settlements.pending


async def test_a_busy_store_holds_up_none_of_the_others_of_its_turn(scene: Scene) -> None:
    for name in "abc":
        scene.make(name, most=3)
    await turn()
    for name, error in (("a", None), ("b", StoreBusy("not now")), ("c", None)):
        await scene.answer(name, error)
    assert (scene.settled, [*scene.calls]) == (["a", "c"], ["b"])
    third, fourth, fifth = (scene.make(name, most=3) for name in "def")
    await turn()
    assert (third.done(), fourth.done(), fifth.done()) == (True, True, False), "what is asked again counts"
    for name in "bdef":
        await scene.answer(name)
    assert scene.settled == ["a", "c", "b", "d", "e", "f"]
    assert not scene.settlements.pending


async def test_what_ends_in_another_turn_does_not_wait_for_the_replies_to_the_first(scene: Scene) -> None:
    scene.make("a")
    await turn()
    scene.make("b")
    await turn()
    assert scene.turns == [["a"], ["b"]]
    await scene.answer("b")
    assert scene.settled == ["b"]


async def test_attempts_may_wait_for_the_next_commit_until_half_of_most_are_pending(scene: Scene) -> None:
    for name in "abc":
        scene.make(name, most=4)
        await turn()
    assert scene.may_wait == [True, True, False]
    for name in "abc":
        await scene.answer(name)
    scene.make("d", most=4)
    await turn()
    assert scene.may_wait[3:] == [True], "what is settled counts no more"


async def test_a_target_with_one_attempt_at_a_time_is_not_kept_waiting(scene: Scene) -> None:
    for name, most in (("a", 1), ("b", 3)):
        scene.make(name, most=most)
        await turn()
        await scene.answer(name)
    assert scene.may_wait == [False, True]


async def test_an_attempt_that_others_wait_for_takes_its_turn_with_it(scene: Scene) -> None:
    scene.make("a", most=8)
    scene.make("b", most=8, may_wait=False)
    await turn()
    assert (scene.turns, scene.may_wait) == ([["a", "b"]], [False])


async def test_what_ends_in_one_turn_has_one_time_with_which_it_is_reported_too(scene: Scene) -> None:
    scene.tick = SECOND
    for name in "ab":
        scene.make(name, most=3)
    await turn()
    scene.make("c", most=3)
    await turn()
    assert scene.times == [NOON + SECOND, NOON + SECOND, NOON + 2 * SECOND]
    for name in "abc":
        await scene.answer(name)
    assert scene.settled == ["a", "b", "c"]
    assert scene.settled_at == scene.times


async def test_the_store_is_called_though_the_caller_ends_in_that_turn(scene: Scene) -> None:
    await asyncio.sleep(0)
    beside, waiting = scene.make("a", most=1), scene.make("b", most=1)
    await asyncio.sleep(0)
    assert not scene.turns
    waiting.cancel()
    await turn()
    assert (beside.done(), waiting.cancelled(), scene.turns) == (True, True, [["a", "b"]])
    for name in "ab":
        await scene.answer(name)
    assert scene.settled == ["a"], "nobody is told of the other one, but it is settled"


async def test_a_store_that_raises_is_a_fault_that_ends_with_its_retry(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_how: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(scene, "settle_many", fail)
    waiting = [scene.make(name, most=1) for name in "ab"][1]
    await turn()
    [retry] = scene.tasks
    assert [type(each.exception()) for each in (waiting, retry)] == [ZeroDivisionError] * 2
    assert not scene.settlements.pending


async def test_what_a_failed_store_left_unsettled_counts_for_ever(scene: Scene) -> None:
    for name in "ab":
        scene.make(name, most=2)
    await turn()
    for name in "ab":
        await scene.answer(name, StoreFailed("the disk failed"))
    assert not scene.settlements.pending
    later = scene.make("c", most=2)
    await turn()
    assert not later.done(), "it awaits the failure, and its worker ends"
    await scene.answer("c", StoreFailed("the disk failed"))
    assert isinstance(later.exception(), StoreFailed)


async def test_whether_the_delivery_is_settled_is_passed_on(scene: Scene) -> None:
    for name in "abc":
        scene.make(name, most=2)
    await turn()
    await scene.answer("b", StoreBusy("not now"))
    for name in "ac":
        await scene.answer(name, settled=False)
    await scene.answer("b", settled=False)
    assert (scene.settled, scene.lost) == ([], ["a", "c", "b"])


async def test_what_has_to_be_asked_again_is_under_way_until_it_is_settled(scene: Scene) -> None:
    scene.make("a", most=1)
    await turn()
    await scene.answer("a", StoreBusy("not now"))
    assert [*scene.calls] == ["a"]
    later = scene.make("b", most=1)
    await turn()
    assert not later.done()
    await scene.answer("b")
    assert later.done()
    await scene.answer("a")
    assert scene.settled == ["b", "a"]
    assert not scene.settlements.pending


async def test_who_waits_asks_again_himself(scene: Scene) -> None:
    waiting = scene.make("a", most=0)
    await turn()
    await scene.answer("a", StoreBusy("not now"))
    assert not waiting.done()
    await scene.answer("a")
    assert waiting.done()
    assert (scene.settled, scene.tasks) == (["a"], [])


async def test_what_is_cancelled_is_not_told(scene: Scene) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, fault: faults.append(fault))
    scene.make("a")
    await turn()
    for each in scene.settlements.pending:
        each.cancel()
    await turn()
    assert (scene.settled, scene.tasks, scene.settlements.pending, faults) == ([], [], set(), [])


async def test_a_fault_over_one_is_reported_and_holds_up_none_of_the_others_of_its_turn(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, fault: faults.append(fault["exception"]))
    settled = scene.on_settled

    def fail_once(made: Settlement, is_settled: bool) -> None:
        if made.delivery.event_id == "a":
            raise ZeroDivisionError
        settled(made, is_settled)

    monkeypatch.setattr(scene.settlements, "_settled", fail_once)
    waiting = [scene.make(name, most=2) for name in "abc"][2]
    await turn()
    for name in "abc":
        await scene.answer(name)
    assert waiting.done()
    assert scene.settled == ["b", "c"]
    assert [type(each) for each in faults] == [ZeroDivisionError]
    assert not scene.settlements.pending
