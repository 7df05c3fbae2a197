"""`Retry-After` on 429 and 503 opens its circuit until then, for at most its policy's `retry.max`; probes too."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from relay.clock import Clock
from relay.delivery.breaker import Breaker
from relay.model import Health, Outcome, Reason, RetryPolicy, State
from relay.signals import CircuitOpened
from relay.store.records import Filter
from relay.store.sqlite.store import SqliteStore
from tests.delivery import virtual
from tests.delivery.bench import Bench, act, event_id
from tests.delivery.conftest import NOON, SECOND, Receiver, every, outcome, receiving, target
from tests.delivery.virtual import VirtualBench

Start = Callable[..., Awaitable[Receiver]]
WAITING, ASKED = 40, 20
HOUR = timedelta(hours=1)
LONG = RetryPolicy(initial=SECOND, max=HOUR, jitter=0.0)


def busy(status: int, seconds: float = ASKED) -> web.Response:
    return web.Response(status=status, headers={"retry-after": f"{seconds}"}, text="slow down")


async def asked_to_wait(folder: Path, status: int) -> list[float]:
    """When the requests came, from the first one on, of a target that asks for 20 s at first."""
    async with receiving() as receiver:
        receiver.answer = lambda request: 200 if request.at - receiver.requests[0].at >= ASKED else busy(status)
        async with VirtualBench(folder, target(url=receiver.url, concurrency=1, retry=LONG)) as bench:
            await bench.keep(range(WAITING))
            await bench.until_none_pending(within=600)
        return [request.at - receiver.requests[0].at for request in receiver.requests]


@pytest.mark.parametrize("status", [429, 503])
def test_the_whole_target_waits_until_the_time_it_has_named(tmp_path: Path, status: int) -> None:
    first, second, *rest = virtual.run(asked_to_wait(tmp_path, status))
    assert first == 0
    assert ASKED <= second < ASKED + 1.5
    assert len(rest) == WAITING - 1
    assert rest[-1] < ASKED + 5, "once it answers the others go too"


async def for_too_long(folder: Path) -> list[float]:
    async with receiving(lambda _request: busy(503, 86_400)) as receiver:
        policy = replace(LONG, max=30 * SECOND)
        async with VirtualBench(folder, target(url=receiver.url, concurrency=1, retry=policy)) as bench:
            await bench.keep(range(WAITING))
            await asyncio.sleep(100)
            record = await bench.delivery(0)
        assert record.due_at is not None
        assert record.due_at - record.attempts[0].started_at > 86_000 * SECOND, "the delivery itself waits as asked"
        return [request.at - receiver.requests[0].at for request in receiver.requests]


def test_it_is_open_for_no_longer_than_the_longest_pause_of_its_policy(tmp_path: Path) -> None:
    came = virtual.run(for_too_long(tmp_path))
    assert [round(at / 30) for at in came] == [0, 1, 2, 3]
    assert all(abs(at - round(at / 30) * 30) < 1.5 for at in came)


async def on_a_clock_that_is_set(folder: Path, by: timedelta) -> list[float]:
    """When the requests came, from the first one on, if the clock was set 5 s later."""
    offset = timedelta()

    def was_set(by: timedelta, now: datetime) -> None:
        bench.store.clock_set(by, now)
        bench.dispatcher.clock_set(by)

    clock = Clock(
        wall=lambda: (virtual.now() + offset).timestamp(),
        steady=asyncio.get_running_loop().time,
        was_set=was_set,
    )
    async with receiving() as receiver:
        receiver.answer = lambda _request: busy(503) if len(receiver.requests) == 1 else 200
        bench = VirtualBench(folder, target(url=receiver.url, concurrency=1, retry=LONG), clock=clock)
        async with bench:
            await bench.keep(range(3))
            await bench.until_attempted(1)
            await asyncio.sleep(5)
            offset = by
            await bench.until_none_pending(within=7_200)
        return [request.at - receiver.requests[0].at for request in receiver.requests]


@pytest.mark.parametrize("minutes", [-50, -1, 1, 50])
def test_a_clock_that_is_set_makes_it_neither_longer_nor_shorter(tmp_path: Path, minutes: int) -> None:
    came = virtual.run(on_a_clock_that_is_set(tmp_path, timedelta(minutes=minutes)))
    assert ASKED <= came[1] < ASKED + 1.5
    assert came[-1] < ASKED + 5


async def asked_while_a_probe_is_claimed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the requests came, from that moment on, if an older attempt brings the wish for a pause in it."""
    async with receiving() as receiver:
        receiver.answer = lambda _request: 500 if len(receiver.requests) == 1 else 200
        bot = target(url=receiver.url, concurrency=1, breaker_failures=1, retry=LONG)
        async with VirtualBench(folder, bot) as bench:
            claim, moments = bench.store.claim, []

            async def claimed(*asked: Any, **more: Any) -> Any:
                found = await claim(*asked, **more)
                circuit = bench.dispatcher._lanes["bot"].circuit
                if found and circuit.health is Health.OPEN and not moments:
                    moments.append(asyncio.get_running_loop().time())
                    wish = outcome(Reason.TOO_MANY, status=429, retry_after=ASKED * SECOND)
                    circuit.record(wish, bot, probe=False)
                return found

            monkeypatch.setattr(bench.store, "claim", claimed)
            await bench.keep(range(3))
            await bench.until_none_pending(within=600)
        return [request.at - moments[0] for request in receiver.requests]


