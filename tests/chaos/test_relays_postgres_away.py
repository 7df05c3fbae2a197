"""PostgreSQL crashes, stands still, or is not there yet: senders are answered 200 all along."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.chaos.conftest import Report
from tests.chaos.relays import Relays, campaign, relays
from tests.chaos.scale import SEED, scaled
from tests.postgres import Cluster

CRASHES = scaled(20, least=1)
FROZEN = 10.0  # seconds: longer than a transaction may take


@pytest.mark.timeout(180 + 12 * CRASHES)
async def test_a_crash_of_postgresql_is_no_matter_of_the_sender(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    chance = Random(SEED)

    async def crashes(made: Relays) -> None:
        for _ in range(CRASHES):
            await asyncio.to_thread(server.stop, "immediate")
            try:
                await asyncio.sleep(chance.uniform(2.0, 6.0))
            finally:
                await asyncio.to_thread(server.start)
            await made.sent(400)

    seen = await campaign(tmp_path, server, crashes)
    report("PostgreSQL crashes", f"{CRASHES} crashes: {seen}")
    seen.assert_nothing_went_wrong()
    seen.assert_all_answered_200()


@pytest.mark.timeout(240)
async def test_a_postgresql_that_stands_still_is_no_matter_of_the_sender(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    async def stands_still(_made: Relays) -> None:
        await asyncio.to_thread(server.freeze)
        try:
            await asyncio.sleep(FROZEN)
        finally:
            await asyncio.to_thread(server.thaw)

    seen = await campaign(tmp_path, server, stands_still)
    report("PostgreSQL frozen", str(seen))
    seen.assert_nothing_went_wrong()
    seen.assert_all_answered_200()


@pytest.mark.timeout(240)
async def test_webhooks_that_came_before_postgresql_survive_kill_9_in_the_spool(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    async with relays(tmp_path, server, started=False) as made:
        for proxy in made.proxies.values():
            proxy.refuse()
        for each in made.relays.values():
            await each.start()
        async with made.loaded({name: each.hook for name, each in made.relays.items()}):
            await made.sent(400)
            await made.relays["b"].kill()
            await made.sent(100)
            await made.relays["b"].start()
            assert not made.targets.received
            for proxy in made.proxies.values():
                proxy.heal()
            await made.sent(400)
        seen = await made.judged()
    report("start without PostgreSQL", str(seen))
    seen.assert_nothing_went_wrong()
    assert seen.repeats() == 0
