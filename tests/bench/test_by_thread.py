"""Processor time: of all threads, of each thread, and what some cores could do by it."""

import asyncio
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import acks, budget, by_thread
from tests.bench.processor import LOG, LOOP, STORE, cpu_by_thread, cpu_seconds
from tests.bench.rounds import Others, Plan
from tests.bench.servers import NAMED, relaying
from tests.bench.through import Through


async def test_the_processor_time_is_that_of_all_threads() -> None:
    """Of a process whose first thread only waits."""
    spin = "import threading\nthreading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", spin)
    try:
        start = cpu_seconds([process.pid])
        async with asyncio.timeout(20):
            while cpu_seconds([process.pid]) < start + 0.3:  # noqa: ASYNC110  the system tells nobody
                await asyncio.sleep(0.05)
        assert process.returncode is None, "it is at work, and was counted"
    finally:
        process.kill()
        await process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="no schedstat")
async def test_the_processor_time_of_a_relay_is_told_by_thread(tmp_path: Path) -> None:
    async with relaying(tmp_path, acks.NOWHERE, command=NAMED) as relay:
        spent = cpu_by_thread(relay.pids)
        assert {LOOP, STORE, LOG} <= spent.keys()
        assert sum(spent.values()) == pytest.approx(cpu_seconds(relay.pids), rel=0.2)
        assert spent[LOOP] > spent[STORE] > 0


def test_what_some_cores_could_do_is_computed_from_the_loops_time_and_that_of_all_threads() -> None:
    assert by_thread.bounds(loop=200, total=250, cores=1) == (4000, 4000)
    assert by_thread.bounds(loop=200, total=250, cores=4) == (4000, 5000)
    assert by_thread.bounds(loop=100, total=500, cores=4) == (2000, 8000)
    assert by_thread.bounds(loop=100, total=500, cores=16) == (2000, 10000)
    rows = by_thread.rows_by_thread("acks", [Through(rate=1, cpu=250, p50=1, threads={LOOP: 200, STORE: 50})], Others())
    told = by_thread.told(by_thread.computed(rows))
    assert told.startswith("COMPUTED, not measured,")
    assert "   1 core   4,000 webhooks/s" in told
    assert "  16 cores  4,000 – 5,000 webhooks/s" in told
    taken = [replace(row, others=Others(limit=0.1, shares=[0.5])) for row in rows]
    alone = [replace(row, bench=f"{by_thread.WAITING}acks") for row in rows]
    assert by_thread.computed(taken) == by_thread.computed(alone) == []


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("wrk")
@pytest.mark.skipif(sys.platform != "linux", reason="no schedstat")
async def test_a_budget_counts_threads_waits_and_calls_of_a_webhook(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "OUTPUT", plan.folder / "budget.txt")
    told = await budget.measure(plan, numbers=[1])
    lines = {line[:28].strip(): float(line.split()[-1].replace(",", "")) for line in told.splitlines()[2:]}
    assert lines["processor, all threads, µs"] > lines[LOOP] > 0
    if shutil.which("strace"):
        assert 1 <= lines["fdatasync"] < 4, "before the answer, and when it is settled"
        assert lines["pwrite64"] > 2


def test_a_traced_call_that_is_interrupted_is_counted_once() -> None:
    lines = """\
7 pwrite64(9, "x"..., 24, 32) = 24
7 fdatasync(9 <unfinished ...>
8 pwrite64(9, "x"..., 24, 32) = 24
7 <... fdatasync resumed>) = 0
"""
    assert budget.calls(lines) == {"pwrite64": 2, "fdatasync": 1}