def test_it_comes_before_a_probe_that_is_being_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    came = virtual.run(asked_while_a_probe_is_claimed(tmp_path, monkeypatch))
    assert ASKED <= came[1] < ASKED + 1.5


async def test_an_answer_to_what_began_before_ends_no_pause(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.gate.clear()
    receiver.answer = lambda request: busy(429) if request.event_id == event_id(1) else 200
    async with Bench(tmp_path, target(url=receiver.url, concurrency=2, retry=LONG)) as bench:
        await bench.keep([1, 2])
        await receiver.until(lambda r: r.in_flight == 2)
        receiver.moment = 0.0
        receiver.gate.set()
        await bench.until_attempted(2)
        await bench.keep([3])
        assert bench.dispatcher.health() == {"bot": Health.OPEN}
        assert len(receiver.requests) == 2


async def test_a_probe_that_waits_longer_than_it_was_asked_to_says_what_was_asked(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers(lambda _request: busy(503, 2))
    retry = replace(LONG, initial=50 * SECOND)
    async with Bench(tmp_path, target(url=receiver.url, breaker_failures=1, retry=retry)) as bench:
        await bench.keep([1])
        await bench.until_reported("bot", Health.OPEN)
        condition = (await bench.store.status()).targets["bot"].condition
    assert condition.error == "asked by Retry-After to wait 2 s: 5xx 503 slow down"
    assert condition.probe_at - condition.since > 40 * SECOND


async def test_status_is_told_until_when_and_why(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda _request: busy(429))
    async with Bench(tmp_path, target(url=receiver.url, retry=LONG)) as bench:
        await bench.keep([1])
        await bench.until_reported("bot", Health.OPEN)
        condition = (await bench.store.status()).targets["bot"].condition
        record = await bench.delivery(1)
    assert condition.error == "asked by Retry-After to wait 20 s: 429 slow down"
    assert abs(condition.probe_at - record.due_at) < SECOND
    [opened] = [each for each in bench.circuits if isinstance(each, CircuitOpened)]
    assert opened.detail == condition.error


async def test_a_reload_that_changes_the_target_ends_it(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.answer = lambda _request: busy(503) if len(receiver.requests) == 1 else 200
    bot = target(url=receiver.url, retry=LONG, concurrency=1)
    async with Bench(tmp_path, bot) as bench:
        await bench.keep([1, 2])
        await bench.until_attempted(1)
        bench.use(bot)
        assert bench.dispatcher.health() == {"bot": Health.OPEN}, "nothing is new"
        bench.use(replace(bot, concurrency=2))
        await bench.until_attempted(2)
    assert receiver.requests[-1].event_id == event_id(2)


async def test_a_replay_of_what_is_pending_ends_it(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    receiver.answer = lambda _request: busy(503) if len(receiver.requests) == 1 else 200
    async with Bench(tmp_path, target(url=receiver.url, retry=LONG, concurrency=1)) as bench:
        await bench.keep([1, 2])
        await bench.until_reported("bot", Health.OPEN)
        assert len(receiver.requests) == 1
        await replay(bench)
        await bench.until_none_pending()


# ---- a replay has an open circuit probed


async def replay(bench: Bench, **wanted: Any) -> int:
    """As `relay replay --state pending` does, beside the daemon."""
    command = SqliteStore.visit(bench.path)
    try:
        return await command.replay(Filter(states=(State.PENDING,), **wanted), act())
    finally:
        await command.close()


@pytest.mark.parametrize("due", [True, False])
async def test_an_open_circuit_is_probed_within_a_second_of_a_replay_of_what_is_pending(
    tmp_path: Path, receivers: Start, due: bool
) -> None:
    receiver, other = await receivers(lambda _request: 503), await receivers(lambda _request: 503)
    held = {"retry": every(60_000), "breaker_failures": 1, "concurrency": 1}
    both = target(url=receiver.url, **held), target(name="crm", url=other.url, **held)
    async with Bench(tmp_path, *both) as bench:
        await bench.keep([1, 2])
        await bench.until_reported("crm", Health.OPEN)
        await bench.until_reported("bot", Health.OPEN)
        assert len(receiver.requests) == 1
        receiver.answer = lambda _request: 200
        replayed = await replay(bench, target="bot", event_ids=(event_id(2 if due else 1),))
        assert replayed == (0 if due else 1), "what is due already is not replayed, but asked with"
        assert [each.count for each in await bench.store.audit(limit=9)] == [replayed]
        await receiver.until(lambda r: len(r.requests) >= 2)
        await asyncio.sleep(1.2)
        assert len(other.requests) == 1, "nobody wants that one probed"
        assert not (await bench.store.due([])).probes


async def test_a_target_that_answers_is_not_disturbed_by_it(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda request: 500 if request.attempt == 1 else 200)
    async with Bench(tmp_path, target(url=receiver.url, retry=every(60_000))) as bench:
        await bench.keep([1])
        await bench.until_attempted(1)
        assert await replay(bench) == 1
        await bench.until_none_pending()
        assert bench.dispatcher.health() == {"bot": Health.OK}


# ---- the breaker alone

PATIENT = target(breaker_failures=3, retry=LONG, dead_on=frozenset({503}), ok_on=frozenset({302}))


def after(breaker: Breaker, what: Outcome, *, probe: bool = False, **changes: Any) -> Breaker:
    return breaker.after(what, replace(PATIENT, **changes), probe=probe, now=NOON, roll=0.0)


def asks(seconds: float, status: int = 429) -> Outcome:
    return outcome(Reason.TOO_MANY, status=status, retry_after=timedelta(seconds=seconds))


OPEN = Breaker(health=Health.OPEN, failures=1, probes=1, probe_at=NOON + 20 * SECOND, requested=True)
WELL = outcome(Reason.OK, status=200)


@pytest.mark.parametrize(
    ("before", "what", "probe", "expected"),
    [
        (Breaker(), asks(20), False, OPEN),
        (Breaker(), asks(20, status=503), False, OPEN),  # although it is in dead_on
        (Breaker(), asks(20, status=500), False, Breaker(failures=1)),
        (Breaker(), asks(0), False, Breaker(failures=1)),
        (Breaker(), asks(86_400), False, replace(OPEN, probe_at=NOON + HOUR)),
        (OPEN, WELL, False, OPEN),
        (OPEN, outcome(status=500), False, OPEN),
        (OPEN, asks(5), False, OPEN),
        (OPEN, asks(30), False, replace(OPEN, probe_at=NOON + 30 * SECOND)),
        (OPEN.half_open(), WELL, True, Breaker()),
        (OPEN.half_open(), asks(20), False, OPEN.half_open()),
        (OPEN.half_open(), asks(20), True, replace(OPEN, failures=2, probes=2)),
        (OPEN.half_open(), asks(0.5), True, replace(OPEN, failures=2, probes=2, probe_at=NOON + 2 * SECOND)),
        (OPEN.probe_due(NOON), WELL, False, Breaker()),
    ],
)
def test_what_a_pause_that_was_asked_for_makes_of_the_breaker(
    before: Breaker, what: Outcome, probe: bool, expected: Breaker
) -> None:
    assert after(before, what, probe=probe) == expected


def test_a_status_that_counts_as_delivered_asks_for_nothing() -> None:
    assert after(Breaker(), asks(20, status=503), ok_on=frozenset({503})) == Breaker()


def test_a_short_pause_does_not_hasten_the_probe_of_a_target_that_fails() -> None:
    breaker = after(Breaker(failures=2), asks(0.1))
    assert breaker.probe_at == NOON + SECOND
