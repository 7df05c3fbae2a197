"""The power goes out under load: what was answered 200 is on the disk, whatever the page cache had not written yet.

kill -9 cannot tell whether a commit was synced, because the kernel outlives the process. Here it forgets.
"""

import asyncio
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from signal import SIGSTOP

import apsw
import pytest

from tests.chaos.conftest import Report
from tests.chaos.disk import Disk
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import SEED, scaled
from tests.chaos.trials import TRIALS, found_guilty
from tests.e2e.history import Findings, Sent, judge
from tests.e2e.processes import RELAY, RelayProcess, until
from tests.e2e.sender import Load
from tests.e2e.targets import always, listening, well

CUTS = {"ext4": scaled(20, least=2), "xfs": scaled(10)}
PER_SECOND = 60
CONCURRENCY = 4
STAGES = {1: frozenset({"well", "down"}), 2: frozenset({"down"})}

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{concurrency: {concurrency}, retry: {{initial: 50ms, max: 1s}}}}
targets:
  well: {{url: "{well}"}}
  down: {{url: "{down}"}}
routes:
  - {{name: first, match: {{status_id: 1}}, to: well}}
  - {{name: all, match: {{entity: leads}}, to: down}}
"""

MakeDisk = Callable[[str, Path], Disk]


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What a drained campaign saw; `corrupt` is what SQLite said of the database after a cut, if not ok."""

    cuts: int
    corrupt: Sequence[str]
    sent: Sequence[Sent]
    findings: Findings

    def __str__(self) -> str:
        acknowledged = sum(each.acknowledged for each in self.sent)
        return (
            f"{self.cuts} cuts, {acknowledged} of {len(self.sent)} webhooks answered 200: {self.findings},"
            f" integrity {'; '.join(self.corrupt) or 'ok'}"
        )


class Room:
    """A relay whose store is on a disk without a battery."""

    def __init__(self, folder: Path, disk: Disk, routes: str, command: Sequence[str]) -> None:
        self.relay = RelayProcess(folder, routes, command=command)
        self.relay.store = disk.folder / "relay.db"
        self.corrupt: list[str] = []
        self.cuts = 0
        self._disk = disk
        self._copies = folder / "copies"

    async def cut(self) -> None:
        """The disk forgets, the process ends; then there is power again.

        The relay stands still first: without power nothing acts on the reply of a call that was under way. An
        fdatasync that meets FS_IOC_SHUTDOWN may return 0 although its data is gone: ext4 of Linux 6.18, each third cut.
        """
        self.cuts += 1
        self.relay.signal(SIGSTOP)
        await asyncio.to_thread(self._disk.cut)
        await self.relay.kill()
        await asyncio.to_thread(self._disk.unmount)
        await asyncio.to_thread(self._disk.mount)
        self._check_a_copy()

    def _check_a_copy(self) -> None:
        """Not the original: the relay itself has to recover that."""
        shutil.rmtree(self._copies, ignore_errors=True)
        self._copies.mkdir()
        for name in ("relay.db", "relay.db-wal"):
            if (found := self.relay.store.with_name(name)).exists():
                shutil.copy(found, self._copies)
        connection = apsw.Connection(str(self._copies / "relay.db"))
        said = str(connection.pragma("integrity_check"))
        connection.close()
        if said != "ok":
            self.corrupt.append(said)


@pytest.fixture
def make_disk(root: None) -> Iterator[MakeDisk]:
    """None of them outlives the test, however that ends: this needs no event loop."""
    disks: list[Disk] = []

    def make(kind: str, folder: Path) -> Disk:
        disk = Disk(folder, kind)
        disks.append(disk)
        disk.mount()
        return disk

    yield make
    for disk in disks:
        disk.remove()


async def campaign(folder: Path, disk: Disk, command: Sequence[str], cuts: int, seed: int = SEED) -> Campaign:
    """Cut the power again and again while a target is down and most is still owed; then let it drain, and judge."""
    chance = Random(seed)
    async with listening(well=well, down=always(503)) as targets:
        urls = {name: targets.url(name) for name in targets.behaviour}
        room = Room(folder, disk, ROUTES.format(concurrency=CONCURRENCY, **urls), command)
        try:
            await room.relay.start()
            load = Load(url=room.relay.hook, stages=STAGES, per_second=PER_SECOND)
            async with load.flowing():
                for _ in range(cuts):
                    await cut_under_load(room, load, chance)
            targets.behaviour["down"] = well
            await room.relay.drained()
        finally:
            await room.relay.kill()
        findings = judge(load.sent, targets.received)
        return Campaign(cuts=room.cuts, corrupt=room.corrupt, sent=load.sent, findings=findings)


async def cut_under_load(room: Room, load: Load, chance: Random) -> None:
    """Now and then once more while it starts."""
    enough = load.acknowledged + chance.randint(10, 60)
    await until(lambda: load.acknowledged >= enough)
    await asyncio.sleep(chance.uniform(0.0, 0.1))
    await room.cut()
    if chance.random() < 0.3:
        await room.relay.spawn()
        await asyncio.sleep(chance.uniform(0.0, 0.8))
        await room.cut()
    await room.relay.start()


@pytest.mark.timeout(60 + 10 * CUTS["ext4"])
@pytest.mark.parametrize("kind", CUTS)
async def test_nothing_that_was_answered_200_is_lost_to_a_power_cut(
    kind: str, make_disk: MakeDisk, tmp_path: Path, report: Report
) -> None:
    seen = await campaign(tmp_path, make_disk(kind, tmp_path), RELAY, CUTS[kind])
    report(f"power cut, {kind}", str(seen))
    findings = seen.findings
    assert not findings.lost
    assert not findings.unexpected
    assert not findings.mismatched
    assert not seen.corrupt
    # what was at a target when the power went, or not settled yet, goes there again
    assert all(findings.repeats(target) <= seen.cuts * 2 * CONCURRENCY for target in STAGES[1])


@pytest.mark.timeout(120 * TRIALS)
async def test_a_relay_that_syncs_seldom_is_found_guilty(make_disk: MakeDisk, tmp_path: Path, report: Report) -> None:
    async def loses(folder: Path, seed: int) -> bool:
        seen = await campaign(folder, make_disk("ext4", folder), sabotaged("syncs_seldom"), 2, seed)
        report("power cut, sabotaged", f"syncs_seldom: {seen}")
        return bool(seen.findings.lost)

    assert await found_guilty(tmp_path, loses)
