"""Beside five targets that hang, with all that they may have in flight, a sixth keeps its throughput.

What it takes is bounded by its own answers, a tenth of a second each. On a loop whose time passes only while nothing
happens that is exact: whatever it has to wait for, other than them, is seen, and a busy machine is not.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from relay.delivery import lane
from relay.delivery.send import Sender
from relay.model import Outcome
from tests.delivery import virtual
from tests.delivery.bench import Bench
from tests.delivery.conftest import SECOND, Receiver, receiving, target
from tests.delivery.virtual import VirtualBench

HANGING, CONCURRENCY, MOMENT = 5, 8, 0.1
PATIENCE = 0.6  # seconds, and a tenth more for each of them: a round has all of them time out and begin again
DELIVERIES = 80
KEPT = 0.9  # of what it takes alone
ROUNDS = 3


async def alone_and_beside_hanging(folder: Path, new_bench: Callable[..., Bench]) -> tuple[float, float]:
    """The throughput of a target alone, and then beside five that hang."""
    async with AsyncExitStack() as stack:
        well, stuck = [await stack.enter_async_context(receiving()) for _ in range(2)]
        well.moment = MOMENT
        stuck.gate.clear()
        bot = target(url=well.url, concurrency=CONCURRENCY)
        hanging = [
            target(name=f"hangs-{n}", url=stuck.url, timeout=(PATIENCE + n / 10) * SECOND, breaker_failures=1_000_000)
            for n in range(HANGING)
        ]
        async with new_bench(new_folder(folder), bot) as bench:
            alone = await per_second(well, bench)
        async with new_bench(new_folder(folder), bot, *hanging) as bench:
            await bench.keep(range(2 * CONCURRENCY))
            await stuck.until(lambda r: r.in_flight == HANGING * CONCURRENCY)
            await bench.until_none_pending()
            return alone, await per_second(well, bench)


def kept(folder: Path) -> float:
    """The share of its throughput alone that a target keeps, where time passes only while nothing happens."""
    alone, beside = virtual.run(alone_and_beside_hanging(folder, VirtualBench))
    return beside / alone


def new_folder(within: Path) -> Path:
    folder = within / str(len(list(within.iterdir())))
    folder.mkdir()
    return folder


async def per_second(receiver: Receiver, bench: Bench) -> float:
    """How many of its deliveries, which are all there from the start, arrive in a second."""
    receiver.requests.clear()
    await bench.keep(range(1000, 1000 + DELIVERIES))
    await bench.until_none_pending(within=60)
    assert len(receiver.requests) == DELIVERIES
    return DELIVERIES / (receiver.requests[-1].at - receiver.requests[0].at)


def test_a_target_keeps_nine_tenths_of_its_throughput_beside_five_that_hang(tmp_path: Path) -> None:
    assert kept(tmp_path) >= KEPT


async def test_nor_does_the_work_for_those_that_hang_slow_it_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = [await alone_and_beside_hanging(tmp_path, Bench) for _ in range(ROUNDS)]
    alone, beside = map(max, zip(*rounds, strict=True))  # the best: other work on the machine only lowers them
    with capsys.disabled():
        print(f"\nbeside {HANGING} targets that hang another keeps {beside / alone:.1%} of its throughput")
    assert beside / alone >= 0.75, "in real time, on a machine that may have other work"


def test_targets_that_share_what_may_be_in_flight_are_found_guilty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = asyncio.Semaphore(HANGING * CONCURRENCY)  # a connector's limit for all, which would do but for one target

    class Sharing(Sender):
        async def send(self, *request: Any, **how: Any) -> Outcome:
            async with shared:
                return await super().send(*request, **how)

    monkeypatch.setattr(lane, "Sender", Sharing)
    assert kept(tmp_path) < KEPT
