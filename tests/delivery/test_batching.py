"""`relay.delivery.lane` of a target with `batch`: what goes together and when, and the state of each delivery after."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from relay.delivery.batch import batch_id
from relay.model import Batch, Health, Order, State, Target
from relay.store.records import Filter
from tests.delivery import virtual
from tests.delivery.bench import Bench, act, event_id
from tests.delivery.conftest import SECOND, Receiver, Request, every, receiving, target
from tests.delivery.test_corrupt import SPOIL_EVENT_2, spoil
from tests.delivery.virtual import VirtualBench

Start = Callable[..., Awaitable[Receiver]]

LONG = timedelta(minutes=1)
MOMENT = timedelta(milliseconds=50)


def to(receiver: Receiver, *, most: int = 100, within: timedelta = MOMENT, **changes: Any) -> Target:
    policy: dict[str, Any] = {"retry": every(10), "timeout": 5 * SECOND, "breaker_failures": 1000}
    return target(url=receiver.url, batch=Batch(most=most, within=within), **policy | changes)


def payload(number: int) -> bytes:
    return orjson.dumps({"id": event_id(number)})


async def keep(bench: Bench, numbers: Sequence[int], **more: Any) -> None:
    for number in numbers:
        await bench.keep([number], payload=payload(number), **more)


def numbers(request: Request) -> list[int]:
    """The events of a request."""
    return [int(each["id"][-5:]) for each in orjson.loads(request.body)]


def sent(receiver: Receiver) -> list[list[int]]:
    return [numbers(request) for request in receiver.requests]


def paused(bench: Bench) -> None:
    """Until the test resumes it: a poll would find no pause in the store."""
    bench.stop_polling()
    bench.dispatcher.pause({"bot"})


def rejecting(*poison: int, status: int = 400) -> Callable[[Request], int]:
    return lambda request: status if {*poison} & {*numbers(request)} else 200


async def failed_first(bench: Bench, receiver: Receiver, kept: Sequence[int], then: Target) -> None:
    """These are attempted together and fail; `then` are the settings that their retry goes by."""
    receiver.gate.clear()
    await keep(bench, kept)
    await receiver.until(lambda r: r.in_flight == 1)
    bench.use(then)
    receiver.gate.set()
    await bench.until_attempted(len(kept))


async def states(bench: Bench) -> dict[int, State]:
    return {int(each.event_id[-5:]): each.state for each in await bench.deliveries()}


# ---- what goes together


async def test_as_many_as_a_batch_takes_go_at_once_in_order_of_arrival(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver, most=4, within=LONG)) as bench:
        await keep(bench, range(4))
        await bench.until_attempted(4)
        records = [await bench.delivery(number) for number in range(4)]
    [request] = receiver.requests
    assert numbers(request) == [0, 1, 2, 3]
    assert request.event_id == batch_id([event_id(number) for number in range(4)])
    assert [(each.state, [a.number for a in each.attempts]) for each in records] == [(State.DELIVERED, [1])] * 4
    assert [each.outcome.batch for each in bench.attempted] == [4] * 4


async def test_fewer_go_once_the_first_has_waited(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.keep([1, 2, 3])
        await bench.until_attempted(3)
    assert len(receiver.requests) == 1


async def test_one_alone_is_a_list_too(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver)) as bench:
        await keep(bench, [1])
        await bench.until_attempted(1)
    assert sent(receiver) == [[1]]
    assert receiver.requests[0].event_id == batch_id([event_id(1)])


async def test_a_backlog_goes_in_full_batches(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver, most=500, within=SECOND, concurrency=1)) as bench:
        paused(bench)
        for first in range(0, 1000, 100):
            await bench.keep(range(first, first + 100))
        bench.dispatcher.pause(())
        await bench.until_none_pending()
    assert [len(orjson.loads(each.body)) for each in receiver.requests] == [500, 500]


async def wait_times(folder: Path) -> tuple[float, float]:
    """Seconds from arrival to the request: of two that wait for more, and of those that complete a batch."""
    async with receiving() as receiver, VirtualBench(folder, to(receiver, most=4, within=30 * SECOND)) as bench:
        time = asyncio.get_running_loop().time
        await keep(bench, [0])
        await bench.until_attempted(1, within=100)
        began = time()
        await keep(bench, [1])
        await asyncio.sleep(10)
        await keep(bench, [2])
        await bench.until_attempted(3, within=100)
        waited, began = receiver.requests[-1].at - began, time()
        await keep(bench, [3, 4, 5, 6])
        await bench.until_attempted(7, within=100)
        return waited, receiver.requests[-1].at - began


def test_a_batch_waits_as_long_as_it_may_and_no_longer_than_it_has_to(tmp_path: Path) -> None:
    waited, complete = virtual.run(wait_times(tmp_path))
    assert 29.9 < waited < 31
    assert complete < 1


async def test_in_a_list_they_are_in_order_of_arrival_whatever_fell_due_first(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda request: 503 if numbers(request) == [1] else 200)
    async with Bench(tmp_path, to(receiver, most=1)) as bench:
        await failed_first(bench, receiver, [1], to(receiver, most=3, within=LONG))
        await keep(bench, [2, 3])
        await bench.until_attempted(4)
    assert sent(receiver) == [[1], [1, 2, 3]]


async def test_of_an_entity_in_order_one_goes_after_the_other(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver, order=Order.ENTITY)) as bench:
        await keep(bench, [1, 2, 3], lead=lambda number: 7 if number < 3 else 8)
        await bench.until_attempted(3)
    assert all(not {1, 2} <= {*each} for each in sent(receiver))
    order = [number for each in sent(receiver) for number in each]
    assert order.index(1) < order.index(2)


async def test_a_replay_says_so(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver, most=2)) as bench:
        await keep(bench, [1])
        await bench.until_attempted(1)
        await bench.store.replay(Filter(states=(State.DELIVERED,)), act())
        await keep(bench, [2])
        await bench.until_attempted(3)
    with_1 = [request for request in receiver.requests if 1 in numbers(request)]
    assert [request.replay for request in with_1] == [False, True]


# ---- what may not go together


async def test_a_corrupt_one_is_dead_alone_and_the_others_are_delivered(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver)) as bench:
        paused(bench)
        await keep(bench, [1, 2, 3])
    spoil(tmp_path, SPOIL_EVENT_2)
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.until_none_pending()
        seen = await states(bench)
    assert seen == {1: State.DELIVERED, 2: State.DEAD, 3: State.DELIVERED}
    assert sorted(number for each in sent(receiver) for number in each) == [1, 3]


async def test_a_large_event_is_in_no_list_with_others(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    large = orjson.dumps({"id": event_id(2), "data": "x" * 1_100_000})
    async with Bench(tmp_path, to(receiver, concurrency=1)) as bench:
        paused(bench)
        await keep(bench, [1])
        await bench.keep([2], payload=large)
        await keep(bench, [3])
        bench.dispatcher.pause(())
        await bench.until_none_pending()
    assert [2] in sent(receiver)
    assert sorted(number for each in sent(receiver) for number in each) == [1, 2, 3]


async def test_batches_that_are_complete_go_side_by_side(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver, most=1)) as bench:
        await keep(bench, [0])
        await bench.until_attempted(1)  # from now on deliveries are claimed at insert
        bench.use(to(receiver, within=LONG))
        bench.stop_polling()  # which wakes those that wait, too
        receiver.gate.clear()
        await bench.keep([1, 2, 3], payload=b'{"data":"%s"}' % (b"x" * 1_100_000))
        await receiver.until(lambda r: r.in_flight == 3)
        receiver.gate.set()
        await bench.until_attempted(4)
    assert [len(orjson.loads(each.body)) for each in receiver.requests] == [1, 1, 1, 1]


# ---- answers


async def test_one_that_is_rejected_is_dead_alone(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(rejecting(5))
    async with Bench(tmp_path, to(receiver, most=16, within=LONG)) as bench:
        await keep(bench, range(16))
        await bench.until_attempted(16)
        seen = await states(bench)
        record = await bench.delivery(5)
    assert seen == {number: State.DEAD if number == 5 else State.DELIVERED for number in range(16)}
    assert [number for each in sent(receiver) for number in each if each == [number]] == [4, 5]
    assert len(receiver.requests) == 9
    assert {request.attempt for request in receiver.requests} == {1}
    assert (record.why, [(a.number, a.status) for a in record.attempts]) == (
        "answered 400, which is in dead_on",
        [(1, 400)],
    )


async def test_a_request_whose_halves_are_sent_is_announced_though_it_is_no_attempt(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers(rejecting(3))
    async with Bench(tmp_path, to(receiver, most=4, within=LONG)) as bench:
        await keep(bench, range(4))
        await bench.until_attempted(4)
    assert [(each.target, each.deliveries, each.outcome.status) for each in bench.divided] == [
        ("bot", 4, 400),
        ("bot", 2, 400),
    ]
    assert [each.webhook_id for each in bench.divided] == [
        request.event_id for request in receiver.requests if len(numbers(request)) > 1 and 3 in numbers(request)
    ]


async def test_what_is_too_large_together_is_delivered_in_parts_even_if_413_is_retried(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers(lambda request: 413 if len(numbers(request)) > 3 else 200)
    async with Bench(tmp_path, to(receiver, most=10, within=LONG, dead_on=frozenset())) as bench:
        await keep(bench, range(10))
        await bench.until_attempted(10)
        seen = await states(bench)
    assert set(seen.values()) == {State.DELIVERED}
    assert sent(receiver) == [[*range(10)], [*range(5)], [0, 1], [2, 3, 4], [*range(5, 10)], [5, 6], [7, 8, 9]]


async def test_a_failure_is_each_ones_own_and_the_next_batch_may_be_another(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda request: 503 if len(receiver.requests) == 1 else 200)
    async with Bench(tmp_path, to(receiver, most=2, within=LONG)) as bench:
        await failed_first(bench, receiver, [1, 2], to(receiver, most=3, within=LONG))
        await keep(bench, [3])
        await bench.until_attempted(5)
        records = [await bench.delivery(number) for number in (1, 2, 3)]
    assert sent(receiver) == [[1, 2], [1, 2, 3]]
    assert receiver.requests[1].attempt == 2, "the highest"
    assert [[a.number for a in each.attempts] for each in records] == [[1, 2], [1, 2], [1]]
    assert {each.state for each in records} == {State.DELIVERED}


async def test_a_policy_that_ends_for_one_does_not_end_for_the_others(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda request: 503 if len(receiver.requests) <= 2 else 200)
    policy = replace(every(10), attempts=2)
    async with Bench(tmp_path, to(receiver, most=1, retry=policy)) as bench:
        await failed_first(bench, receiver, [1], to(receiver, most=2, within=LONG, retry=policy))
        await keep(bench, [2])
        await bench.until_attempted(3)
        before = await states(bench)
        bench.use(to(receiver, most=1, retry=policy))
        await bench.until_attempted(4)
        seen = await states(bench)
    assert before == {1: State.DEAD, 2: State.PENDING}
    assert seen == {1: State.DEAD, 2: State.DELIVERED}


# ---- circuit, pause, limits


async def test_the_probe_goes_alone_and_at_once(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda request: 503 if len(receiver.requests) == 1 else 200)
    bot = to(receiver, most=3, within=LONG, breaker_failures=1, retry=every(50))
    async with Bench(tmp_path, bot) as bench:
        await keep(bench, [1, 2, 3])
        await bench.until_attempted(4)
        assert len(sent(receiver)[1]) == 1
        bench.use(replace(bot, batch=Batch(most=2, within=LONG)))
        await bench.until_attempted(6)
        seen = await states(bench)
    assert [len(each) for each in sent(receiver)] == [3, 1, 2]
    assert set(seen.values()) == {State.DELIVERED}


async def test_halves_are_not_sent_once_the_circuit_is_open(tmp_path: Path, receivers: Start) -> None:
    answers = iter([400, 503])
    receiver = await receivers(lambda _request: next(answers, 200))
    bot = to(receiver, most=4, within=LONG, breaker_failures=1, retry=every(60_000))
    async with Bench(tmp_path, bot) as bench:
        await keep(bench, range(4))
        await bench.until_reported("bot", Health.OPEN)
        records = [await bench.delivery(number) for number in range(4)]
        assert sent(receiver) == [[0, 1, 2, 3], [0, 1]]
        assert [len(each.attempts) for each in records] == [1, 1, 0, 0]
        assert [each.state for each in records] == [State.PENDING] * 4
        bench.use(replace(bot, retry=every(10), batch=Batch(most=4, within=MOMENT)))
        await bench.until_attempted(4)
    assert sent(receiver)[2] == [2, 3]


async def test_a_pause_between_two_halves_gives_the_rest_back(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(rejecting(3))
    async with Bench(tmp_path, to(receiver, most=4, within=LONG)) as bench:
        receiver.gate.clear()
        await keep(bench, range(4))
        await receiver.until(lambda r: r.in_flight == 1)
        paused(bench)
        receiver.gate.set()
        await bench.until(lambda: not bench.dispatcher._lanes["bot"].in_flight)
        assert len(receiver.requests) == 1
        bench.dispatcher.pause(())
        await bench.until_attempted(4)
        seen = await states(bench)
    assert seen == {0: State.DELIVERED, 1: State.DELIVERED, 2: State.DELIVERED, 3: State.DEAD}


async def test_what_gathers_goes_back_when_the_target_is_paused(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver, most=3, within=LONG)) as bench:
        await keep(bench, [0, 1])
        paused(bench)
        await keep(bench, [2])
        bench.dispatcher.pause(())
        await bench.until_attempted(3)
    assert [sorted(each) for each in sent(receiver)] == [[0, 1, 2]]


async def test_concurrency_counts_requests(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, most=3, within=LONG, concurrency=2)) as bench:
        await keep(bench, range(9))
        await receiver.until(lambda r: r.in_flight == 2)
        assert len(bench.dispatcher._lanes["bot"].in_flight) == 6
        receiver.gate.set()
        await bench.until_attempted(9)
    assert receiver.most_in_flight == 2
    assert [len(each) for each in sent(receiver)] == [3, 3, 3]


async def paced(folder: Path) -> list[float]:
    """When the requests came, one every ten seconds, of which the first is halved."""
    async with receiving(rejecting(1)) as receiver:
        bot = to(receiver, most=4, within=SECOND, rate=0.1)
        async with VirtualBench(folder, bot) as bench:
            await keep(bench, range(8))
            await bench.until_attempted(8, within=200)
            return [request.at for request in receiver.requests]


def test_rate_counts_requests_and_halves_are_requests(tmp_path: Path) -> None:
    times = virtual.run(paced(tmp_path))
    assert len(times) == 6
    assert all(after - before > 9.9 for before, after in itertools.pairwise(times))


# ---- reloads


async def test_without_batch_what_gathered_goes_one_by_one(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    bot = to(receiver, within=LONG)
    async with Bench(tmp_path, bot) as bench:
        await keep(bench, [1, 2])
        bench.use(replace(bot, batch=None))
        await bench.until_attempted(2)
    assert sorted(request.event_id for request in receiver.requests) == [event_id(1), event_id(2)]
    assert [each.outcome.batch for each in bench.attempted] == [None, None]


async def test_reloads_that_change_nothing_do_not_make_a_batch_wait_again(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    bot = to(receiver, within=timedelta(milliseconds=400))
    async with Bench(tmp_path, bot) as bench:
        await keep(bench, [1])

        async def reload() -> None:
            while True:
                bench.use(bot)
                await asyncio.sleep(0.1)

        reloading = asyncio.create_task(reload())
        await bench.until_attempted(1)
        reloading.cancel()
    assert sent(receiver) == [[1]]


async def test_what_is_left_of_a_batch_goes_by_new_settings(tmp_path: Path, receivers: Start) -> None:
    before, after = await receivers(rejecting(1)), await receivers(rejecting(1))
    async with Bench(tmp_path, to(before, most=4, within=LONG)) as bench:
        before.gate.clear()
        await keep(bench, range(4))
        await before.until(lambda r: r.in_flight == 1)
        bench.use(to(after, most=4, within=LONG))
        before.gate.set()
        await bench.until_attempted(4)
        seen = await states(bench)
    assert sent(before) == [[0, 1, 2, 3]]
    assert sent(after)[0] == [0, 1, 2, 3]
    assert seen == {0: State.DELIVERED, 1: State.DEAD, 2: State.DELIVERED, 3: State.DELIVERED}


async def test_what_is_left_of_a_batch_goes_back_when_the_relay_stops(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(rejecting(1))
    async with Bench(tmp_path, to(receiver, most=4, within=LONG)) as bench:
        receiver.gate.clear()
        await keep(bench, range(4))
        await receiver.until(lambda r: r.in_flight == 1)
        stopping = asyncio.create_task(bench.dispatcher.stop(5 * SECOND))
        await asyncio.sleep(0)
        receiver.gate.set()
        await stopping
        records = await bench.deliveries()
    assert len(receiver.requests) == 1
    assert [(each.state, each.claimed) for each in records] == [(State.PENDING, False)] * 4
