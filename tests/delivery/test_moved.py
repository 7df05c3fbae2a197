"""A reload while attempts are under way: at another host they take no place; at the same one the new timeout binds."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from relay.delivery.send import origin
from relay.model import Health, Reason
from tests.delivery.bench import Bench, event_id
from tests.delivery.conftest import SECOND, Receiver, every, target

Start = Callable[..., Awaitable[Receiver]]
MINUTE = 60 * SECOND


def to(receiver: Receiver, **changes: Any) -> Any:
    return target(url=receiver.url, **{"retry": every(60_000), "timeout": MINUTE, "concurrency": 4} | changes)


async def test_attempts_that_hang_at_another_host_take_no_place(tmp_path: Path, receivers: Start) -> None:
    old, new = await receivers(), await receivers()
    old.gate.clear()
    new.gate.clear()
    async with Bench(tmp_path, to(old)) as bench:
        await bench.keep(range(30))
        await old.until(lambda r: r.in_flight == 4)
        bench.use(to(new))
        await new.until(lambda r: r.in_flight == 4)
        new.gate.set()
        await bench.until_attempted(26)
        assert new.most_in_flight == 4
        assert bench.dispatcher.health() == {"bot": Health.OK}
        old.gate.set()
        await bench.until_none_pending()
    assert len(old.requests) == 4
    assert len(new.requests) == 26
    assert new.most_in_flight == 4


async def test_what_another_host_says_late_is_not_held_against_the_new_one(tmp_path: Path, receivers: Start) -> None:
    old, new = await receivers(lambda _request: 503), await receivers()
    old.gate.clear()
    async with Bench(tmp_path, to(old, breaker_failures=1)) as bench:
        await bench.keep(range(4))
        await old.until(lambda r: r.in_flight == 4)
        bench.use(to(new, breaker_failures=1))
        old.gate.set()
        await bench.until_attempted(4)
        assert bench.dispatcher.health() == {"bot": Health.OK}


async def test_who_waits_for_a_slot_of_rate_at_another_host_takes_no_place(tmp_path: Path, receivers: Start) -> None:
    old, new = await receivers(), await receivers()
    new.gate.clear()
    async with Bench(tmp_path, to(old, rate=0.01)) as bench:
        await bench.keep(range(20))
        await bench.until_attempted(1)
        bench.use(to(new))
        await new.until(lambda r: r.in_flight == 4)
        await asyncio.sleep(1.2)  # those that waited have looked at the rate again by then
        assert new.in_flight == 4
        new.gate.set()
        await bench.until_none_pending()
    assert new.most_in_flight == 4


@pytest.mark.parametrize("seconds", [0.3, 0.0])
async def test_a_new_timeout_binds_what_hangs_at_the_same_host(
    tmp_path: Path, receivers: Start, seconds: float
) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.keep(range(8))
        await receiver.until(lambda r: r.in_flight == 4)
        await asyncio.sleep(0.3 - seconds)
        bench.use(to(receiver, timeout=0.3 * SECOND))
        await bench.until_attempted(4)
        assert {each.outcome.reason for each in bench.attempted[:4]} == {Reason.TIMEOUT}
        assert receiver.most_in_flight == 4


async def test_a_longer_timeout_binds_too(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, timeout=0.5 * SECOND)) as bench:
        await bench.keep([1])
        await receiver.until(lambda r: r.in_flight == 1)
        bench.use(to(receiver))
        await asyncio.sleep(0.7)
        receiver.gate.set()
        await bench.until_attempted(1)
    assert bench.attempted[0].outcome.status == 200


async def test_a_host_never_gets_twice_its_concurrency_though_the_target_goes_and_comes_back(
    tmp_path: Path, receivers: Start
) -> None:
    first, other = await receivers(), await receivers()
    first.gate.clear()
    async with Bench(tmp_path, to(first)) as bench:
        await bench.keep(range(20))
        await first.until(lambda r: r.in_flight == 4)
        bench.use(to(other, timeout=SECOND))
        await bench.until_attempted(16)
        await bench.keep(range(20, 30))
        bench.use(to(first))
        await asyncio.sleep(0.3)
        assert first.in_flight == 4
        first.gate.set()
        await bench.until_none_pending()
    assert first.most_in_flight == 4
    assert {r.event_id for r in first.requests + other.requests} == {event_id(number) for number in range(30)}


async def test_nor_though_it_leaves_the_routes_and_is_put_back(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.keep(range(20))
        await receiver.until(lambda r: r.in_flight == 4)
        for _ in range(3):
            bench.use()
            bench.use(to(receiver))
        bench.use()
        await asyncio.sleep(0.3)
        bench.use(to(receiver))
        await bench.keep(range(20, 30))
        await asyncio.sleep(0.3)
        assert receiver.in_flight == 4
        receiver.gate.set()
        await bench.until_none_pending()
    assert receiver.most_in_flight == 4
    assert len(receiver.requests) == 30


async def test_one_that_has_left_the_routes_is_gone_once_its_attempts_are(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.keep(range(20))
        await receiver.until(lambda r: r.in_flight == 4)
        bench.use()
        [(_lane, leaving)] = bench.dispatcher._leaving.values()
        receiver.gate.set()
        async with asyncio.timeout(5):
            await leaving
            await asyncio.gather(*bench.dispatcher._stopping)
        assert not bench.dispatcher._leaving
        assert len(receiver.requests) == len(bench.attempted) == 4
        bench.use(to(receiver))
        await bench.until_none_pending()
    assert len(receiver.requests) == 20


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://bot.example/in", "https://bot.example:443/out?x=1", True),
        ("https://bot.example/in", "https://BOT.example/in", True),
        ("https://bot.example/in", "http://bot.example/in", False),
        ("https://bot.example/in", "https://bot.example:8443/in", False),
        ("https://bot.example/in", "https://bot2.example/in", False),
        ("http://[::1]:80/", "http://[::1]/", True),
        ("http://bot.example:x/", "http://bot.example:x/", True),
    ],
)
def test_a_place_is_scheme_host_and_port(one: str, other: str, same: bool) -> None:
    assert (origin(one) == origin(other)) is same
