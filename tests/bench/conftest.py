"""What several of these tests need: wrk, a short plan, and a machine that others use."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.bench.rounds import Plan
from tests.bench.wrk import MISSING
from tests.e2e.processes import run


@pytest.fixture
def wrk() -> None:
    """Where it is missing the test is skipped, and in CI it fails."""
    if not shutil.which("wrk"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(folder=tmp_path, rounds=1, seconds=1, quick=True)


BURN = "while :; do :; done >/dev/null 2>&1 & echo $!"
"""In a shell that ends: what burns belongs to init, and was not started by this process."""


@pytest.fixture
async def taken() -> AsyncIterator[None]:
    """A machine on which others keep every processor busy."""
    pids = [int((await run("sh", "-c", BURN))[1]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, SIGKILL)
