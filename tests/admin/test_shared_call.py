"""One call for many requests: what is outdated while it is waited for, and what is under way at the end."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from relay.admin.shared_call import SharedCall


class Calls:
    """A call that ends when its gate is opened, and returns its number."""

    def __init__(self) -> None:
        self.gates: list[asyncio.Event] = []
        self.shared = SharedCall(self)

    async def __call__(self) -> int:
        self.gates.append(gate := asyncio.Event())
        number = len(self.gates)
        await gate.wait()
        return number

    async def until_begun(self, times: int) -> None:
        while len(self.gates) < times:  # noqa: ASYNC110  each begins at once
            await asyncio.sleep(0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    monkeypatch.setattr("relay.admin.shared_call.STORE_TIMEOUT", timedelta(seconds=60))
    yield Calls()


async def test_whoever_waits_for_what_is_outdated_meanwhile_gets_the_next(calls: Calls) -> None:
    waits = asyncio.create_task(calls.shared.result())
    await calls.until_begun(1)
    calls.shared.outdate()
    calls.gates[0].set()
    await calls.until_begun(2)
    calls.gates[1].set()
    assert await waits == 2


async def test_each_that_is_under_way_is_cancelled_in_the_end(calls: Calls) -> None:
    before = asyncio.all_tasks()
    waits = []
    for times in (1, 2, 3):
        waits.append(asyncio.create_task(calls.shared.result()))
        await calls.until_begun(times)
        calls.shared.outdate()
    begun = asyncio.all_tasks() - before - {*waits}
    assert len(begun) == 3
    for each in waits:
        each.cancel()
    await calls.shared.stop()
    assert all(each.cancelled() for each in begun)
