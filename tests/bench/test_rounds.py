"""Rounds on a machine that others use: their share is told, and a figure is not."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import rounds
from tests.bench.processor import cpu_seconds
from tests.bench.rounds import Machine, Plan, alternating
from tests.e2e.processes import run


@pytest.mark.usefixtures("taken")
async def test_a_machine_that_others_use_says_how_much_they_have() -> None:
    machine = Machine()
    await asyncio.sleep(1)
    assert 0.2 < machine.others() <= 1.1


async def test_what_this_process_started_is_not_others() -> None:
    """Neither while it runs nor once it has ended."""
    spin = "from time import process_time\nwhile process_time() < 0.5: pass"
    start = rounds.processor_time()
    await run(sys.executable, "-c", spin)
    assert rounds.processor_time() - start > 0.45
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
    try:
        start = rounds.processor_time()
        async with asyncio.timeout(20):
            while cpu_seconds([process.pid]) < 1:  # noqa: ASYNC110  the system tells nobody
                await asyncio.sleep(0.1)
        assert rounds.processor_time() - start > 0.9
    finally:
        process.kill()
        await process.wait()


@pytest.mark.usefixtures("taken")
async def test_a_taken_machine_has_no_ratio_and_the_exit_code_says_so(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    command = (sys.executable, "-m", "tests.bench", "--quick", "--rounds=1", "--only=decoding", f"--json={written}")
    code, printed, complaint = await run(*command)
    assert code == 3, complaint
    assert printed.count("NO FIGURE\n") == 6
    assert "NO FIGURES in 6 of 6 rows: others had more than 10% of the processors" in printed
    document = json.loads(written.read_text())
    assert document["rows without figures"] == 6
    for row in document["rows"]:
        assert (row["relay"], row["ratio"], row["met"]) == (None, None, None)
        assert row["others"]["taken"] > row["others"]["limit"] == 0.1
        assert row["samples"]["relay"]


@pytest.mark.parametrize(
    ("shares", "kept", "aside", "is_taken"),
    [
        ([0.0, 0.1], [0, 1], [], False),
        ([0.0, 0.5, 0.11, 0.1], [0, 3], [0.5, 0.11], False),
        ([0.5, 0.5, 0.0, 0.4], [2, 3], [0.5, 0.5], True),
        ([0.5, 0.5, 0.4, 0.3], [2, 3], [0.5, 0.5], True),
    ],
)
async def test_a_round_that_others_disturbed_is_repeated_but_not_for_ever(
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
    shares: list[float],
    kept: list[int],
    aside: list[float],
    is_taken: bool,
) -> None:
    left, numbers = iter(shares), iter(range(9))
    monkeypatch.setattr(Machine, "others", lambda _machine: next(left))

    async def sample() -> int:
        return next(numbers)

    found = await alternating(replace(plan, rounds=2, repeats=2), side=sample)
    assert found.samples["side"] == kept
    assert found.others.aside == aside
    assert (found.others.taken is not None) is is_taken
