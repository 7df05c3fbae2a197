"""One relay is cut off from PostgreSQL, or its clock is wrong: neither loses, repeats or overtakes anything."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos.conftest import Report
from tests.chaos.faketime import lies
from tests.chaos.relays import CONCURRENCY, Relays, campaign
from tests.chaos.scale import scaled
from tests.postgres import Cluster

CUT_OFF = 25.0  # seconds: longer than it takes to be declared dead
WEBHOOKS = scaled(6000, least=1000)
TARGETS = 2


@pytest.mark.timeout(240)
async def test_a_relay_that_is_cut_off_spools_and_comes_back(tmp_path: Path, server: Cluster, report: Report) -> None:
    async def cuts_off(made: Relays) -> None:
        made.proxies["b"].hold()
        try:
            await asyncio.sleep(CUT_OFF)
        finally:
            made.proxies["b"].heal()

    seen = await campaign(tmp_path, server, cuts_off)
    report("a relay cut off", str(seen))
    seen.assert_nothing_went_wrong()
    seen.assert_all_answered_200()
    assert seen.repeats() <= TARGETS * 2 * CONCURRENCY


async def nothing(made: Relays) -> None:
    await made.sent(WEBHOOKS)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("off", ["+10m", "-1h"])
async def test_a_clock_that_is_wrong_is_no_matter(off: str, tmp_path: Path, server: Cluster, report: Report) -> None:
    clock = tmp_path / "clock"
    clock.write_text(f"{off}\n")

    seen = await campaign(tmp_path, server, nothing, variables={"b": lies(clock)})
    report(f"a clock {off}", str(seen))
    seen.assert_nothing_went_wrong()
    seen.assert_all_answered_200()
    assert seen.repeats() == 0
