"""`relay.delivery.relay_share`, and lanes of a relay that is not the only one to deliver to a target."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.relay_share import Share, share_of
from relay.delivery.retry import DELIVERED
from relay.model import State
from relay.operations.erasure import forget
from relay.store.erasure_plan import Scope
from relay.store.records import AuditEntry
from relay.store.sqlite.owner import RECOVERY
from tests.delivery import virtual
from tests.delivery.bench import Bench, event_id
from tests.delivery.conftest import NOON, SECOND, Receiver, every, outcome, receiving, target
from tests.delivery.virtual import VirtualBench
from tests.store.conftest import routed
from tests.store.conftest import to as planned_to

Start = Callable[..., Awaitable[Receiver]]


def to(receiver: Receiver, **changes: Any) -> Any:
    return target(url=receiver.url, **{"retry": every(10), "timeout": SECOND} | changes)


def new_folder(within: Path) -> Path:
    folder = within / str(len(list(within.iterdir())))
    folder.mkdir()
    return folder


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
    assert [each.queue for each in parts] == [None if of == 1 else max(4 * each.concurrency, 16) for each in parts]


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
    assert 40 / took / 50.0 < 1.2


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
        await bench.until_none_pending()
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


async def test_beside_others_a_queue_is_short_and_what_is_beyond_it_goes_to_them(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=10, timeout=60 * SECOND)) as bench:
        await bench.keep(range(100))
        await receiver.until(lambda r: r.in_flight == 10)
        assert sum(each.claimed for each in await bench.deliveries()) == 100
        divide(bench, monkeypatch, 1, 2)
        await bench.dispatcher._poll()
        while (claimed := [n for n, each in enumerate(await bench.deliveries()) if each.claimed]) != list(range(30)):
            assert len(claimed) >= 30  # in flight, and 4 for each attempt of this relay's half
        await bench.keep(range(100, 140))
        assert sum(each.claimed for each in await bench.deliveries()) == 30
        receiver.gate.set()
        await bench.until_none_pending()
    assert len(receiver.requests) == 140


def test_beside_others_the_store_is_polled_more_often_and_written_to_no_more_often(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def polls(folder: Path, of: int) -> tuple[int, int]:
        """In twelve seconds in which the targets' health is never twice the same."""
        calls = {"due": 0, "publish_health": 0}
        async with receiving(lambda _request: 503) as receiver, VirtualBench(folder, to(receiver)) as bench:
            divide(bench, monkeypatch, 1, of)
            for name in calls:
                monkeypatch.setattr(bench.store, name, counted(calls, name, getattr(bench.store, name)))
            monkeypatch.setattr("relay.delivery.dispatcher._compared", lambda _reports: object())
            await asyncio.sleep(12)
            return calls["due"], calls["publish_health"]

    alone, together = (virtual.run(polls(new_folder(tmp_path), of)) for of in (1, 2))
    assert 11 <= alone[0] <= 13
    assert 44 <= together[0] <= 50
    assert 11 <= alone[1] <= 13
    assert 9 <= together[1] <= 13


def counted(calls: dict[str, int], name: str, verb: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def counting(*asked: Any, **more: Any) -> Any:
        calls[name] += 1
        return await verb(*asked, **more)

    return counting


# ---- an owner that was declared dead


async def abandon(bench: Bench) -> None:
    """As others do with the claims of an owner that they have declared dead."""
    await bench.store._writer.submit(lambda cursor: cursor.execute(RECOVERY, (0,)) and None)


async def test_who_is_disowned_drops_the_queue_and_ends_attempts_in_flight_which_are_refused_if_others_made_them(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=2, timeout=60 * SECOND)) as bench:
        await bench.keep(range(6))
        await receiver.until(lambda r: r.in_flight == 2)
        bench.stop_polling()  # or this relay might claim them anew before the other one
        await abandon(bench)
        held = await bench.store.claim("bot", limit=6, max_bytes=10**6, now=bench._clock(), lease=60 * SECOND)
        bench.dispatcher.disowned()
        assert await bench.store.settle(held[0], outcome(), DELIVERED, now=NOON)
        receiver.gate.set()
        await bench.until(lambda: len(bench.lost) == 2)
        states = [(each.state, each.attempt) for each in await bench.deliveries()]
    assert [each.event_id for each in receiver.requests] == [event_id(0), event_id(1)]
    assert states == [(State.DELIVERED, 2), (State.PENDING, 2)] + [(State.PENDING, 2)] * 4


async def test_who_is_disowned_claims_anew_what_nobody_holds(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=1, timeout=60 * SECOND)) as bench:
        await bench.keep(range(4))
        await receiver.until(lambda r: r.in_flight == 1)
        await abandon(bench)
        bench.dispatcher.disowned()
        receiver.gate.set()
        await bench.until_none_pending()
    assert [each.event_id for each in receiver.requests][1:] == [event_id(each) for each in range(4)]


async def test_what_was_erased_in_the_store_is_not_sent_from_the_queue(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=1, timeout=60 * SECOND)) as bench:
        await bench.keep(range(4))
        await receiver.until(lambda r: r.in_flight == 1)
        entry = AuditEntry(id="act", at=NOON, who="olga", command="forget")
        await forget(bench.store, Scope(refs=frozenset(), ids=frozenset({event_id(2)})), entry)
        bench.dispatcher.erased()
        receiver.gate.set()
        await bench.until_none_pending()
    assert [each.event_id for each in receiver.requests] == [event_id(0), event_id(1), event_id(3)]


# ---- a relay that may have lost its claims


@pytest.mark.parametrize("rate", [None, 1000.0])
async def test_no_attempt_begins_while_others_may_have_the_claims(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch, rate: float | None
) -> None:
    receiver = await receivers()
    bot = to(receiver, concurrency=2, rate=rate)
    async with Bench(tmp_path, bot) as bench:
        owns = False
        monkeypatch.setattr(bench.store, "owns", lambda: owns)
        await bench.keep(range(5))
        await asyncio.sleep(0.3)
        assert receiver.requests == []
        owns = True  # the dispatcher's next poll has the lane go on
        await bench.until_none_pending()
    assert len(receiver.requests) == 5
