"""One relay is cut off from PostgreSQL, or its clock is wrong: neither loses, repeats or overtakes anything."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos.conftest import Report
from tests.chaos.faketime import lies
from tests.chaos.relays import CONCURRENCY, PER_SECOND, Relays, campaign
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import AT_LENGTH, at_length
from tests.chaos.trials import TRIALS, found_guilty
from tests.postgres import Cluster

APART = "ba" if AT_LENGTH else "b"
CUT_OFF = at_length(60, briefly=20)  # seconds: longer than it takes to be declared dead
WEBHOOKS = at_length(6000, briefly=150)
TARGETS = 2


@pytest.mark.timeout(180 + 4 * CUT_OFF)
async def test_a_relay_that_is_cut_off_spools_and_comes_back(tmp_path: Path, server: Cluster, report: Report) -> None:
    async def cuts_off(made: Relays) -> None:
        for name in APART:
            made.proxies[name].hold()
            try:
                await asyncio.sleep(CUT_OFF)
            finally:
                made.proxies[name].heal()
            await made.sent(4 * PER_SECOND)

    seen = await campaign(tmp_path, server, cuts_off)
    report("a relay cut off", f"{CUT_OFF} s of {APART}: {seen}")
    seen.assert_nothing_went_wrong()
    seen.assert_all_answered_200()
    assert seen.repeats() <= len(APART) * TARGETS * 2 * CONCURRENCY


def clocks(folder: Path, **off: str) -> dict[str, dict[str, str]]:
    """Variables of relays whose clocks are off by so much."""
    for name, by in off.items():
        (folder / f"{name}.clock").write_text(f"{by}\n")
    return {name: lies(folder / f"{name}.clock") for name in off}


async def nothing(made: Relays) -> None:
    await made.sent(WEBHOOKS)


@pytest.mark.timeout(240)
async def test_clocks_that_are_wrong_are_no_matter(tmp_path: Path, server: Cluster, report: Report) -> None:
    seen = await campaign(tmp_path, server, nothing, variables=clocks(tmp_path, a="-1h", b="+10m"))
    report("clocks -1h and +10m", str(seen))
    seen.assert_nothing_went_wrong()
    seen.assert_all_answered_200()
    seen.assert_nothing_was_repeated()


@pytest.mark.timeout(120 * TRIALS)
async def test_a_relay_that_asks_its_own_clock_is_found_guilty(tmp_path: Path, server: Cluster, report: Report) -> None:
    async def repeats(folder: Path, _seed: int) -> bool:
        command, variables = sabotaged("asks_its_own_clock"), clocks(folder, b="+1h")
        seen = await campaign(folder, server, nothing, variables=variables, command=command, deliver=False, within=10)
        report("a clock +1h", f"sabotaged, trusted: {seen}")
        return seen.repeats() > 0

    assert await found_guilty(tmp_path, repeats)
