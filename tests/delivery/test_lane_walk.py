"""A real lane through any sequence of events: no state is reachable in which due work is forgotten.

The store, the attempts and the time are played: Hypothesis decides what happens next. In the end the target is well,
resumed, and the store answers; then everything has to be delivered, without the dispatcher's poll, and without the
timer by which a lane looks again in any case, unless the store was too busy for the last claim.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from selectors import DefaultSelector, SelectorKey
from typing import Any, cast
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from relay.delivery import batch_attempt, prefetch, queue
from relay.delivery import lane as lane_module
from relay.delivery.breaker import LONGEST_PAUSE
from relay.delivery.lane import Lane
from relay.delivery.request import Renderer
from relay.errors import StoreBusy
from relay.model import Batch, Dead, Delivered, Delivery, Health, Outcome, Reason, RetryAt, RetryPolicy, Target, Verdict
from relay.store.contract import Store
from relay.store.records import Due
from relay.store.requests import Settlement
from tests.delivery.conftest import delivery

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SHORT_QUEUE = 4  # so that a few deliveries fill it
RATE = 0.2
BATCH = Batch(most=3, within=timedelta(seconds=1))
BOT = Target(
    name="bot",
    url="http://bot.example/in",
    concurrency=2,
    breaker_failures=2,
    timeout=timedelta(seconds=10),
    retry=RetryPolicy(initial=timedelta(seconds=2), factor=2.0, max=LONGEST_PAUSE, jitter=0.0),
)


class Loop(asyncio.SelectorEventLoop):
    """Time leaps to the next timer; nothing comes from outside."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Leaping(self))

    def time(self) -> float:
        return self.now


class _Leaping(DefaultSelector):
    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        assert timeout is not None, "nothing is left to happen"
        self._loop.now += max(timeout, 0.0)
        return []


@dataclass(slots=True)
class Row:
    """`due_at`: the next attempt, or the end of the lease while it is claimed."""

    delivery: Delivery
    due_at: datetime
    claimed: bool = False


