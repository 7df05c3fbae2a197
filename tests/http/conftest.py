"""Every test of targets is run with both clients, every test of listeners with both protocols."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from relay.http.aiohttp_version import Variant
from tests.clients import client, new_client, sender

__all__ = ["client", "new_client", "sender"]

LONG = 40.0  # seconds, within which a test is over if nobody waits without need, on a busy machine too
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """The daemon's loop, and that of the tests."""

    async def bounded(scene: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(LONG):
            await scene

    return lambda scene: request.param(bounded(scene))


@pytest.fixture(params=Variant)
def variant(request: pytest.FixtureRequest) -> Variant:
    """Which of the two protocols serves."""
    chosen: Variant = request.param
    return chosen
