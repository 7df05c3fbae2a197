"""A relay that is killed at each of the writes by which it heals: each change is told once in each channel.

Each time it begins with the store of the same outage, and another relay goes on where it was killed.
"""

import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGKILL, SIGTERM

import pytest

from tests.chaos.conftest import Report
from tests.chaos.crm import SETTLED_AFTER, Crm, begun, crm, demand_once, holds, looked_again, told_of
from tests.chaos.scale import AT_LENGTH, SEED
from tests.e2e.processes import RELAY
from tests.fakeamo.limiter import Limiter

CHANGES = 60
BRIEFLY = 2  # kills
WITHIN = 90.0  # seconds; on a machine without other work it takes four
FIRST_WRITES = range(3, 9)
"""Those of the first lane's mark, and those after it."""
SABOTAGED_WITHIN = 15.0
DAY = 25 * 3600  # seconds; see `looked_again`


@dataclass(kw_only=True)
class Outage:
    """An account, and what a relay left when it was stopped; then so much changed that no webhook told of."""

    crm: Crm
    left: Path
    killed_by: str = "tests.chaos.killed_writing"
    told: int = 0
    writes: int = 0
    killed: list[int] = field(default_factory=list)

    def again(self, command: Sequence[str]) -> None:
        """Have everything as the outage left it, and a relay by `command` that is not started."""
        it = self.crm
        shutil.rmtree(it.folder)
        shutil.copytree(self.left, it.folder)
        del it.targets.received[self.told :]
        it.amo.limiter = Limiter()
        it.relay = it.run_by(command)

    async def heals(self, kills: int) -> None:
        """Have a relay heal that its so-manieth write kills, with 0 none; if it was not, count its writes."""
        it, count = self.crm, self.left.with_name("writes")
        self.again((sys.executable, "-m", self.killed_by, str(kills), str(count)))
        await it.relay.spawn()
        it.starts += 1
        assert await holds(lambda: self._ended() or not it.missing(), WITHIN), it.missing()
        if not self._ended():
            it.relay.signal(SIGTERM)
        if await it.relay.ended() == -SIGKILL:
            self.killed.append(kills)
        else:
            self.writes = int(count.read_text())

    async def recovers(self, within: float = WITHIN) -> bool:
        """Have another relay go on; whether all is told so many seconds later."""
        it = self.crm
        it.relay = it.run_by(RELAY)
        await it.start()
        return await holds(lambda: not it.missing(), within)

    async def looks_again(self) -> None:
        """Have a relay look a day later; then that day did not happen."""
        await looked_again(self.crm)
        self.crm.jump(-DAY)

    def _ended(self) -> bool:
        return self.crm.relay.process is not None and self.crm.relay.process.returncode is not None


@asynccontextmanager
async def outage(folder: Path, seed: int) -> AsyncIterator[Outage]:
    """Of one relay, after some webhooks."""
    (folder / "relay").mkdir()
    async with crm(folder / "relay", seed, alpha=True) as it:
        await begun(it)
        await it.busy(10)
        await it.stop()
        await it.away(CHANGES, hours=0.5)
        it.jump(SETTLED_AFTER * 3600)
        shutil.copytree(it.folder, folder / "left")
        yield Outage(crm=it, left=folder / "left", told=len(it.targets.received))


@pytest.mark.timeout(7200 if AT_LENGTH else 600)
async def test_killed_at_any_write_of_a_heal_run_every_change_is_told_once(tmp_path: Path, report: Report) -> None:
    async with outage(tmp_path, SEED) as lost:
        await lost.heals(0)
        kills = range(1, lost.writes + 1)
        for number in kills if AT_LENGTH else sorted(Random(SEED).sample(kills, BRIEFLY)):
            await lost.heals(number)
            assert await lost.recovers(), f"killed by write {number}, not told: {lost.crm.missing()}"
            await lost.looks_again()
            demand_once(lost.crm)
        report("heal", f"killed by {len(lost.killed)} of {lost.writes} writes: {told_of(lost.crm)}")
        assert lost.killed
        assert lost.crm.number_healed() >= CHANGES / 2


@pytest.mark.timeout(600)
async def test_a_relay_that_marks_first_is_found_guilty(tmp_path: Path) -> None:
    async with outage(tmp_path, SEED) as lost:
        lost.killed_by = "tests.chaos.marks_first"
        for number in FIRST_WRITES:
            await lost.heals(number)
            if not await lost.recovers(SABOTAGED_WITHIN):
                return
            await lost.crm.stop()
        pytest.fail("killed at any of these, it lost nothing")
