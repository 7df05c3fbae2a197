"""Relays that are away, killed, or lose webhooks of amoCRM's: every change is told once in each channel all the same.

The account is a double of amoCRM's, with a log of what each channel ought to have told. Virtual time goes by in jumps
while no relay runs.
"""

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.chaos.conftest import Report
from tests.chaos.crm import SETTLED_AFTER, Crm, begun, crm, demand_once, heals, holds, looked_again, told_of
from tests.chaos.scale import SEED, at_length

SCHEDULES = at_length(50, briefly=3)

pytestmark = pytest.mark.timeout(300)


async def goes_through(it: Crm, chance: Random) -> None:
    """One of the things that happen to a relay; it runs before and after."""
    match chance.choice(["away", "away", "killed", "blip"]):
        case "away":
            await it.stop()
            await it.away(chance.randrange(3, 30), hours=chance.choice([0.1, 0.5, 3.0, 9.0]))
        case "killed":
            busy = asyncio.create_task(it.busy(chance.randrange(5, 40)))
            await asyncio.sleep(chance.random())
            await it.kill()
            await busy
            it.jump(chance.choice([20, 400, 4_000]))
        case "blip":
            it.amo.quirks.lost = 0.2
            await it.busy(20)
            it.amo.quirks.lost = 0.0
            await it.kill()
            it.jump(600)
    await it.start()
    await it.busy(chance.randrange(5, 20))


@pytest.mark.parametrize("number", range(SCHEDULES))
async def test_whatever_a_relay_goes_through_every_change_is_told_once(
    tmp_path: Path, report: Report, number: int
) -> None:
    chance = Random(SEED + number)
    quirks = {"alpha": chance.random() < 0.5, "time_jitter": chance.choice([0, 2])}
    async with crm(tmp_path, SEED + number, **quirks) as it:
        await begun(it)
        for _ in range(chance.randrange(1, 4)):
            await goes_through(it, chance)
        await it.stop()
        await heals(it, chance, kills=chance.randrange(3))
        await looked_again(it)
        report("heal", f"schedule {number}: {told_of(it)}")
        demand_once(it)


async def test_a_relay_that_heals_nothing_is_found_guilty(tmp_path: Path) -> None:
    async with crm(tmp_path, SEED, mode="off") as it:
        await begun(it)
        await it.stop()
        await it.away(5, hours=0.5)
        it.jump(SETTLED_AFTER * 3600)
        await it.start()
        assert not await holds(lambda: not it.missing(), 5)
        with pytest.raises(AssertionError):
            demand_once(it)
