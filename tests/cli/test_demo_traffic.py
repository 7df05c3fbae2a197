"""The warehouse of the demo: refuses first attempts in the show, then everything while it is down, and nothing else."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from relay.cli import demo_stage
from relay.cli.demo_traffic import DownAtTimes, post
from relay.daemon.wiring import running, url
from relay.model import Dead, Delivered, Delivery
from relay.signals import Attempted, CircuitClosed, CircuitOpened, Signal

PATIENCE = 60


def test_it_refuses_first_attempts_until_it_is_switched_and_then_everything_while_it_is_down() -> None:
    warehouse = DownAtTimes(fail_first=1)
    assert [warehouse.answer(nth) for nth in (1, 2, 3)] == [503, 200, 200]
    assert warehouse.switch(down=True) and not warehouse.switch(down=True)
    assert [warehouse.answer(nth) for nth in (1, 2, 3)] == [503, 503, 503]
    assert warehouse.switch(down=False)
    assert [warehouse.answer(nth) for nth in (1, 2, 3)] == [200, 200, 200]


class Witness:
    """What the relay says of the warehouse, and a way to wait for it."""

    def __init__(self) -> None:
        self.delivered, self.dead = set[str](), set[str]()
        self.opened = self.closed = False
        self.refused = 0
        self._news = asyncio.Event()

    def __call__(self, signal: Signal) -> None:
        match signal:
            case Attempted(delivery=Delivery(target="warehouse"), verdict=Delivered()):
                self.delivered.add(signal.delivery.event_id)
            case Attempted(delivery=Delivery(target="warehouse"), verdict=Dead()):
                self.dead.add(signal.delivery.event_id)
            case Attempted(delivery=Delivery(target="warehouse")):
                self.refused += 1
            case CircuitOpened():
                self.opened = True
            case CircuitClosed():
                self.closed = True
            case _:
                return
        self._news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._news.clear()
                await self._news.wait()


async def test_its_circuit_closes_by_itself_in_the_good_minute_and_what_is_dead_can_be_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = demo_stage.ROUTES.replace("initial: 1s, max: 10s", "initial: 20ms, max: 100ms")
    assert quick != demo_stage.ROUTES
    monkeypatch.setattr(demo_stage, "ROUTES", quick)
    warehouse, seen = DownAtTimes(fail_first=1), Witness()
    async with AsyncExitStack() as stack:
        settings = await demo_stage.prepare(stack, tmp_path, warehouse)
        relay = await stack.enter_async_context(running(settings, emit=seen, registry=CollectorRegistry()))
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        hook = demo_stage.hook(relay, settings)

        warehouse.switch(down=True)
        await post(session, hook, "leads.status")
        await seen.until(lambda: len(seen.dead) == 1)
        for _ in range(12):
            await post(session, hook, "leads.status")
        await seen.until(lambda: seen.opened)
        for _ in range(12):
            await post(session, hook, "leads.status")
        assert not seen.delivered

        warehouse.switch(down=False)
        seen.refused = 0
        await seen.until(lambda: seen.closed and len(seen.delivered | seen.dead) == 25)
        assert seen.delivered and seen.refused <= 1, "but for a probe that was under way"
        replay = {"filter": {"target": "warehouse", "state": ["dead"]}}
        async with session.post(f"{url(relay.admin_listening)}/api/v1/replays", json=replay) as answer:
            assert answer.ok, await answer.text()
        await seen.until(lambda: len(seen.delivered) == 25)
