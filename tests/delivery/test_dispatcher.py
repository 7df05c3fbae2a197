"""`relay.delivery.dispatcher`: targets side by side, reloads, restarts, and what other processes write."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from relay.model import Health, Outcome, Reason, State
from relay.signals import CircuitClosed, CircuitOpened
from relay.store.records import Filter, HealthReport, TargetStatus
from relay.store.sqlite.store import SqliteStore
from tests.delivery.bench import Bench, act, event_id
from tests.delivery.conftest import NOON, SECOND, Receiver, every, target
from tests.store.conftest import routed
from tests.store.conftest import to as planned_to

Start = Callable[..., Awaitable[Receiver]]
LONG = every(3_600_000)


def to(receiver: Receiver, name: str = "bot", **changes: Any) -> Any:
    return target(name=name, url=receiver.url, **{"retry": every(10), "timeout": 10 * SECOND} | changes)


# ---- side by side


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
        await bench.until_attempted(2)
    assert [(r.event_id, r.attempt, r.replay) for r in receiver.requests] == [
        (event_id(1), 1, False),
        (event_id(1), 2, True),
    ]


# ---- what it says of itself


async def test_what_is_in_flight_is_told_once_a_second_and_for_over_a_second_by_its_event(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    async with Bench(tmp_path, to(receiver, concurrency=2, timeout=60 * SECOND)) as bench:
        await bench.keep([1, 2, 3])
        await receiver.until(lambda r: r.in_flight == 2)
        seen = [await told(bench, lambda condition: condition.in_flight == 2)]
        seen.append(await told(bench, lambda condition: len(condition.slow) == 2))
        receiver.gate.set()
        seen.append(await told(bench, lambda condition: not condition.in_flight))
    assert [each.slow for each in seen[1:]] == [{event_id(1), event_id(2)}, frozenset()]
    assert {each.health for each in seen} == {"ok"}


async def test_a_target_that_fails_is_told_of_before_its_circuit_opens(tmp_path: Path, receivers: Start) -> None:
    failing = to(await receivers(), breaker_failures=3)
    async with Bench(tmp_path, failing) as bench:
        await told(bench, partial(has_error, ""))
        circuit = bench.dispatcher._lanes["bot"].circuit  # no attempt in flight: the error alone is new
        for status, reason in ((503, Reason.SERVER_ERROR), (404, Reason.CLIENT_ERROR), (200, Reason.OK)):
            circuit.record(Outcome(reason=reason, status=status, started_at=NOON, took=SECOND), failing, probe=False)
            error = "" if reason is Reason.OK else f"{reason} {status}"
            assert (await told(bench, partial(has_error, error))).health is Health.OK
    assert not bench.circuits


def has_error(text: str, condition: HealthReport) -> bool:
    return condition.error == text


async def told(bench: Bench, check: Callable[[HealthReport], bool]) -> HealthReport:
    """What operators are told of the target, once that is so."""
    async with asyncio.timeout(5):
        while True:
            condition = (await bench.store.status()).targets.get("bot", TargetStatus()).condition
            if condition and check(condition):
                return condition
            await asyncio.sleep(0.05)


async def test_a_relay_that_has_nothing_to_do_writes_nothing(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.delivery.dispatcher.POLL", 0.05)
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.keep([1])
        await bench.until_none_pending()
        await asyncio.sleep(0.3)
        [(before,)] = await bench.store._read(lambda cursor: list(cursor.execute("pragma data_version")))
        await asyncio.sleep(0.5)
        [(after,)] = await bench.store._read(lambda cursor: list(cursor.execute("pragma data_version")))
    assert before == after


# ---- reloads


async def test_pending_deliveries_go_to_the_new_url(tmp_path: Path, receivers: Start) -> None:
    old, new = await receivers(lambda _request: 503), await receivers()
    async with Bench(tmp_path, to(old, retry=every(50))) as bench:
        await bench.keep([1, 2])
        await bench.until_attempted(2)
        bench.use(to(new))
        await bench.until_none_pending()
    assert {r.event_id for r in new.requests} == {event_id(1), event_id(2)}


async def test_new_settings_of_a_target_close_its_circuit(tmp_path: Path, receivers: Start) -> None:
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
    [opened, closed] = bench.circuits
    assert isinstance(opened, CircuitOpened)
    assert closed == CircuitClosed(target="bot", failures=None, detail="its settings were changed")


async def test_a_target_that_is_gone_leaves_its_deliveries_orphaned_until_it_is_back(
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
        [unleased] = bench.dispatcher.lease([routed(1, planned_to("bot"))])
        assert unleased.planned[0].lease is None
        assert (await bench.pending(), len(receiver.requests)) == (20, 8)
        bench.use(bot)
        await bench.until_none_pending()
    assert {r.event_id for r in receiver.requests} == {event_id(n) for n in range(1, 21)}


async def test_a_target_that_went_while_its_delivery_was_kept_has_it_orphaned_until_it_is_back(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver)) as bench:
        await bench.keep([1])
        await bench.until_attempted(1)  # from now on deliveries are claimed at insert
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
        assert asyncio.get_running_loop().time() - start < 20
