"""Leases: nothing is claimed for longer than it waits, and no claim that has run out is sent. On virtual time."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from relay.delivery.queue import MAX_BYTES, MAX_LENGTH, MAX_OF_WEBHOOK
from tests.delivery import virtual
from tests.delivery.bench import Bench, event_id
from tests.delivery.conftest import HANG, SECOND, receiving, target
from tests.delivery.virtual import VirtualBench
from tests.store.conftest import routed, to

pytestmark = pytest.mark.timeout(120)

MANY = 2_000  # events of one body
SLOW = 800.0  # seconds between two attempts, when a lease is of 1,342
RATE = 2.0  # attempts a second: the last of them begins after 1,000 s


async def body_of_many(folder: Path) -> tuple[list[str], int]:
    """A body of many events to a slow target: what it was sent, and how many were claimed at arrival."""
    async with receiving() as receiver, VirtualBench(folder, target(url=receiver.url, rate=RATE)) as bench:
        await bench.keep([-1])
        await bench.until_attempted(1)  # from now on deliveries are claimed at insert
        await bench.keep(range(MANY))
        claimed = sum(each.claimed for each in await bench.deliveries())
        await bench.keep([MANY])  # it has to wait in the store, so that the lane looks there once there is room
        await bench.until_none_pending(within=2 * MANY / RATE)
        await asyncio.sleep(2 * MANY / RATE)  # for whatever would come twice
        return [request.event_id for request in receiver.requests[1:]], claimed


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], int]:
    return virtual.run(body_of_many(tmp_path_factory.mktemp("many")))


def test_many_events_at_a_slow_pace_are_sent_once_each(seen: tuple[list[str], int]) -> None:
    sent, _ = seen
    assert sorted(sent) == [event_id(number) for number in range(MANY + 1)]


def test_no_more_are_claimed_at_arrival_than_there_is_room_for(seen: tuple[list[str], int]) -> None:
    _, claimed = seen
    assert MAX_LENGTH < claimed <= MAX_OF_WEBHOOK


async def slowed_down(folder: Path) -> Sequence[str]:
    """Five are claimed; then a reload slows it down so much that leases end before the last ones have their turn."""
    async with receiving() as receiver:
        bot = target(url=receiver.url, concurrency=1, timeout=SECOND)
        async with VirtualBench(folder, bot) as bench:
            await bench.keep([0])
            await bench.until_attempted(1)
            receiver.gate.clear()
            await bench.keep(range(1, 6))
            await receiver.until(lambda r: r.in_flight == 1)
            assert [each.claimed for each in await bench.deliveries()] == [False, *[True] * 5]
            bench.use(replace(bot, rate=1 / SLOW))
            receiver.gate.set()
            await bench.until_none_pending(within=10 * SLOW)
            await asyncio.sleep(3 * SLOW)  # for whatever would come twice
            return [request.event_id for request in receiver.requests]


def test_a_claim_that_has_run_out_is_not_sent(tmp_path: Path) -> None:
    assert sorted(virtual.run(slowed_down(tmp_path))) == [event_id(number) for number in range(6)]


# ---- room that is reserved


async def test_room_is_reserved_from_the_lease_until_what_was_leased_is_kept_or_not(tmp_path: Path) -> None:
    async with Bench(tmp_path, target(url="http://127.0.0.1:9/in")) as bench:
        dispatcher, one = bench.dispatcher, routed(1, to())
        async with asyncio.timeout(HANG):
            while not leases(dispatcher.lease([one])):  # it has looked into the store by then
                dispatcher.unreserve([one])
                await asyncio.sleep(0.01)
        rest = dispatcher.lease([one] * MAX_OF_WEBHOOK)
        assert len(leases(rest)) == MAX_OF_WEBHOOK - 1
        assert not leases(dispatcher.lease([one]))
        dispatcher.unreserve(rest)
        async with asyncio.timeout(HANG):
            while not leases(again := dispatcher.lease([one])):
                dispatcher.unreserve(again)
                await asyncio.sleep(0.01)


async def test_one_by_one_fewer_are_leased_than_of_one_body(tmp_path: Path) -> None:
    async with Bench(tmp_path, target(url="http://127.0.0.1:9/in")) as bench:
        one = routed(1, to())
        async with asyncio.timeout(HANG):
            while not leases(first := bench.dispatcher.lease([one])):
                bench.dispatcher.unreserve(first)
                await asyncio.sleep(0.01)
        assert sum(len(leases(bench.dispatcher.lease([one]))) for _ in range(2 * MAX_LENGTH)) == MAX_LENGTH - 1


async def test_room_is_reserved_for_bytes_too(tmp_path: Path) -> None:
    async with Bench(tmp_path, target(url="http://127.0.0.1:9/in")) as bench:
        large = replace(routed(1, to()), payload=b"x" * (MAX_BYTES // 4 + 1))
        async with asyncio.timeout(HANG):
            while not leases(first := bench.dispatcher.lease([large])):
                bench.dispatcher.unreserve(first)
                await asyncio.sleep(0.01)
        assert len(leases(bench.dispatcher.lease([large] * 8))) == 3


def leases(kept: Sequence[Any]) -> list[timedelta]:
    return [planned.lease for each in kept for planned in each.planned if planned.lease is not None]
