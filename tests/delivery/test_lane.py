"""`relay.delivery.lane` with a real store and real targets: retries, the circuit, bounds, and the end."""

import asyncio
import random
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import pytest
from aiohttp import web

from relay.delivery import prefetch, verdicts
from relay.delivery.queue import MAX_BYTES, MAX_LENGTH
from relay.delivery.retry import decide
from relay.delivery.settlements import Settlements
from relay.errors import StoreBusy, StoreFailed
from relay.model import Delivery, Format, Health, Secret, State, Verdict
from relay.signals import CircuitClosed, CircuitOpened, ClaimLost
from tests.delivery.bench import Bench, event_id, now
from tests.delivery.conftest import SECOND, Receiver, Request, every, target
from tests.e2e.processes import until

HOUR = timedelta(hours=1)

Start = Callable[..., Awaitable[Receiver]]


def to(receiver: Receiver, **changes: Any) -> Any:
    return target(url=receiver.url, **{"retry": every(10), "timeout": 10 * SECOND, "breaker_failures": 1000} | changes)


def failing_first(times: int, status: int = 503) -> Callable[[Request], int]:
    return lambda request: status if request.attempt <= times else 200


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Nothing is committed meanwhile."""
    with closing(apsw.Connection(str(store))) as other:
        other.set_busy_timeout(5_000)  # the dispatcher writes now and then
        other.execute("begin immediate")
        yield
        other.execute("rollback")


# ---- one delivery


async def test_503_twice_and_then_200_makes_three_attempts(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(failing_first(2))
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.keep([1])
        await bench.until_attempted(3)
        record = await bench.delivery(1)
    assert record.state is State.DELIVERED
    assert [(a.number, a.verdict, a.status) for a in record.attempts] == [
        (1, "retry", 503),
        (2, "retry", 503),
        (3, "delivered", 200),
    ]
    assert [(r.event_id, r.attempt) for r in receiver.requests] == [(event_id(1), n) for n in (1, 2, 3)]


async def test_format_form_is_what_amocrm_sent_or_would_have_sent_of_each_event(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers(lambda _request: 200)
    async with Bench(tmp_path, to(receiver, format=Format.FORM, concurrency=1)) as bench:
        await bench.keep([1], body=b"leads%5Badd%5D%5B0%5D%5Bid%5D=1")
        await bench.keep([2, 3], body=b"leads%5Badd%5D%5B0%5D%5Bid%5D=2&leads%5Badd%5D%5B1%5D%5Bid%5D=3")
        await bench.until_attempted(3)
    sent = [request.body for request in sorted(receiver.requests, key=lambda request: request.event_id)]
    assert sent == [b"leads%%5Badd%%5D%%5B0%%5D%%5Bid%%5D=%d" % lead for lead in (1, 2, 3)]


async def test_400_makes_it_dead_and_says_why(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda _request: web.Response(status=400, text="no such field"))
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.keep([1])
        await bench.until_attempted(1)
        record = await bench.delivery(1)
    assert (record.state, record.why) == (State.DEAD, "answered 400, which is in dead_on")
    assert [attempt.detail for attempt in record.attempts] == ["no such field"]


async def test_retry_after_is_honoured(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda _request: web.Response(status=429, headers={"retry-after": "90"}))
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.keep([1])
        await bench.until_attempted(1)
        record = await bench.delivery(1)
    assert record.due_at is not None
    pause = record.due_at - record.attempts[0].started_at
    assert timedelta(seconds=90) <= pause < timedelta(seconds=92)


async def test_a_fault_of_ours_is_an_attempt_that_failed_and_the_lane_goes_on(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    broken = to(receiver, secrets=(Secret("not base64"),))
    async with Bench(tmp_path, broken) as bench:
        await bench.keep([1])
        await bench.until_attempted(2)
        assert bench.attempted[0].outcome.detail.startswith("the relay failed")
        bench.use(to(receiver, secrets=(Secret(b64encode(b"k" * 32).decode()),)))
        await bench.until_none_pending()
    assert len(receiver.requests) == 1


async def test_a_look_during_which_something_was_kept_is_not_the_last_one(tmp_path: Path, receivers: Start) -> None:
    answers = iter([web.Response(status=500, headers={"retry-after": "3600"})])
    receiver = await receivers(lambda _request: next(answers, 200))
    async with Bench(tmp_path, to(receiver, breaker_failures=1, retry=replace(every(200), max=HOUR))) as bench:
        bench.stop_polling()
        claim, probes = bench.store.claim, 0

        async def slow(*asked: Any, **more: Any) -> list[Delivery]:
            nonlocal probes
            claimed = await claim(*asked, **more)
            probes += bench.dispatcher.health() == {"bot": Health.OPEN}
            if probes == 1:
                await bench.keep([2])  # the circuit is open, so this goes to the store
            return claimed

        bench.store.claim = slow
        await bench.keep([1])
        await bench.until(lambda: len(bench.attempted) == 2)
    assert [(r.event_id, r.attempt) for r in receiver.requests] == [(event_id(1), 1), (event_id(2), 1)]


async def test_what_falls_due_while_there_is_no_room_is_looked_for_once_there_is(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers(failing_first(1))
    async with Bench(tmp_path, to(receiver, concurrency=1, retry=every(300))) as bench:
        await bench.keep([1])
        await bench.until_attempted(1)
        bench.stop_polling()
        receiver.answer = lambda _request: 200
        receiver.gate.clear()
        await bench.keep([2])
        await receiver.until(lambda r: r.in_flight == 1)
        await bench.keep([3], payload=b"x" * MAX_BYTES)  # the queue takes no more
        await asyncio.sleep(0.5)  # the retry falls due
        receiver.gate.set()
        await bench.until_none_pending()
    assert [(r.event_id, r.attempt) for r in receiver.requests[1:]] == [
        (event_id(2), 1),
        (event_id(3), 1),
        (event_id(1), 2),
    ]


async def test_a_look_at_a_busy_store_is_made_up_for_though_nobody_asks(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "LOOK_AGAIN", timedelta(seconds=0.2))
    looks = [StoreBusy("not now"), StoreBusy("nor now"), None, None]

    async def busy_at_first(*_asked: object, **_more: object) -> list[Delivery]:
        if error := looks.pop(0):
            raise error
        return []

    async with Bench(tmp_path, to(await receivers())) as bench:
        bench.stop_polling()
        monkeypatch.setattr(bench.store, "claim", busy_at_first)
        bench.dispatcher._lanes["bot"].refill()
        await until(lambda: len(looks) < 2)


async def test_a_settled_attempt_waits_for_a_busy_store_and_is_not_made_again(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.keep([1])
        await receiver.until(lambda r: r.in_flight == 1)
        with locked(bench.path):
            receiver.gate.set()
            await asyncio.sleep(4.0)  # the store itself waits for 1 s
        await bench.until_attempted(1)
        record = await bench.delivery(1)
    assert record.state is State.DELIVERED
    assert [attempt.number for attempt in record.attempts] == [1]
    assert len(receiver.requests) == 1
    [attempted] = bench.attempted
    assert attempted.lag is not None and attempted.lag < 3 * SECOND, "the lag ends with the answer, not with the commit"


async def test_the_target_need_not_wait_for_the_store_but_what_is_unsettled_is_bounded(
    tmp_path: Path, receivers: Start
) -> None:
    unsettled: list[int] = []

    def answer(_number: int) -> int:
        unsettled.append(len(receiver.requests) - len(bench.attempted))
        return 200

    receiver = await receivers(answer)
    async with Bench(tmp_path, to(receiver, concurrency=3)) as bench:
        await bench.keep(range(1, 101))
        await bench.until_attempted(20)
        with locked(bench.path):
            await until(lambda: max(unsettled) >= 2 * 3)
            await asyncio.sleep(4.0)  # the store itself waits for 1 s
        await bench.until_none_pending()
        assert {d.attempt for d in await bench.deliveries()} == {1}
    assert len(receiver.requests) == 100
    assert max(unsettled) == 2 * 3, "in flight or unsettled"
    assert receiver.most_in_flight == 3


# ---- bounds


async def test_concurrency_is_used_and_never_exceeded(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda request: 503 if request.attempt == 1 and random.random() < 0.3 else 200)
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=3)) as bench:
        for number in range(1, 61):
            await bench.keep([number])
        await receiver.until(lambda r: r.in_flight == 3)
        receiver.gate.set()
        await bench.until_none_pending()
    assert receiver.most_in_flight == 3


@pytest.mark.parametrize(("before", "after"), [(2, 5), (5, 2)])
async def test_a_new_concurrency_holds_at_once(tmp_path: Path, receivers: Start, before: int, after: int) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=before)) as bench:
        await bench.keep([0])
        await receiver.until(lambda r: r.in_flight == 1)
        await bench.keep(range(1, MAX_LENGTH + 50))  # all of them queued: nothing but the reload can hire
        await receiver.until(lambda r: r.in_flight == before)
        bench.use(to(receiver, concurrency=after))
        if after > before:
            await receiver.until(lambda r: r.in_flight == after)
        begun = len(receiver.requests)
        receiver.gate.set()
        await bench.until_attempted(begun)
        receiver.most_in_flight = 0
        await bench.until_none_pending()
    assert receiver.most_in_flight == after


async def test_after_a_reload_that_allows_fewer_the_next_delivery_goes_at_once(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver, concurrency=4)) as bench:
        await bench.keep(range(4))
        await bench.until_attempted(4)
        bench.stop_polling()
        bench.use(to(receiver, concurrency=1))
        await asyncio.sleep(0.1)  # it looks into the store, and has seen by now that there is nothing
        await bench.keep([4])
        await bench.until_attempted(5)
    assert receiver.requests[-1].event_id == event_id(4)


async def test_who_waited_for_a_slot_of_rate_when_fewer_were_allowed_holds_up_nobody(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver, concurrency=4, rate=4.0)) as bench:
        await bench.keep(range(3))
        await bench.until_attempted(2)
        bench.stop_polling()
        bench.use(to(receiver, concurrency=1, rate=4.0))
        await bench.until_attempted(3)
        await asyncio.sleep(0.4)  # more than a slot
        await bench.keep([3])
        await bench.until_attempted(4)
    assert receiver.requests[-1].event_id == event_id(3)


async def test_rate_is_kept_and_repeated_attempts_count(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda request: 503 if request.event_id == event_id(7) and request.attempt == 1 else 200)
    async with Bench(tmp_path, to(receiver, rate=100.0)) as bench:
        for number in range(1, 51):
            await bench.keep([number])
        await bench.until_none_pending()
    took = receiver.requests[-1].at - receiver.requests[0].at
    assert len(receiver.requests) == 51
    assert 50 / took / 100.0 < 1.2


async def test_rate_is_kept_evenly(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver, rate=20.0)) as bench:
        begun = asyncio.get_running_loop().time()
        await bench.keep(range(1, 11))
        await bench.until_none_pending()
    late = [request.at - (begun + n / 20) for n, request in enumerate(receiver.requests)]
    assert min(late) > -0.06, "none comes before its slot, but for what the lane may catch up"


async def test_more_than_a_queue_holds_waits_in_the_store_and_is_delivered_once(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, timeout=timedelta(seconds=30))) as bench:
        for first in range(0, 700, 50):
            await bench.keep(range(first, first + 50))
        waiting = [d for d in await bench.deliveries() if not d.claimed]
        assert len(waiting) >= 700 - MAX_LENGTH - 100
        bench.stop_polling()  # the lane claims the rest by itself
        receiver.gate.set()
        await bench.until_none_pending(within=30)
    assert sorted(r.event_id for r in receiver.requests) == [event_id(n) for n in range(700)]


async def test_large_payloads_fill_the_queue_sooner(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    payload = b"x" * 2**20
    # the first attempt is under way for as long as the disk takes for all of them
    async with Bench(tmp_path, to(receiver, concurrency=1, timeout=timedelta(seconds=30))) as bench:
        for number in range(1, 25):
            await bench.keep([number], payload=payload)
        claimed = [d for d in await bench.deliveries() if d.claimed]
        assert len(claimed) <= MAX_BYTES // len(payload) + 1
        receiver.gate.set()
        await bench.until_none_pending(within=30)
    assert [len(r.body) for r in receiver.requests] == [len(payload)] * 24


# ---- the circuit


async def test_the_circuit_of_a_failing_target_opens_it_is_probed_by_one_and_then_gets_everything(
    tmp_path: Path, receivers: Start
) -> None:
    well = False
    receiver = await receivers(lambda _request: 200 if well else 503)
    failures, concurrency, probes = 5, 4, 6
    begun = failures + concurrency - 1  # at most so many before it opens: the last failure, and those in flight
    held = to(receiver, concurrency=concurrency, breaker_failures=failures, retry=every(40))
    async with Bench(tmp_path, held) as bench:
        bench.stop_polling()  # the lane looks by itself
        await bench.keep(range(1, 41))
        await bench.until_attempted(begun + probes)
        untouched = [d for d in await bench.deliveries() if d.attempt == 0]
        asked = len(receiver.requests) + 1  # one may be on its way there
        assert len(untouched) >= 40 - asked, "waiting spends no attempts"
        receiver.most_in_flight = 0
        well = True
        await bench.until_none_pending()
    made = sorted((a.outcome.started_at, a.outcome.started_at + a.outcome.took) for a in bench.attempted)
    pauses = [after[0] - before[1] for before, after in pairwise(made[begun : begun + probes])]
    assert min(pauses) > timedelta(milliseconds=35), "one probe at a time, at the pace of the policy"
    assert receiver.most_in_flight == concurrency, "and then as many as ever"
    gained = {a.delivery.event_id for a in bench.attempted if a.delivery.attempt == 1}
    assert gained == {event_id(n) for n in range(1, 41)}, "every first attempt has number 1"


async def test_a_probe_costs_its_delivery_no_attempt_however_often_it_asks(tmp_path: Path, receivers: Start) -> None:
    well = False
    receiver = await receivers(lambda _request: 200 if well else 503)
    policy = replace(every(10), attempts=3)
    async with Bench(tmp_path, to(receiver, breaker_failures=2, retry=policy)) as bench:
        await bench.keep([1])
        await bench.until_attempted(2 + 6)
        assert await bench.pending() == 1, "two attempts were counted, and then six probes were not"
        well = True
        await bench.until_none_pending()
        [delivery] = await bench.deliveries()
    assert delivery.state is State.DELIVERED


@pytest.mark.parametrize("settled_at_most", [8, 0], ids=["beside", "awaited"])
@pytest.mark.parametrize("status", [200, 503])
async def test_an_attempt_whose_claim_was_lost_is_reported_and_settles_nothing(
    status: int, settled_at_most: int, tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = Settlements.settle
    monkeypatch.setattr(
        Settlements, "settle", lambda *made, most, **how: settle(*made, most=min(most, settled_at_most), **how)
    )
    receiver = await receivers(lambda _request: status)
    async with Bench(tmp_path, to(receiver, retry=every(1))) as bench:
        receiver.gate.clear()
        await bench.keep([1])
        await until(lambda: len(receiver.requests) == 1)
        [stolen] = await bench.store.claim("bot", limit=1, max_bytes=1, now=now() + HOUR, lease=HOUR)
        receiver.gate.set()
        await bench.until_attempted(1)
        [record] = await bench.deliveries()
    assert (record.state, record.claimed, record.attempt) == (State.PENDING, True, stolen.attempt)
    assert [(each.outcome.status, each.lag) for each in bench.attempted] == [(status, None)]
    assert bench.lost == [ClaimLost(target="bot", event=event_id(1), attempt=1)]


async def test_once_the_store_has_failed_no_more_attempts_are_made_than_a_kill_may_repeat(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = await receivers(lambda _request: 200)
    async with Bench(tmp_path, to(receiver, concurrency=2, timeout=10 * SECOND)) as bench:
        receiver.gate.clear()
        await bench.keep(range(1, 101))
        await until(lambda: len(receiver.requests) == 2)
        monkeypatch.setattr(bench.store._writer, "_failure", StoreFailed("the disk failed"))
        receiver.gate.set()
        await until(lambda: len(receiver.requests) == 4)
        await asyncio.sleep(0.2)
        assert len(receiver.requests) == 4


async def test_a_fault_after_an_attempt_holds_up_none_of_the_others(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, fault: faults.append(fault["exception"]))

    def fail_once(delivery: Delivery, *made: Any, **how: Any) -> Verdict:
        if delivery.event_id == event_id(1):
            raise ZeroDivisionError
        return decide(delivery, *made, **how)

    monkeypatch.setattr(verdicts, "decide", fail_once)
    receiver = await receivers(lambda _request: 400)
    async with Bench(tmp_path, to(receiver, concurrency=1)) as bench:
        bench.stop_polling()
        await bench.keep(range(1, 11))
        await until(lambda: len(receiver.requests) == 10)
        await bench.until_attempted(9)
    assert [type(each) for each in faults] == [ZeroDivisionError]


async def test_a_fault_after_a_probe_leaves_the_circuit_open_and_another_probe_closes_it(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, fault: faults.append(fault["exception"]))

    def fail_once(*made: Any, probe: bool, **how: Any) -> Verdict:
        if probe and not faults:
            raise ZeroDivisionError
        return decide(*made, probe=probe, **how)

    monkeypatch.setattr(verdicts, "decide", fail_once)
    receiver = await receivers(lambda _request: 200 if faults else 503)
    async with Bench(tmp_path, to(receiver, concurrency=1, breaker_failures=2, retry=every(20))) as bench:
        await bench.keep(range(1, 6))
        await bench.until_attempted(2 + 4)
        assert await bench.pending() == 1, "the one of the fault, until its lease ends"
        assert bench.dispatcher.health() == {"bot": Health.OK}
    assert [type(each) for each in faults] == [ZeroDivisionError]


async def test_that_the_circuit_opens_and_closes_is_said_once_each(tmp_path: Path, receivers: Start) -> None:
    well = False
    receiver = await receivers(lambda _request: 200 if well else 503)
    async with Bench(tmp_path, to(receiver, breaker_failures=3, retry=every(20))) as bench:
        await bench.keep(range(1, 11))
        await bench.until_attempted(12)
        well = True
        await bench.until_none_pending()
    opened, closed = bench.circuits
    assert isinstance(opened, CircuitOpened)
    assert (opened.target, opened.failures) == ("bot", 3)
    assert closed == CircuitClosed(target="bot", failures=None)


async def test_what_is_kept_while_the_circuit_is_open_waits_in_the_store(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda _request: 503)
    patient = to(receiver, breaker_failures=1, retry=every(60_000))
    async with Bench(tmp_path, patient) as bench:
        await bench.keep([1])
        await bench.until(lambda: bench.dispatcher.health()["bot"] is Health.OPEN)
        await bench.keep([2, 3])
        records = await bench.deliveries()
    assert [(d.claimed, d.attempt) for d in records] == [(False, 1), (False, 0), (False, 0)]
    assert len(receiver.requests) == 1


async def test_what_was_leased_before_the_circuit_opened_is_given_back(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda _request: 503)
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=1, breaker_failures=1, retry=every(60_000))) as bench:
        await bench.keep([1])
        await receiver.until(lambda r: r.in_flight == 1)
        held_back = bench.dispatcher.admit
        late: list[Any] = []
        bench.dispatcher.admit = late.extend  # the commit is on its way while the target fails
        await bench.keep([2])
        assert [d.attempt for d in late] == [1]
        receiver.gate.set()
        await bench.until(lambda: bench.dispatcher.health()["bot"] is Health.OPEN)
        held_back(late)
        await bench.dispatcher.stop(SECOND)
        record = await bench.delivery(2)
    assert (record.claimed, record.attempt, len(receiver.requests)) == (False, 0, 1)


async def test_answers_in_dead_on_open_no_circuit(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda _request: 422)
    async with Bench(tmp_path, to(receiver, breaker_failures=2)) as bench:
        await bench.keep(range(1, 21))
        await bench.until_none_pending()
        assert bench.dispatcher.health() == {"bot": Health.OK}


# ---- the end


async def test_stop_gives_back_what_was_not_begun_and_leaves_what_is_in_flight(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=2, timeout=60 * SECOND)) as bench:
        await bench.keep(range(1, 11))
        await receiver.until(lambda r: r.in_flight == 2)
        start = asyncio.get_running_loop().time()
        await bench.dispatcher.stop(timedelta(milliseconds=50))
        assert asyncio.get_running_loop().time() - start < 20
        records = await bench.deliveries()
    assert [(d.claimed, d.attempt) for d in records] == [(True, 1)] * 2 + [(False, 0)] * 8


async def test_stop_lets_attempts_in_flight_end_and_begins_no_other(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=2)) as bench:
        await bench.keep(range(1, 11))
        await receiver.until(lambda r: r.in_flight == 2)
        stopping = asyncio.create_task(bench.dispatcher.stop(5 * SECOND))
        asyncio.get_running_loop().call_soon(receiver.gate.set)
        await stopping
        states = [d.state for d in await bench.deliveries()]
    assert states == [State.DELIVERED] * 2 + [State.PENDING] * 8
    assert len(receiver.requests) == 2


async def test_stop_waits_until_what_was_attempted_is_settled(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver, concurrency=1)) as bench:
        await bench.keep([1])
        await bench.until_attempted(1)
        receiver.gate.clear()
        await bench.keep([2, 3, 4])
        with locked(bench.path):
            receiver.gate.set()
            await receiver.until(lambda r: len(r.requests) == 3)
            stopping = asyncio.create_task(bench.dispatcher.stop(5 * SECOND))
            await asyncio.sleep(4.0)  # the store itself waits for 1 s
        await stopping
        records = await bench.deliveries()
    assert [(d.state, d.claimed, d.attempt) for d in records] == [
        (State.DELIVERED, False, 1),
        (State.DELIVERED, False, 1),
        (State.DELIVERED, False, 1),
        (State.PENDING, False, 0),
    ]


@pytest.mark.parametrize("seconds", [0.0, 1.4])  # the store itself waits for 1 s; then it is asked again
async def test_once_stopped_nothing_asks_the_store_any_more(tmp_path: Path, receivers: Start, seconds: float) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=2)) as bench:
        await bench.keep(range(6))
        await receiver.until(lambda r: len(r.requests) == 2)  # all six are claimed
        with locked(bench.path):
            receiver.gate.set()
            await receiver.until(lambda r: len(r.requests) == 4)
            await asyncio.sleep(seconds)
            assert lane_tasks()
            await bench.dispatcher.stop(timedelta(milliseconds=100))
            assert not lane_tasks()
            await asyncio.sleep(1.2)
            assert not lane_tasks()


def lane_tasks() -> list[str]:
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if name.partition(".")[0] in {"Lane", "Prefetch", "WorkerPool", "Settlements"}]


async def test_stop_does_not_wait_for_a_slot_of_rate(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver, rate=0.01)) as bench:
        await bench.keep(range(1, 4))
        await bench.until_attempted(1)
        start = asyncio.get_running_loop().time()
        await bench.dispatcher.stop(60 * SECOND)
        assert asyncio.get_running_loop().time() - start < 20
        assert [(d.claimed, d.attempt) for d in await bench.deliveries()] == [(False, 1), (False, 0), (False, 0)]


async def test_what_arrives_after_the_stop_began_is_given_back(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.keep([1])
        await receiver.until(lambda r: r.in_flight == 1)
        stopping = asyncio.create_task(bench.dispatcher.stop(timedelta(milliseconds=100)))
        await asyncio.sleep(0)
        await bench.keep([2])
        await stopping
        assert [(d.claimed, d.attempt) for d in await bench.deliveries()] == [(True, 1), (False, 0)]
