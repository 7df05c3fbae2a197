"""`relay.delivery.batch`: what goes together, under which id, and how a batch is halved if the target rejects it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery import batch as batches
from relay.delivery.batch import MAX_BYTES, as_one, batch_id, compose, divides, fits, halves, requests_to_find_one
from relay.delivery.batch_attempt import attempt_in_parts
from relay.delivery.lease import MARGIN, lease_for
from relay.delivery.queue import LONGEST
from relay.delivery.relay_share import SHORTEST_QUEUE, Share, share_of
from relay.delivery.request import render
from relay.model import Batch, Delivery, Outcome, Reason
from tests.delivery.conftest import NOON, delivery, outcome, target

OK = outcome(Reason.OK, status=200)
REJECTED = outcome(Reason.CLIENT_ERROR, status=400)
TOO_LARGE = outcome(Reason.CLIENT_ERROR, status=413)
BUSY = outcome(Reason.SERVER_ERROR, status=503)


def some(count: int) -> list[Delivery]:
    return [delivery(event_id=f"event-{number}", payload=b'{"id":%d}' % number) for number in range(count)]


# ---- what goes in one request


kinds = st.sampled_from([{"payload": b"{}"}, {"payload": b""}, {"payload": b"{", "corrupt": True}])
sizes = st.integers(1, 40).map(lambda size: {"payload": b"x" * size})
queues = st.lists(st.one_of(kinds, sizes, sizes).map(lambda changes: delivery(**changes)), max_size=12)


@given(queued=queues, most=st.integers(1, 8))
def test_the_first_ones_go_together_as_far_as_they_may(queued: list[Delivery], most: int) -> None:
    def together(part: Sequence[Delivery]) -> bool:
        alone = len(part) == 1
        small = sum(len(each.payload) for each in part) <= 100
        return len(part) <= most and (alone or (small and all(map(fits, part))))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "MAX_BYTES", 100)
        count = compose(queued, most)
    assert (count > 0) == bool(queued)
    assert not count or together(queued[:count])
    assert count == len(queued) or not together(queued[: count + 1])


def test_a_megabyte_is_the_limit_and_a_larger_event_goes_alone() -> None:
    half = delivery(payload=b"x" * (MAX_BYTES // 2))
    large = delivery(payload=b"x" * (MAX_BYTES + 1))
    assert compose([half, half, half], 100) == 2
    assert compose([large, half], 100) == 1


# ---- what stands for it


def test_it_is_the_json_list_of_its_events_with_the_highest_attempt_number() -> None:
    first, second = some(2)
    whole = as_one([replace(first, attempt=2), replace(second, attempt=7)])
    request = render(whole, target(batch=Batch()), now=NOON)
    assert orjson.loads(request.body) == [{"id": 0}, {"id": 1}]
    assert request.all_headers["webhook-id"] == batch_id(["event-0", "event-1"])
    assert request.all_headers["relay-attempt"] == "7"
    assert request.all_headers["content-type"] == "application/json"
    assert "relay-replay" not in request.all_headers


def test_it_is_a_replay_if_one_of_its_events_is_replayed() -> None:
    first, second = some(2)
    assert as_one([first, replace(second, replay=True)]).replay


def test_its_id_is_the_documented_one_and_tells_the_order() -> None:
    ids = ["0199b3d0-1f2e-7a61-9c55-4d0e8f7a2b13", "0199b3d0-1f2e-7a61-9c55-4d0e8f7a2b14"]
    assert batch_id(ids) == "2edd379f-d85d-5ae2-8f62-9217dad5e919"
    assert batch_id(ids[::-1]) != batch_id(ids)
    assert batch_id(ids[:1]) != ids[0]


# ---- which answers divide it


@pytest.mark.parametrize(
    ("seen", "changes", "expected"),
    [
        (OK, {}, False),
        (REJECTED, {}, True),
        (REJECTED, {"dead_on": frozenset()}, False),
        (TOO_LARGE, {"dead_on": frozenset()}, True),
        (TOO_LARGE, {"dead_on": frozenset(), "ok_on": frozenset({413})}, False),
        (BUSY, {}, False),
        (outcome(Reason.TIMEOUT), {}, False),
        (outcome(Reason.REQUEST), {}, False),
    ],
    ids=["200", "400", "400 is retried", "413 is retried", "413 is fine", "503", "time-out", "no request"],
)
def test_a_batch_is_divided_by_an_answer_that_one_event_may_cause(
    seen: Outcome, changes: dict[str, object], expected: bool
) -> None:
    assert divides(seen, target(**changes)) is expected


# ---- halving


class Target:
    """Answers each part, and notes what was sent and settled."""

    def __init__(self, answer: Callable[[Sequence[Delivery]], Outcome], stop_after: int | None = None) -> None:
        self.answer = answer
        self.sent: list[Sequence[Delivery]] = []
        self.settled: list[tuple[Sequence[Delivery], Outcome]] = []
        self.stop_after = stop_after

    async def send(self, part: Sequence[Delivery]) -> Outcome:
        self.sent.append(part)
        return self.answer(part)

    async def settle(self, part: Sequence[Delivery], seen: Outcome) -> None:
        self.settled.append((part, seen))

    async def may_go_on(self) -> bool:
        return self.stop_after is None or len(self.sent) < self.stop_after

    def attempt(self, batch: Sequence[Delivery]) -> Sequence[Delivery]:
        calls = {"send": self.send, "settle": self.settle, "may_go_on": self.may_go_on}
        return asyncio.run(attempt_in_parts(batch, target(), **calls))


def rejecting(poison: set[int], batch: Sequence[Delivery]) -> Callable[[Sequence[Delivery]], Outcome]:
    ids = {batch[number].event_id for number in poison}
    return lambda part: REJECTED if any(each.event_id in ids for each in part) else OK


poisoned = st.integers(1, 40).flatmap(
    lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1), max_size=5))
)


@given(poisoned)
def test_each_poison_delivery_is_settled_alone_and_all_in_order(sizes: tuple[int, set[int]]) -> None:
    size, poison = sizes
    batch = some(size)
    seen = Target(rejecting(poison, batch))
    assert list(seen.attempt(batch)) == []
    assert [each for part, _ in seen.settled for each in part] == batch
    rejected = [part for part, answer in seen.settled if answer is REJECTED]
    assert rejected == [[batch[number]] for number in sorted(poison)]
    assert len(seen.sent) <= max(1, len(poison)) * requests_to_find_one(size)


@given(poisoned, st.integers(1, 20))
def test_what_was_not_settled_is_returned_if_it_may_not_go_on(sizes: tuple[int, set[int]], stop_after: int) -> None:
    size, poison = sizes
    batch = some(size)
    seen = Target(rejecting(poison, batch), stop_after)
    rest = seen.attempt(batch)
    assert [each for part, _ in seen.settled for each in part] + list(rest) == batch
    assert len(seen.sent) <= stop_after


@given(st.integers(1, 40), st.integers(1, 40))
def test_what_is_too_large_is_sent_in_parts_that_fit(size: int, most: int) -> None:
    seen = Target(lambda part: TOO_LARGE if len(part) > most else OK)
    batch = some(size)
    assert list(seen.attempt(batch)) == []
    assert [each for part, _ in seen.settled for each in part] == batch
    assert all(answer is OK for _, answer in seen.settled)


@given(st.integers(1, 40))
def test_an_answer_that_is_no_ones_fault_is_for_all(size: int) -> None:
    batch = some(size)
    seen = Target(lambda _part: BUSY)
    assert list(seen.attempt(batch)) == []
    assert (seen.sent, seen.settled) == ([batch], [(batch, BUSY)])


@given(st.integers(2, 1000))
def test_halves_are_the_whole_and_differ_by_one_at_most(size: int) -> None:
    batch = some(size)
    first, second = halves(batch)
    assert [*first, *second] == batch
    assert 0 <= len(second) - len(first) <= 1


# ---- claims


def test_a_lease_covers_the_wait_and_the_search_for_one_that_is_rejected() -> None:
    share = Share(concurrency=1000, rate=None)
    timeout, within = timedelta(seconds=15), timedelta(seconds=30)
    lease = lease_for(timeout, share, Batch(most=1000, within=within))
    assert lease >= within + requests_to_find_one(1000) * timeout + MARGIN
    assert lease - lease_for(timeout, share, Batch(most=1000, within=timedelta(seconds=1))) == timedelta(seconds=29)
    slow = lease_for(timeout, Share(concurrency=8, rate=1.0), Batch(most=1000, within=within))
    assert slow >= timedelta(seconds=LONGEST + 1000) + lease_for(timeout, Share(concurrency=8, rate=None))


def test_a_relay_that_shares_a_store_may_queue_a_whole_batch() -> None:
    assert share_of(target(concurrency=2), 1, 2).queue == SHORTEST_QUEUE
    assert share_of(target(concurrency=2, batch=Batch(most=500)), 1, 2).queue == 500
