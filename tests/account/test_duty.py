"""A duty is carried out by the relay that leads, and its failures stop nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from relay.account.duty import Duty, carry_out
from relay.errors import AccountAway, StoreBusy, StoreFailed
from relay.signals import Notice, Signal


class Work:
    """Counts its runs, and fails as it is told."""

    def __init__(self) -> None:
        self.runs = 0
        self.failure: Exception | None = None

    async def __call__(self) -> float:
        self.runs += 1
        if self.failure:
            raise self.failure
        return 0.0

    async def runs_again(self) -> None:
        before = self.runs
        async with asyncio.timeout(5):
            while self.runs < before + 2:  # noqa: ASYNC110  a turn of the loop is what counts
                await asyncio.sleep(0)


@pytest.fixture
def work() -> Work:
    return Work()


@asynccontextmanager
async def carried_out(
    work: Work, *, leads: Callable[[], bool] = lambda: True, by_all: bool = False
) -> AsyncIterator[list[Signal]]:
    emitted: list[Signal] = []
    duty = Duty(name="test", run=work, by_all=by_all, again=0.0)
    task = asyncio.create_task(carry_out(duty, leads=leads, emit=emitted.append))
    yield emitted
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("by_all", [False, True])
async def test_a_relay_that_does_not_lead_does_only_what_all_do(
    work: Work, monkeypatch: pytest.MonkeyPatch, *, by_all: bool
) -> None:
    monkeypatch.setattr("relay.account.duty.FOLLOWING", 0.0)
    asked = 0

    def leads() -> bool:
        nonlocal asked
        asked += 1
        return False

    async with carried_out(work, leads=leads, by_all=by_all):
        for _ in range(100):
            await asyncio.sleep(0)
    assert bool(work.runs) == by_all
    assert bool(asked) != by_all


async def test_a_relay_that_leads_from_now_on_begins(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.account.duty.FOLLOWING", 0.0)
    leading = False
    async with carried_out(work, leads=lambda: leading):
        for _ in range(20):
            await asyncio.sleep(0)
        assert not work.runs
        leading = True
        await work.runs_again()


@pytest.mark.parametrize("failure", [AccountAway("no answer"), StoreBusy("locked"), ValueError("a bug")])
async def test_a_failure_is_followed_by_another_try(work: Work, failure: Exception) -> None:
    work.failure = failure
    async with carried_out(work) as emitted:
        await work.runs_again()
        await work.runs_again()
        work.failure = None
        await work.runs_again()
    bugs = [each for each in emitted if isinstance(each, Notice)]
    assert len(bugs) == isinstance(failure, ValueError), "each bug is told once"


async def test_a_store_that_failed_ends_it(work: Work) -> None:
    work.failure = StoreFailed("the disk")
    with pytest.raises(StoreFailed):
        await carry_out(Duty(name="test", run=work), leads=lambda: True, emit=lambda _signal: None)
