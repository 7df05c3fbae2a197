"""`relay.delivery.dispatch`: targets side by side, reloads, restarts, and what other processes write."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from relay.delivery import lane
from relay.delivery.breaker import Health
from relay.delivery.send import Sender
from relay.model import Outcome, State
from relay.store.contract import Filter
from relay.store.sqlite import SqliteStore
from tests.delivery.bench import Bench, act, event_id
from tests.delivery.conftest import SECOND, Receiver, every, target

Start = Callable[..., Awaitable[Receiver]]
LONG = every(3_600_000)


def to(receiver: Receiver, name: str = "bot", **changes: Any) -> Any:
    return target(name=name, url=receiver.url, **{"retry": every(10), "timeout": SECOND} | changes)


# ---- side by side


MOMENT, CONCURRENCY = 0.1, 8  # the sixth target takes 80 a second, which leaves the processor time to spare
HANGING, PATIENCE = 5, 0.6  # seconds, and a tenth more for each: a round has all of them time out and begin again
KEPT = 0.9  # of what it takes alone
ROUNDS, MOST_ROUNDS = 5, 15  # a machine with other work may need more rounds until the median tells


@pytest.mark.timeout(120)
async def test_beside_five_targets_that_hang_the_sixth_keeps_nine_tenths_of_its_throughput(
    tmp_path: Path, receivers: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: list[float] = []
    while len(kept) < ROUNDS or (median(kept) < KEPT and len(kept) < MOST_ROUNDS):
        kept.append(await kept_beside_hanging(tmp_path, receivers, deliveries=80))
    with capsys.disabled():
        print(f"\nbeside {HANGING} that hang a target keeps {median(kept):.1%} of its throughput ({len(kept)} rounds)")
    assert median(kept) >= KEPT


async def test_targets_that_share_what_may_be_in_flight_are_found_guilty(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = asyncio.Semaphore(HANGING * CONCURRENCY)  # a connector's limit for all, which would do but for one target

    class Sharing(Sender):
        async def send(self, *request: Any, **how: Any) -> Outcome:
            async with shared:
                return await super().send(*request, **how)

    monkeypatch.setattr(lane, "Sender", Sharing)
    assert await kept_beside_hanging(tmp_path, receivers, deliveries=24) < KEPT


async def kept_beside_hanging(folder: Path, receivers: Start, *, deliveries: int) -> float:
    """The share of its throughput alone that a target has beside five that hang, measured right after each other."""
    well, hanging = await receivers(), await receivers()
    well.moment = MOMENT
    hanging.gate.clear()
    bot = to(well, concurrency=CONCURRENCY)
    stuck = [
        to(hanging, f"hangs-{n}", timeout=(PATIENCE + n / 10) * SECOND, breaker_failures=1_000_000)
        for n in range(HANGING)
    ]
    with TemporaryDirectory(dir=folder) as alone, TemporaryDirectory(dir=folder) as beside:
        async with Bench(Path(alone), bot) as bench:
            before = await per_second(well, bench, deliveries)
        async with Bench(Path(beside), bot, *stuck) as bench:
            await bench.keep(range(2 * CONCURRENCY))
            await hanging.until(lambda r: r.in_flight == HANGING * CONCURRENCY)  # with all that they may use
            await bench.until_none_pending()
            return await per_second(well, bench, deliveries) / before


async def per_second(receiver: Receiver, bench: Bench, deliveries: int) -> float:
    """How many of these, which are all there from the start, arrive in a second."""
    receiver.requests.clear()
    await bench.keep(range(1000, 1000 + deliveries))
    await bench.until_none_pending(within=30)
    assert len(receiver.requests) == deliveries
    return deliveries / (receiver.requests[-1].at - receiver.requests[0].at)


async def test_every_target_has_its_own_outcome(tmp_path: Path, receivers: Start) -> None:
    well, dead = await receivers(), await receivers(lambda _request: 410)
    async with Bench(tmp_path, to(well), to(dead, "crm")) as bench:
        await bench.keep([1])
        await bench.until_attempted(2)
        states = {d.target: d.state for d in await bench.deliveries()}
    assert states == {"bot": State.DELIVERED, "crm": State.DEAD}


# ---- what others write


async def test_a_replay_by_another_process_is_noticed(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.keep([1])
        await bench.until_attempted(1)
        command = SqliteStore.visit(bench.path)
        assert await command.replay(Filter(event_ids=(event_id(1),)), act()) == 1
        await command.close()
        await bench.until_attempted(2, within=2.0)
    assert [(r.event_id, r.attempt, r.replay) for r in receiver.requests] == [
        (event_id(1), 1, False),
        (event_id(1), 2, True),
    ]


# ---- reloads


async def test_pending_deliveries_go_to_the_new_url(tmp_path: Path, receivers: Start) -> None:
    old, new = await receivers(lambda _request: 503), await receivers()
    async with Bench(tmp_path, to(old, retry=every(50))) as bench:
        await bench.keep([1, 2])
        await bench.until_attempted(2)
        bench.use(to(new))
        await bench.until_none_pending()
    assert {r.event_id for r in new.requests} == {event_id(1), event_id(2)}


async def test_a_target_with_new_settings_is_not_held_for_what_the_old_ones_did(
    tmp_path: Path, receivers: Start
) -> None:
    old, new = await receivers(lambda _request: 503), await receivers()
    held = to(old, breaker_failures=1, concurrency=1, retry=LONG)
    async with Bench(tmp_path, held) as bench:
        await bench.keep([1, 2, 3])
        await bench.until_attempted(1)
        assert bench.dispatcher.health() == {"bot": Health.OPEN}
        bench.use(held)
        assert bench.dispatcher.health() == {"bot": Health.OPEN}, "nothing is new"
        bench.use(replace(held, url=new.url))
        await new.until(lambda r: len(r.requests) == 2)
    assert len(old.requests) == 1


async def test_a_target_that_is_gone_leaves_its_deliveries_parked_until_it_is_back(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers(lambda request: 200 if request.attempt > 1 else 503)
    bot = to(receiver)
    async with Bench(tmp_path, bot) as bench:
        receiver.gate.clear()
        await bench.keep(range(1, 21))
        await receiver.until(lambda r: r.in_flight == 8)
        bench.use()
        receiver.gate.set()
        await bench.until_attempted(8)
        assert bench.dispatcher.lease("bot") is None
        assert (await bench.pending(), len(receiver.requests)) == (20, 8)
        bench.use(bot)
        await bench.until_none_pending()
    assert {r.event_id for r in receiver.requests} == {event_id(n) for n in range(1, 21)}


async def test_a_target_that_went_while_its_delivery_was_kept_has_it_parked_until_it_is_back(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.keep([1])
        await bench.until_attempted(1)  # from now on deliveries are born claimed
        admit, late = bench.dispatcher.admit, []
        bench.dispatcher.admit = late.extend
        await bench.keep([2])
        assert [delivery.attempt for delivery in late] == [1]
        bench.use()
        admit(late)
        assert await bench.pending() == 1
        bench.use(to(receiver))
        await bench.until_none_pending()
    assert [(r.event_id, r.attempt) for r in receiver.requests] == [(event_id(1), 1), (event_id(2), 1)]


# ---- the end, and the next start


async def test_what_was_in_flight_at_the_end_is_attempted_again_at_the_next_start(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=1)) as bench:
        await bench.keep([1, 2])
        await receiver.until(lambda r: r.in_flight == 1)
    receiver.gate.set()
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.until_attempted(2)
    attempts = [(r.event_id, r.attempt) for r in receiver.requests]
    assert sorted(attempts) == [(event_id(1), 1), (event_id(1), 2), (event_id(2), 1)]


async def test_stop_does_not_wait_for_targets_that_left_before(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, timeout=60 * SECOND)) as bench:
        await bench.keep([1])
        await receiver.until(lambda r: r.in_flight == 1)
        bench.use()
        start = asyncio.get_running_loop().time()
        await bench.dispatcher.stop(timedelta(milliseconds=50))
        assert asyncio.get_running_loop().time() - start < 0.5
