"""Webhooks go to the shared store while it commits in time, else to the spool, and always in their order."""

import asyncio
from datetime import timedelta

import pytest

from relay.errors import StoreBusy, StoreUnsafe
from relay.signals import SpoolingBegan, SpoolingEnded
from relay.store.records import Duplicate
from tests.store.conftest import MINUTE, NOON, claim
from tests.store.spool.conftest import Relay, direct, request, until


def ids(*numbers: int) -> list[str]:
    return [f"webhook-{number:04}" for number in numbers]


async def test_a_webhook_is_kept_by_the_shared_store_alone_and_claimed(relay: Relay) -> None:
    [[claimed]] = await relay.keep(request(1))
    assert claimed.event_id == "event-0001"
    assert await relay.shared.stored() == ids(1)
    assert relay.store.spool().webhooks == 0
    assert not relay.of(SpoolingBegan)


async def test_one_that_is_late_is_kept_by_the_spool_and_so_is_all_that_is_under_way_in_its_order(relay: Relay) -> None:
    relay.shared.freeze()
    kept = [relay.keep(request(1), request(2)), relay.keep(request(3))]
    await asyncio.gather(*kept)
    assert [each.result() for each in kept] == [[[], []], [[]]]
    assert [each.under_way for each in relay.of(SpoolingBegan)] == [3]
    await relay.keep(request(4))
    page = await relay.spool.oldest()
    assert [each.id for each in page.webhooks] == ids(1, 2, 3, 4)
    assert relay.store.spool().webhooks == 4
    assert relay.store.spool().oldest_at == request(1).webhook.received_at


async def test_what_is_spooled_is_forwarded_in_its_order_and_then_intake_is_direct(relay: Relay) -> None:
    relay.lose_shared()
    for number in range(1, 300):
        relay.keep(request(number))
    assert await relay.keep(request(300)) == [[]]
    assert relay.store.spool().webhooks == 300
    relay.shared.away = False
    await direct(relay)
    assert await relay.shared.stored() == ids(*range(1, 301))
    assert relay.store.spool().webhooks == 0
    assert relay.store.spool().oldest_at is None
    assert [each.forwarded for each in relay.of(SpoolingEnded)] == [300]
    assert len(await claim(relay.shared.inner, limit=500, now=relay.shared.clock())) == 300
    [[claimed]] = await relay.keep(request(301))
    assert claimed.event_id == "event-0301"


async def test_a_lost_answer_is_spooled_and_nothing_is_kept_twice(relay: Relay) -> None:
    relay.shared.answers_to_lose = 1
    assert await relay.keep(request(1), request(2)) == [[], []]
    await direct(relay)
    assert await relay.shared.stored() == ids(1, 2)


async def test_deliveries_that_the_shared_store_claims_late_go_to_their_lanes(relay: Relay) -> None:
    relay.shared.freeze()
    assert await relay.keep(request(1)) == [[]]
    relay.shared.thaw()
    await direct(relay)
    assert [each.event_id for each in relay.late] == ["event-0001"]
    assert await relay.shared.claimed() == {"event-0001"}
    assert await relay.shared.stored() == ids(1)


async def test_without_lanes_deliveries_claimed_late_are_released(tmp_path, shared) -> None:
    relay = Relay(tmp_path, shared, admits=False)
    relay.begin()
    await direct(relay)
    shared.freeze()
    await relay.keep(request(1))
    shared.thaw()
    await direct(relay)
    await until(lambda: not relay.store._releasing)
    assert not await shared.claimed()
    assert len(await claim(shared.inner, now=shared.clock())) == 1
    await relay.stop()


async def test_a_webhook_that_the_shared_store_refuses_is_no_reason_to_refuse_it(relay: Relay) -> None:
    relay.shared.refused.add("webhook-0002")
    first, second, third = await relay.keep(request(1), request(2), request(3))
    assert (len(first), second, len(third)) == (1, [], 1)
    await direct(relay)
    assert await relay.shared.stored() == ids(1, 3, 2)
    [unparsed] = await relay.shared.inner.unparsed(limit=9)
    assert unparsed.id == "webhook-0002"


async def test_a_fault_of_the_callers_is_his(relay: Relay) -> None:
    bad = request(2)
    bad = bad._replace(routed=[*bad.routed, *bad.routed])  # one event, twice
    first, fault, third = await relay.keep(request(1), bad, request(3))
    assert (len(first), len(third)) == (1, 1)
    assert isinstance(fault, Exception)
    assert not isinstance(fault, StoreBusy)


