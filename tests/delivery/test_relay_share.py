"""`relay.delivery.relay_share`, and lanes of a relay that is not the only one to deliver to a target."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.relay_share import Share, share_of
from tests.delivery.bench import Bench, event_id
from tests.delivery.conftest import SECOND, Receiver, every, target
from tests.store.conftest import routed
from tests.store.conftest import to as planned_to

Start = Callable[..., Awaitable[Receiver]]


def to(receiver: Receiver, **changes: Any) -> Any:
    return target(url=receiver.url, **{"retry": every(10), "timeout": SECOND} | changes)


def divide(bench: Bench, monkeypatch: pytest.MonkeyPatch, part: int, of: int) -> None:
    """From the dispatcher's next poll on."""
    monkeypatch.setattr(bench.store, "share", lambda _target: (part, of))


def leases(bench: Bench) -> int:
    """How many of ten new deliveries would be claimed at insert."""
    leased = bench.dispatcher.lease([routed(number, planned_to()) for number in range(10)])
    bench.dispatcher.unreserve(leased)
    return sum(each.lease is not None for event in leased for each in event.planned)


# ---- the share alone


def test_the_only_relay_has_it_all() -> None:
    assert share_of(target(concurrency=8, rate=50.0), 1, 1) == Share(concurrency=8, rate=50.0)


@given(concurrency=st.integers(1, 100), of=st.integers(1, 20), rate=st.floats(0.1, 1000))
def test_the_parts_add_up_to_the_targets_limits_and_are_nearly_equal(concurrency: int, of: int, rate: float) -> None:
    parts = [share_of(target(concurrency=concurrency, rate=rate), part, of) for part in range(1, of + 1)]
    assert sum(each.concurrency for each in parts) == concurrency
    assert max(each.concurrency for each in parts) - min(each.concurrency for each in parts) <= 1
    assert sum(each.rate or 0.0 for each in parts) == pytest.approx(rate)


# ---- a lane


async def test_one_of_two_relays_uses_half_of_the_concurrency(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = await receivers()
    bot = to(receiver, concurrency=6)
    async with Bench(tmp_path, bot) as bench:
        divide(bench, monkeypatch, 1, 2)
        bench.use(bot)
        await bench.keep(range(60))
        await bench.until_none_pending()
    assert receiver.most_in_flight == 3


async def test_one_of_two_relays_uses_half_of_the_rate(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = await receivers()
    bot = to(receiver, rate=100.0)
    async with Bench(tmp_path, bot) as bench:
        divide(bench, monkeypatch, 1, 2)
        bench.use(bot)
        await bench.keep(range(41))
        await bench.until_none_pending()
    took = receiver.requests[-1].at - receiver.requests[0].at
    assert 0.3 < 40 / took / 50.0 < 1.2


async def test_a_relay_without_a_share_leaves_new_deliveries_to_the_others_until_it_has_one(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = await receivers()
    bot = to(receiver, concurrency=1)
    async with Bench(tmp_path, bot) as bench:
        await bench.keep([0])
        await bench.until_none_pending()
        assert leases(bench) > 0
        divide(bench, monkeypatch, 2, 2)
        bench.use(bot)
        assert leases(bench) == 0
        await bench.keep([1, 2])
        bench.use(bot)  # which looks into the store
        assert [(each.claimed, each.attempt) for each in await bench.deliveries()][1:] == [(False, 0)] * 2
        divide(bench, monkeypatch, 1, 1)
        await bench.until_none_pending(within=3)
    assert [each.event_id for each in receiver.requests] == [event_id(0), event_id(1), event_id(2)]


async def test_a_share_that_is_taken_away_gives_the_queue_back_within_a_poll(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=1, timeout=60 * SECOND)) as bench:
        await bench.keep([1, 2, 3])
        await receiver.until(lambda r: r.in_flight == 1)
        divide(bench, monkeypatch, 3, 3)
        await bench.dispatcher._poll()
        receiver.gate.set()
        await bench.until_attempted(1)
        await bench.dispatcher.stop(SECOND)
        records = await bench.deliveries()
    assert [(each.claimed, each.attempt) for each in records] == [(False, 1), (False, 0), (False, 0)]
    assert len(receiver.requests) == 1
