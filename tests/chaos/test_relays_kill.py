"""Two relays on one PostgreSQL: one is killed again and again, dies for good, or stands still; nothing is lost."""

import asyncio
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGSTOP

import pytest

from tests.chaos.conftest import Report
from tests.chaos.relays import CONCURRENCY, PER_SECOND, Relays, campaign
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import SEED, at_length
from tests.chaos.trials import TRIALS, found_guilty
from tests.postgres import Cluster

KILLS = at_length(50, briefly=4)
FREEZES = at_length(5, briefly=1)
FROZEN = 20.0  # seconds: longer than it takes to be declared dead
TARGETS = 2


@pytest.mark.timeout(180 + 12 * KILLS)
async def test_kill_9_of_a_relay_loses_nothing_and_what_the_last_one_held_is_delivered_by_the_other(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    chance = Random(SEED)

    async def kills(made: Relays) -> None:
        for _ in range(KILLS - 1):
            relay = made.relays[chance.choice("ab")]
            await relay.kill()
            await asyncio.sleep(chance.uniform(0.0, 1.0))
            await relay.start()
            await made.sent(chance.randint(PER_SECOND // 2, 2 * PER_SECOND))
        await made.all_deliver()  # one that has just started has no share yet, and holds nothing
        await dies(made)

    seen = await campaign(tmp_path, server, kills)
    report("two relays, kill -9", f"{KILLS} kills, the last for good: {seen}")
    seen.assert_nothing_went_wrong()
    assert seen.repeats() <= KILLS * TARGETS * 2 * CONCURRENCY


async def dies(made: Relays) -> None:
    await made.relays["b"].kill()


@pytest.mark.timeout(180 + 60 * FREEZES)
async def test_a_relay_that_stood_still_goes_on_beside_the_one_that_took_over(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    async def stands_still(made: Relays) -> None:
        for name in "bababa"[:FREEZES]:
            relay = made.relays[name]
            relay.signal(SIGSTOP)
            try:
                await asyncio.sleep(FROZEN)
            finally:
                relay.signal(SIGCONT)
            await made.sent(4 * PER_SECOND)

    seen = await campaign(tmp_path, server, stands_still)
    report("two relays, one frozen", f"{FREEZES} times: {seen}")
    seen.assert_nothing_went_wrong()
    assert seen.repeats() <= FREEZES * TARGETS * 2 * CONCURRENCY


@pytest.mark.timeout(120 * TRIALS)
async def test_relays_that_declare_nobody_dead_are_found_guilty(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    async def loses(folder: Path, _seed: int) -> bool:
        seen = await campaign(folder, server, dies, within=20, command=sabotaged("declares_nobody_dead"))
        report("two relays, one gone", f"sabotaged: {seen}")
        return bool(seen.findings.lost)

    assert await found_guilty(tmp_path, loses)


@pytest.mark.timeout(120 * TRIALS)
async def test_relays_that_do_not_see_each_others_locks_are_found_guilty(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    async def nothing(made: Relays) -> None:
        await made.sent(600)

    async def loses(folder: Path, _seed: int) -> bool:
        command = sabotaged("locks_for_itself")
        seen = await campaign(folder, server, nothing, within=8, per_second=100, command=command)
        report("two relays", f"sabotaged, no common locks: {seen}")
        return bool(seen.findings.lost)

    assert await found_guilty(tmp_path, loses)
