"""A log that nobody reads: a pipe to a program that hangs."""

import asyncio
import os
import select
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest

from tests.e2e.processes import RelayProcess
from tests.e2e.sender import post_lead
from tests.e2e.targets import listening, well
from tests.e2e.test_lifecycle import ALL, STOP_WITHIN, routes

NUMBER = 400  # webhooks, whose lines are more than a pipe takes


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[int]:
    """The reading end of what is to be the relay's log."""
    os.mkfifo(tmp_path / "relay.log")
    reading = os.open(tmp_path / "relay.log", os.O_RDONLY | os.O_NONBLOCK)
    yield reading
    os.close(reading)


def is_full(path: Path) -> bool:
    """Whether a writer would have to wait; bytes do not tell, because a write may leave the rest of a page unused."""
    writing = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        return not select.select([], [writing], [], 0)[1]
    finally:
        os.close(writing)


def read(pipe: int) -> bytes:
    found = b""
    with suppress(BlockingIOError):
        while piece := os.read(pipe, 65_536):
            found += piece
    return found


async def test_a_log_that_nobody_reads_holds_up_no_webhook_and_no_delivery(tmp_path: Path, pipe: int) -> None:
    async with listening(good=well) as targets:
        relay = RelayProcess(tmp_path, routes(targets, {"good": ALL}))
        await relay.start()
        try:
            slowest = 0.0
            for number in range(NUMBER):
                begun = monotonic()
                await post_lead(relay.hook, f"m{number}")
                slowest = max(slowest, monotonic() - begun)
            assert slowest < 2, "amoCRM's patience"
            await relay.drained()
            assert is_full(tmp_path / "relay.log")
            log = read(pipe)
            async with asyncio.timeout(10):
                while log.count(b'"message":"attempt"') < NUMBER:
                    await asyncio.sleep(0.05)
                    log += read(pipe)
        finally:
            await relay.kill()


async def test_a_log_that_nobody_reads_holds_up_no_stop(tmp_path: Path, pipe: int) -> None:
    async with listening(good=well) as targets:
        relay = RelayProcess(tmp_path, routes(targets, {"good": ALL}))
        await relay.start()
        try:
            for number in range(NUMBER):
                await post_lead(relay.hook, f"m{number}")
            assert is_full(tmp_path / "relay.log")
            relay.signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_WITHIN + 2):
                assert await relay.ended() == 0
        finally:
            await relay.kill()
