"""SIGTERM before a relay is ready: the start ends cleanly, and a second signal ends the process at once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from relay.daemon import process
from relay.daemon.process import serve

SECOND = 0.05  # seconds between two signals


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Codes with which the process would have ended at once."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    return codes


async def served(monkeypatch: pytest.MonkeyPatch, start: Callable[[], Awaitable[None]]) -> int:
    """Serve a relay that only starts, and return the exit code."""

    @asynccontextmanager
    async def running(*_arguments: Any, **_more: Any) -> AsyncIterator[None]:
        await start()
        pytest.fail("it did not end")
        yield

    monkeypatch.setattr(process, "running", running)
    try:
        return await asyncio.create_task(serve(None, emit=lambda _signal: None, registry=CollectorRegistry()))
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)


async def terminated() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(SECOND)


async def a_late_store() -> None:
    """It goes on for a while after the time that it is given."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                with suppress(asyncio.CancelledError):
                    await terminated()
                raise
    await asyncio.sleep(60)


async def test_it_is_a_clean_stop_also_while_a_call_of_the_start_is_over_its_time(
    monkeypatch: pytest.MonkeyPatch, exits: list[int]
) -> None:
    assert await served(monkeypatch, a_late_store) == 0
    assert exits == []


async def test_a_second_one_ends_the_process_at_once(monkeypatch: pytest.MonkeyPatch, exits: list[int]) -> None:
    async def twice() -> None:
        with suppress(asyncio.CancelledError):
            await terminated()
        await terminated()
        raise asyncio.CancelledError

    assert await served(monkeypatch, twice) == 0
    assert exits == [1]
