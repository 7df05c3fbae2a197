"""Six hours without a target, at the default policy: nothing is lost, only probes spend attempts, nobody stampedes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from relay.delivery.breaker import LONGEST_PAUSE
from relay.model import State
from relay.signals import Attempted
from relay.store.records import DeliveryRecord
from tests.delivery import virtual
from tests.delivery.bench import event_id
from tests.delivery.conftest import SECOND, Request, receiving, target
from tests.delivery.virtual import VirtualBench
from tests.e2e.processes import free_port

pytestmark = pytest.mark.timeout(180)  # it takes ten seconds of a disk that is quick to sync

HOURS, PER_MINUTE = 6, 3
AT_ONCE = 40  # come first, so that some are claimed already when the circuit opens
FAILURES, CONCURRENCY, RATE = 10, 8, 50.0
MOMENT = 0.1  # seconds the target takes to answer: the rate allows five at a time
WARMING_UP = 10  # probes that come sooner than a minute after the one before


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What was seen of it. `in_vain` and `waiting` are as of `back_at`, when the target came back."""

    in_vain: Sequence[Attempted]
    waiting: Sequence[DeliveryRecord]
    back_at: float
    requests: Sequence[Request]
    most_in_flight: int
    ended: Sequence[DeliveryRecord]

    def probes(self) -> list[datetime]:
        """When each of the attempts began after the circuit opened."""
        return [each.outcome.started_at for each in self.in_vain[FAILURES:]]

    def spent(self) -> int:
        """Attempts that the store counts."""
        return sum(each.attempt for each in self.waiting)

    def busiest_second(self) -> int:
        """The most requests that came within one."""
        came = [request.at for request in self.requests]
        return max(sum(at < begin + 1 for at in came[n:]) for n, begin in enumerate(came))


async def outage(folder: Path, *, hours: int, per_minute: int, **changes: Any) -> Outage:
    """Events arrive for hours while nobody listens where they are to go; then somebody does."""
    port, kept = free_port(), AT_ONCE + hours * 60 * per_minute
    bot = target(url=f"http://127.0.0.1:{port}/in", concurrency=CONCURRENCY, rate=RATE, **changes)
    async with VirtualBench(folder, bot) as bench:
        bench.stop_polling()  # the lane has to look by itself
        await bench.keep(range(AT_ONCE))
        for first in range(AT_ONCE, kept, per_minute):
            await bench.keep(range(first, first + per_minute))
            await asyncio.sleep(60)
        in_vain, waiting = bench.attempted.copy(), await bench.deliveries()
        back_at = asyncio.get_running_loop().time()
        async with receiving(port=port) as receiver:
            receiver.moment = MOMENT
            await bench.until_attempted(len(in_vain) + kept, within=7200)
            return Outage(
                in_vain=in_vain,
                waiting=waiting,
                back_at=back_at,
                requests=receiver.requests,
                most_in_flight=receiver.most_in_flight,
                ended=await bench.deliveries(),
            )


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Outage:
    return virtual.run(outage(tmp_path_factory.mktemp("outage"), hours=HOURS, per_minute=PER_MINUTE))


def test_everything_arrives_once(seen: Outage) -> None:
    assert sorted(request.event_id for request in seen.requests) == [event_id(n) for n in range(len(seen.ended))]
    assert len(seen.ended) == AT_ONCE + HOURS * 60 * PER_MINUTE
    assert {each.state for each in seen.ended} == {State.DELIVERED}


def test_while_it_is_away_one_probe_a_minute_spends_attempts_and_nothing_else_does(seen: Outage) -> None:
    pauses = [after - before for before, after in pairwise(seen.probes())]
    assert SECOND < min(pauses) <= max(pauses) <= LONGEST_PAUSE + SECOND
    assert seen.spent() == len(seen.in_vain) <= allowed(HOURS)
    assert sum(each.attempt == 0 for each in seen.waiting) >= len(seen.waiting) - allowed(HOURS)


def allowed(hours: int) -> int:
    """Attempts: those until the circuit opens, and probes."""
    return FAILURES + WARMING_UP + hours * timedelta(hours=1) // LONGEST_PAUSE


def test_that_it_is_back_is_noticed_within_a_minute_by_one_that_asks_first(seen: Outage) -> None:
    first, second, *_ = seen.requests
    assert first.at - seen.back_at <= LONGEST_PAUSE.total_seconds() + 1
    assert second.at >= first.at + MOMENT


def test_it_then_gets_what_it_missed_as_fast_as_it_may_and_no_faster(seen: Outage) -> None:
    took = seen.requests[-1].at - seen.requests[0].at
    assert seen.most_in_flight <= CONCURRENCY
    assert seen.busiest_second() <= RATE * 1.1
    assert took <= len(seen.requests) / RATE * 1.1


def test_a_relay_whose_circuits_never_open_is_found_guilty(tmp_path: Path) -> None:
    careless = virtual.run(outage(tmp_path, hours=1, per_minute=1, breaker_failures=1_000_000))
    assert careless.spent() > 2 * allowed(hours=1)