class FakeStore:
    """In memory. Calls of keep, claim, release and settle are answered when the test says so, in their order."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.pending: dict[str, Row] = {}
        self.calls: list[tuple[str, Future[Any], Callable[[], Any]]] = []
        self.part = (1, 1)
        self.last_claim_was_busy = False
        self._clock = clock
        self._token = 0

    def owns(self) -> bool:
        return True

    def share(self, _target: str) -> tuple[int, int]:
        return self.part

    async def claim(self, _target: str, *, limit: int, max_bytes: int, now: datetime, lease: timedelta) -> Any:
        return await self._call("claim", lambda: self._claim(limit, now, lease))

    async def release(self, deliveries: Sequence[Delivery], *, now: datetime) -> Any:
        return await self._call("release", lambda: sum(self._free(each, now) for each in deliveries))

    def settle(self, each: Delivery, _outcome: Outcome, verdict: Verdict, *, now: datetime) -> Future[Any]:
        return self._call("settle", lambda: self._settle(each, verdict))

    def settle_many(
        self, made: Sequence[Settlement], on_replies: Callable[[Sequence[Any]], object], *, may_wait: bool
    ) -> None:
        replies = [self.settle(*each[:3], now=each.now) for each in made]
        asyncio.gather(*replies, return_exceptions=True).add_done_callback(lambda done: on_replies(done.result()))

    async def due(self, _targets: Sequence[str]) -> Due:
        due = [row.due_at for row in self.pending.values() if not row.claimed]
        return Due(at={BOT.name: min(due)} if due else {}, paused=frozenset())

    def answer(self, *, busy: bool) -> None:
        what, future, act = self.calls.pop(0)
        if future.done():
            return
        if what == "claim":
            self.last_claim_was_busy = busy
        if busy:
            future.set_exception(StoreBusy("not now"))
        else:
            future.set_result(act())

    def keep(self, new: Sequence[Delivery], leases: Sequence[timedelta | None]) -> Future[Any]:
        return self._call("keep", lambda: self._keep(new, leases))

    def _keep(self, new: Sequence[Delivery], leases: Sequence[timedelta | None]) -> list[Delivery]:
        rows = [self.pending.setdefault(each.event_id, Row(each, self._clock())) for each in new]
        return [self._claimed(row, lease) for row, lease in zip(rows, leases, strict=True) if lease]

    def _call(self, what: str, act: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = asyncio.get_running_loop().create_future()
        self.calls.append((what, future, act))
        return future

    def _claim(self, limit: int, now: datetime, lease: timedelta) -> list[Delivery]:
        due = sorted((row for row in self.pending.values() if row.due_at <= now), key=lambda row: row.due_at)
        return [self._claimed(row, lease) for row in due[:limit]]

    def _claimed(self, row: Row, lease: timedelta) -> Delivery:
        self._token += 1
        row.claimed, row.due_at = True, self._clock() + lease
        row.delivery = replace(row.delivery, token=self._token)
        return row.delivery

    def _mine(self, each: Delivery) -> Row | None:
        row = self.pending.get(each.event_id)
        return row if row and row.claimed and row.delivery.token == each.token else None

    def _free(self, each: Delivery, now: datetime) -> bool:
        row = self._mine(each)
        if row:
            row.claimed, row.due_at = False, now
        return row is not None

    def _settle(self, each: Delivery, verdict: Verdict) -> bool:
        row = self._mine(each)
        if row is None:
            return False
        match verdict:
            case RetryAt(due_at):
                row.claimed, row.due_at = False, due_at
            case Delivered() | Dead():
                del self.pending[each.event_id]
        return True


class FakeClient:
    async def close(self) -> None:
        pass


class LaneMachine(RuleBasedStateMachine):
    """Every rule is something that happens to a lane."""

    @initialize()
    def begin(self) -> None:
        self.loop = Loop()
        self.store = FakeStore(self.clock)
        self.attempts: list[tuple[Delivery, Future[Outcome]]] = []
        self.most = 0
        self.number = 0
        self.patches: list[Any] = [
            patch.object(lane_module, "attempt", self.attempt),
            patch.object(batch_attempt, "attempt", self.attempt),
            patch.object(queue, "MAX_LENGTH", SHORT_QUEUE),
        ]
        for each in self.patches:
            each.start()
        self.lane = self.run(self.new_lane)
        self.run(lambda: self.lane.use(BOT))
        self.answer(busy=False)  # the first claim: from now on deliveries are claimed at insert

    def new_lane(self) -> Lane:
        return Lane(
            BOT,
            store=cast(Store, self.store),
            emit=lambda _signal: None,
            clock=self.clock,
            new_client=lambda: cast(Any, FakeClient()),
        )

    def clock(self) -> datetime:
        return START + timedelta(seconds=self.loop.time())

    def run(self, call: Callable[[], Any] = lambda: None) -> Any:
        """Make a call in the loop, and let everything happen that follows from it at once."""

        async def main() -> Any:
            result = call()
            for _ in range(20):
                await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(main())

    async def attempt(self, each: Delivery, renderer: Renderer, **_how: Any) -> Outcome:
        future: Future[Outcome] = self.loop.create_future()
        self.attempts.append((each, future))
        self.most = max(self.most, sum(not future.done() for _, future in self.attempts))
        target = renderer.target
        try:
            return await asyncio.wait_for(future, target.timeout.total_seconds())
        except TimeoutError:
            return Outcome(reason=Reason.TIMEOUT, started_at=self.clock(), took=target.timeout)

    # ---- what may happen

    @rule(number=st.integers(1, 6), answered=st.booleans())
    def arrive(self, number: int, answered: bool = True) -> None:
        """A webhook with so many events; the store commits it before any claim that begins later."""

        def keep() -> None:
            leases: list[timedelta | None] = []
            new = []
            for _ in range(number):
                self.number += 1
                leases.append(self.lane.lease(2, more=any(leases)))
                new.append(delivery(event_id=f"event-{self.number:04}", received_at=now, pending_since=now))
            kept = self.store.keep(new, leases)
            kept.add_done_callback(lambda kept: self.admit(leases, None if kept.exception() else kept.result()))

        now = self.clock()
        self.run(keep)
        if answered:
            self.answer_all()

    def admit(self, leases: Sequence[timedelta | None], claimed: Sequence[Delivery] | None) -> None:
        self.lane.unreserve([2] * sum(lease is not None for lease in leases))
        if claimed:
            self.lane.admit(claimed)

    @precondition(lambda self: self.attempts)
    @rule(status=st.sampled_from([200, 400, 500, 503]), retry_after=st.sampled_from([None, 20]), every=st.booleans())
    def end_attempts(self, status: int, retry_after: int | None = None, every: bool = True) -> None:
        """The first that is in flight, or every one; what follows from one is seen before the next one ends."""
        reason = Reason.OK if status == 200 else Reason.SERVER_ERROR
        after = timedelta(seconds=retry_after) if retry_after else None
        outcome = Outcome(reason=reason, started_at=self.clock(), took=timedelta(), status=status, retry_after=after)
        for _ in range(len(self.attempts) if every else 1):
            _, future = self.attempts.pop(0)
            if not future.done():
                future.set_result(outcome)
                self.run()

    @precondition(lambda self: self.store.calls)
    @rule(busy=st.sampled_from([False] * 7 + [True]))
    def answer(self, busy: bool = False) -> None:
        self.run(lambda: self.store.answer(busy=busy))

    @rule()
    def answer_all(self) -> None:
        while self.store.calls:
            self.answer(busy=False)

    @rule(on=st.booleans())
    def pause(self, on: bool) -> None:
        self.run(lambda: self.lane.pause(on=on))

    @rule()
    def probe(self) -> None:
        self.run(self.lane.probe)

    @rule(rate=st.sampled_from([None, RATE]), concurrency=st.sampled_from([2, 1]), batch=st.sampled_from([None, BATCH]))
    def reload(self, rate: float | None, concurrency: int = 2, batch: Batch | None = None) -> None:
        self.run(lambda: self.lane.use(replace(BOT, rate=rate, concurrency=concurrency, batch=batch)))

    @rule(part=st.sampled_from([(1, 1), (1, 2), (3, 3)]))
    def divide(self, part: tuple[int, int]) -> None:
        self.store.part = part
        self.run(self.lane.update_share)

    @rule(seconds=st.sampled_from([0.3, 3.0, 30.0]))
    def pass_time(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self.run()

    # ---- what holds

    @invariant()
    def what_is_queued_may_be_sent(self) -> None:
        if hasattr(self, "lane"):
            states, queued = self.lane._states, len(self.lane._queue)
            assert not queued or states.keeps_queue
            assert queued <= 1 or states.circuit is Health.OK, "one probe"
            assert self.most <= BOT.concurrency

    @rule()
    def calm(self) -> None:
        """The store answers, the target too."""
        rounds = 0
        while self.store.calls or self.attempts:
            rounds += 1
            assert rounds < 1_000, "it never comes to rest"
            self.answer_all()
            if self.attempts:
                self.end_attempts(status=200)

    def all_is_delivered_once_all_is_well(self) -> None:
        self.divide((1, 1))
        self.pause(on=False)
        self.calm()
        # the longest pause of a circuit, or of a retry, a slot of the rate for each, and something to spare
        until = self.loop.time() + 1.5 * LONGEST_PAUSE.total_seconds() + len(self.store.pending) / RATE
        if self.store.last_claim_was_busy:
            until += prefetch.LOOK_AGAIN.total_seconds()
        while self.loop.time() < until:
            self.calm()
            if not self.store.pending:
                break
            self.pass_time(0.5)
        assert not self.store.pending, f"forgotten in {self.lane._states.backlog}"

    def teardown(self) -> None:
        if not hasattr(self, "lane"):
            return
        try:
            self.all_is_delivered_once_all_is_well()
            self.loop.run_until_complete(self.lane.stop(timedelta()))
        finally:
            for each in self.patches:
                each.stop()
            self.loop.close()


MANY = settings(
    max_examples=400,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_no_state_is_reachable_in_which_due_work_is_forgotten() -> None:
    with patch.object(prefetch, "LOOK_AGAIN", timedelta(minutes=10)):
        run_state_machine_as_test(LaneMachine, settings=MANY)


# ---- the known traps, one by one

Script = Callable[[LaneMachine], object]


def resumed(lane: LaneMachine) -> None:
    lane.pause(on=True)
    lane.arrive(3)
    lane.pause(on=False)


def closed_again(lane: LaneMachine) -> None:
    lane.arrive(4)
    lane.end_attempts(500)
    lane.answer_all()


def probed_for_an_operator(lane: LaneMachine) -> None:
    lane.arrive(4)
    lane.end_attempts(503, retry_after=20)
    lane.answer_all()
    lane.probe()
    lane.calm()
    assert len(lane.store.pending) == 2, "those that asked the target before are due later"


def the_probe_was_given_back(lane: LaneMachine) -> None:
    lane.arrive(4)
    lane.end_attempts(500)
    lane.reload(None)
    lane.answer_all()
    lane.reload(RATE)
    lane.end_attempts(500)
    lane.answer_all()
    lane.pass_time(3.0)
    lane.answer_all()
    lane.pause(on=True)


def released_late(lane: LaneMachine) -> None:
    """The store is busy, and a claim overtakes the release."""
    lane.arrive(6)
    lane.pause(on=True)
    lane.answer(busy=True)
    lane.pause(on=False)
    lane.answer()
    lane.pass_time(0.3)


def due_while_the_queue_is_full(lane: LaneMachine) -> None:
    lane.arrive(1)
    lane.end_attempts(500)
    lane.answer_all()
    lane.arrive(6)
    lane.pass_time(3.0)


def kept_while_a_claim_is_under_way(lane: LaneMachine) -> None:
    lane.arrive(6)
    lane.reload(None)
    lane.arrive(6, answered=False)
    lane.answer_all()


def kept_while_the_queue_is_full(lane: LaneMachine) -> None:
    lane.arrive(6)
    lane.arrive(3)


def kept_while_the_circuit_is_open(lane: LaneMachine) -> None:
    lane.arrive(1)
    lane.end_attempts(503, retry_after=20)
    lane.answer_all()
    lane.arrive(3)


def a_retry_falls_due_while_the_circuit_is_open(lane: LaneMachine) -> None:
    lane.arrive(4)
    lane.end_attempts(500, every=False)
    lane.end_attempts(503, retry_after=20)
    lane.answer_all()


def opened_by_a_delivery_that_died(lane: LaneMachine) -> None:
    lane.run(lambda: lane.lane.use(replace(BOT, retry=replace(BOT.retry, attempts=1))))
    lane.arrive(4)
    lane.end_attempts(503, retry_after=20)
    lane.answer_all()


def due_later_since_before_the_start(lane: LaneMachine) -> None:
    due_at = START + timedelta(seconds=30)
    lane.store.pending["early"] = Row(delivery(event_id="early", received_at=START, pending_since=START), due_at)
    lane.reload(None)


def kept_after_the_store_was_busy(lane: LaneMachine) -> None:
    """Nobody has to wait for the timer once a webhook has come."""
    lane.store.pending["early"] = Row(delivery(event_id="early", received_at=START, pending_since=START), START)
    lane.reload(None)
    lane.answer(busy=True)
    lane.store.last_claim_was_busy = False
    lane.arrive(1)


def shared_again(lane: LaneMachine) -> None:
    lane.divide((3, 3))
    lane.arrive(3)


def gathering_when_the_circuit_opens(lane: LaneMachine) -> None:
    lane.reload(None, batch=BATCH)
    lane.answer_all()
    lane.arrive(5)
    lane.end_attempts(503, retry_after=20)
    lane.answer_all()


def half_of_a_batch_is_left_when_a_reload_comes(lane: LaneMachine) -> None:
    lane.reload(None, batch=BATCH)
    lane.answer_all()
    lane.arrive(3)
    lane.end_attempts(400)
    lane.reload(RATE, batch=BATCH)
    lane.end_attempts(200)


def a_batch_expires_in_the_queue(lane: LaneMachine) -> None:
    lane.reload(RATE, batch=BATCH)
    lane.answer_all()
    lane.arrive(5)
    lane.pass_time(20_000.0)


def expired_in_the_queue(lane: LaneMachine) -> None:
    lane.reload(RATE)
    lane.arrive(6)
    lane.pass_time(20_000.0)


@pytest.mark.parametrize(
    "trap",
    [
        resumed,
        closed_again,
        probed_for_an_operator,
        the_probe_was_given_back,
        released_late,
        due_while_the_queue_is_full,
        kept_while_a_claim_is_under_way,
        kept_while_the_queue_is_full,
        kept_while_the_circuit_is_open,
        a_retry_falls_due_while_the_circuit_is_open,
        opened_by_a_delivery_that_died,
        due_later_since_before_the_start,
        kept_after_the_store_was_busy,
        shared_again,
        gathering_when_the_circuit_opens,
        half_of_a_batch_is_left_when_a_reload_comes,
        a_batch_expires_in_the_queue,
        expired_in_the_queue,
    ],
    ids=lambda trap: trap.__name__,
)
def test_due_work_is_not_forgotten_when(trap: Script) -> None:
    with patch.object(prefetch, "LOOK_AGAIN", timedelta(hours=10)):
        lane = LaneMachine()
        lane.begin()
        try:
            trap(lane)
        finally:
            lane.teardown()
