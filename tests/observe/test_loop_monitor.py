"""A loop that is held up is told of, and one that is not is left alone."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
import uvloop

from relay.observe.loop_monitor import EVERY, TOO_LATE, monitor_loop
from relay.signals import Blocked, Signal

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_blocked_loop_is_reported_with_its_duration(run: Run) -> None:
    told: list[Signal] = []

    async def scene() -> None:
        monitoring = asyncio.create_task(monitor_loop(told.append))
        await asyncio.sleep(EVERY / 2)
        time.sleep(EVERY + 2 * TOO_LATE)  # noqa: ASYNC251  nothing else holds a loop up
        await asyncio.sleep(EVERY / 2)
        monitoring.cancel()
        with suppress(asyncio.CancelledError):
            await monitoring

    run(scene())
    assert [type(each) for each in told] == [Blocked]
    assert isinstance(told[0], Blocked)
    assert told[0].late.total_seconds() > TOO_LATE