async def test_a_duplicate_is_one_on_both_ways(relay: Relay) -> None:
    await relay.keep(request(1, window=MINUTE))
    repeated = Duplicate(webhook="webhook-0001", events=1)
    assert await relay.keep(request(2, lead=1, window=MINUTE)) == [repeated]
    relay.shared.freeze()
    relay.shared.drop()
    assert await relay.keep(request(3, lead=1, window=MINUTE)) == [[]], "the spool cannot know"
    assert await relay.keep(request(4, lead=1, window=MINUTE)) == [Duplicate(webhook="webhook-0003", events=1)]
    relay.shared.thaw()
    await direct(relay)
    assert await relay.shared.stored() == ids(1)


async def test_new_webhooks_wait_a_moment_while_the_last_ones_are_forwarded(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a steady load, here one webhook for each that is forwarded, would keep the relay spooling for ever."""
    forward, number = relay.shared.forward, 1

    async def keep_and_forward(requests):
        nonlocal number
        number += 1
        relay.keep(request(number))
        return await forward(requests)

    monkeypatch.setattr(relay.store._intake, "_hold", 60.0)
    relay.lose_shared()
    await relay.keep(request(1))
    monkeypatch.setattr(relay.shared, "forward", keep_and_forward)
    relay.shared.away = False
    await until(lambda: number > 200 or (relay.shared.connected and relay.store.spool().direct))
    assert number < 10
    await until(lambda: len(relay.replies) == number)
    assert await relay.shared.stored() == ids(*range(1, number + 1))


async def test_none_waits_longer_than_a_moment(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shared store stands still while the last webhooks are forwarded: those that come meanwhile are spooled."""
    relay.lose_shared()
    await relay.keep(request(1))
    held, probe, probes = asyncio.Event(), relay.shared.probe, 0

    async def stand_still() -> None:
        nonlocal probes
        probes += 1
        if probes == 1:
            return await probe()
        held.set()
        return await asyncio.Event().wait()

    monkeypatch.setattr(relay.shared, "probe", stand_still)
    relay.shared.away = False
    await held.wait()
    kept = [relay.keep(request(2)), relay.keep(request(3))]
    assert await asyncio.gather(*kept) == [[[]], [[]]]
    page = await relay.spool.oldest()
    assert [each.id for each in page.webhooks] == ids(2, 3)


async def test_what_neither_can_commit_is_busy_and_may_be_repeated(relay: Relay, monkeypatch) -> None:
    relay.lose_shared()
    spool_many = relay.spool.spool_many
    full = StoreBusy("the disk is full")
    monkeypatch.setattr(relay.spool, "spool_many", lambda asked, reply: reply([full] * len(asked)))
    assert await relay.keep(request(1), request(2)) == [full, full]
    monkeypatch.setattr(relay.spool, "spool_many", spool_many)
    assert await relay.keep(request(1), request(2)) == [[], []]
    relay.shared.away = False
    await direct(relay)
    assert await relay.shared.stored() == ids(1, 2)


async def test_a_start_beside_a_shared_store_that_replies_is_no_spooling(relay: Relay) -> None:
    assert not relay.of(SpoolingBegan)
    assert not relay.of(SpoolingEnded)


async def test_a_start_without_the_shared_store_says_why_it_spools_and_once(tmp_path, shared) -> None:
    shared.away = True
    relay = Relay(tmp_path, shared)
    relay.begin()
    await until(lambda: relay.of(SpoolingBegan))
    assert relay.store.spool().why == "PostgreSQL is away"
    shared.unfit = StoreUnsafe("PostgreSQL may lose what it has committed: fsync=off")
    await until(lambda: relay.store.spool().why == str(shared.unfit))
    shared.unfit, shared.away = None, False
    await direct(relay)
    assert [(each.why, each.under_way) for each in relay.of(SpoolingBegan)] == [("PostgreSQL is away", 0)]
    assert len(relay.of(SpoolingEnded)) == 1
    await relay.stop()


async def test_how_long_it_was_is_told_by_no_clock_that_is_set(relay: Relay, monkeypatch) -> None:
    relay.lose_shared()
    await until(lambda: relay.of(SpoolingBegan))
    monkeypatch.setattr(relay.shared.inner, "clock", lambda: NOON - timedelta(days=900))
    relay.shared.away = False
    await direct(relay)
    [ended] = relay.of(SpoolingEnded)
    assert timedelta() <= ended.took < MINUTE


async def test_an_empty_call_has_an_empty_reply(relay: Relay) -> None:
    assert await relay.keep() == []
    relay.shared.freeze()
    relay.shared.drop()
    await relay.keep(request(1))
    assert await relay.keep() == []
    relay.shared.thaw()
