"""`order: entity`: the events of a lead arrive one by one, however often the target fails; `none` lets them pass.

The checker is pure: visits at a target -> those that came before their turn.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from relay.model import Order
from relay.store.sqlite import write_queue
from tests.delivery.bench import Bench
from tests.delivery.conftest import SECOND, Receiver, Request, every, target

Start = Callable[..., Awaitable[Receiver]]

LEADS, EACH, STUCK = 50, 20, 3  # 1,000 events; lead 3 is the one that the target does not take
LUCK = 20  # any seed will do


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request with the event of that number, and whether the target took it."""

    number: int
    came: float
    went: float
    taken: bool


def early(visits: Iterable[Visit]) -> list[Visit]:
    """Those that came while another of their lead was there, or not right after the one before them was taken."""
    by_lead: dict[int, list[Visit]] = {}
    for visit in sorted(visits, key=lambda visit: visit.came):
        by_lead.setdefault(visit.number % LEADS, []).append(visit)
    return [
        after
        for visited in by_lead.values()
        for before, after in pairwise(visited)
        if after.came < before.went or after.number != before.number + (LEADS if before.taken else 0)
    ]


def to(receiver: Receiver, **changes: Any) -> Any:
    return target(url=receiver.url, **{"retry": every(5), "timeout": 5 * SECOND, "breaker_failures": 1000} | changes)


def lead(number: int) -> int:
    return number % LEADS


class Flaky:
    """Takes 70 % of requests, but those of the stuck lead only once it is free."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self.free = False
        self._luck = random.Random(LUCK)

    def __call__(self, request: Request) -> int:
        number = int(request.event_id[-5:])
        taken = self._luck.random() >= 0.3 and (self.free or lead(number) != STUCK)
        now = asyncio.get_running_loop().time()
        self.visits.append(Visit(number=number, came=request.at, went=now, taken=taken))
        return 200 if taken else 503

    def taken(self) -> list[int]:
        return [visit.number for visit in self.visits if visit.taken]


@pytest.mark.parametrize(("order", "kept"), [(Order.ENTITY, True), (Order.NONE, False)])
async def test_of_1000_events_those_of_a_lead_arrive_in_order_and_a_stuck_lead_delays_no_other(
    tmp_path: Path, receivers: Start, order: Order, kept: bool
) -> None:
    flaky = Flaky()
    async with Bench(tmp_path, to(await receivers(flaky), order=order)) as bench:
        for first in range(0, LEADS * EACH, LEADS):
            await bench.keep(range(first, first + LEADS), lead=lead)
        await bench.until(lambda: len(flaky.taken()) == (LEADS - 1) * EACH, within=30)
        assert STUCK not in map(lead, flaky.taken()), "all others are done, and it never was in their way"
        flaky.free = True
        await bench.until_none_pending(within=30)
    assert sorted(flaky.taken()) == list(range(LEADS * EACH)), "each event once"
    assert sum(not visit.taken for visit in flaky.visits) > LEADS * EACH * 0.3, "it failed often enough"
    assert (not early(flaky.visits)) is kept


async def test_the_next_event_of_a_lead_follows_at_once(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers(lambda request: 503 if request.attempt == 1 else 200)
    async with Bench(tmp_path, to(receiver, retry=every(10), order=Order.ENTITY)) as bench:
        bench.stop_polling()  # the lane claims the next one by itself
        await bench.keep(range(1, 101), lead=lambda number: number % 4)
        await bench.until_none_pending(within=30)
    assert {int(request.event_id[-5:]) for request in receiver.requests} == set(range(1, 101))


async def test_the_next_event_of_a_lead_does_not_wait_for_what_is_stored_next(
    tmp_path: Path, receivers: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_queue, "LONGEST_WAIT", 3600.0)
    async with Bench(tmp_path, to(await receivers(lambda _request: 200), order=Order.ENTITY)) as bench:
        bench.stop_polling()
        await bench.keep(range(1, 5), lead=lambda _number: 1)
        await bench.until_none_pending(within=10)


# ---- the checker

FIRST = Visit(number=7, came=1.0, went=1.1, taken=True)
NEXT = Visit(number=7 + LEADS, came=1.2, went=1.3, taken=True)


def test_one_after_another_is_in_order() -> None:
    assert early([NEXT, FIRST]) == []
    assert early([replace(FIRST, came=0.5, went=0.6, taken=False), FIRST, NEXT]) == []


def test_other_leads_are_in_nobodys_way() -> None:
    assert early([FIRST, replace(FIRST, number=8), replace(NEXT, number=9)]) == []


@pytest.mark.parametrize(
    "visits",
    [
        [replace(FIRST, taken=False), NEXT],
        [FIRST, replace(NEXT, came=1.05)],
        [FIRST, replace(NEXT, number=7 + 2 * LEADS)],
        [replace(NEXT, came=0.8, went=0.9), FIRST],
        [FIRST, replace(FIRST, came=1.2, went=1.3)],
    ],
    ids=["though the one before failed", "beside it", "instead of another", "the wrong way round", "once more"],
)
def test_what_comes_before_its_turn_is_found(visits: list[Visit]) -> None:
    assert len(early(visits)) == 1
