"""kill -9 under load: whatever was answered 200 arrives, whole, at every target it is for."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from signal import SIGTERM
from statistics import median

import pytest

from tests.chaos.conftest import Report
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import SCALE, SEED, scaled
from tests.chaos.trials import TRIALS, found_guilty
from tests.e2e.history import Findings, Sent, judge
from tests.e2e.processes import RELAY, RelayProcess, running, until
from tests.e2e.sender import Load
from tests.e2e.targets import Targets, flaky, listening, slow, well

KILLS = scaled(60)
PER_SECOND = 250
LEAST_LOAD = 30  # webhooks answered between two kills
CONCURRENCY = 4
READY_WITHIN, READY_AT_ALL = 3.0, 10.0  # seconds, mostly and always, in a campaign at full scale; the line tells
STAGES = {1: frozenset({"well"}), 2: frozenset({"well", "flaky"}), 3: frozenset({"well", "flaky", "slow"})}

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{timeout: 5s, concurrency: {concurrency}, retry: {{initial: 50ms, max: 500ms}}}}
targets:
  well: {{url: "{well}"}}
  flaky: {{url: "{flaky}"}}
  slow: {{url: "{slow}"}}
routes:
  - {{name: all, match: {{entity: leads, action: status}}, to: well}}
  - {{name: second-and-third, match: {{status_id: [2, 3]}}, to: flaky}}
  - {{name: third, match: {{status_id: 3}}, to: [slow, flaky]}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What a drained campaign saw. `kills` are also those in a start, `starts` the seconds until ready again."""

    kills: int
    starts: Sequence[float]
    sent: Sequence[Sent]
    findings: Findings

    @property
    def in_time(self) -> float:
        """The part of the starts that took less than READY_WITHIN."""
        return sum(start < READY_WITHIN for start in self.starts) / len(self.starts)

    def __str__(self) -> str:
        acknowledged = sum(each.acknowledged for each in self.sent)
        return (
            f"{self.kills} kills, {acknowledged} of {len(self.sent)} webhooks answered 200: {self.findings},"
            f" ready again within {median(self.starts):.1f} s half of the times, {self.in_time:.0%} within"
            f" {READY_WITHIN:.0f} s, at most {max(self.starts):.1f} s"
        )


async def campaign(folder: Path, command: Sequence[str], kills: int, seed: int = SEED) -> Campaign:
    """Kill a relay under load again and again, then let it drain, and judge."""
    chance = Random(seed)
    async with listening(well=well, flaky=flaky(0.3, chance), slow=slow(0.02)) as targets:
        async with running(folder, routes(targets), command=command) as relay:
            load = Load(url=relay.hook, stages=STAGES, per_second=PER_SECOND)
            async with load.flowing():
                seen = [await killed(relay, load, chance) for _ in range(kills)]
            await relay.drained()
            relay.signal(SIGTERM)  # it may end what it has begun
            assert await relay.ended() == 0
            assert not relay.faults()
        starts, times = [start for start, _ in seen], sum(times for _, times in seen)
        return Campaign(kills=times, starts=starts, sent=load.sent, findings=judge(load.sent, targets.received))


def routes(targets: Targets) -> str:
    return ROUTES.format(concurrency=CONCURRENCY, **{name: targets.url(name) for name in targets.behaviour})


async def killed(relay: RelayProcess, load: Load, chance: Random) -> tuple[float, int]:
    """Seconds until it was ready again, and how many kills: now and then once more while it starts."""
    times = 1
    enough = load.acknowledged + chance.randint(LEAST_LOAD, 200)
    await until(lambda: load.acknowledged >= enough)
    await asyncio.sleep(chance.uniform(0.0, 0.05))
    await relay.kill()
    if chance.random() < 0.3:
        times += 1
        await relay.spawn()
        await asyncio.sleep(chance.uniform(0.0, 0.6))
        await relay.kill()
    return await relay.start(), times


@pytest.mark.timeout(60 + 5 * KILLS)
async def test_nothing_that_was_answered_200_is_lost_to_kill_9(tmp_path: Path, report: Report) -> None:
    seen = await campaign(tmp_path, RELAY, KILLS)
    report("kill -9", str(seen))
    findings = seen.findings
    assert sum(each.acknowledged for each in seen.sent) >= LEAST_LOAD * KILLS
    assert not findings.lost
    assert not findings.unexpected
    assert not findings.mismatched
    # what was at a target when the relay was killed, or not settled yet, goes there again
    assert all(findings.repeats(target) <= seen.kills * 2 * CONCURRENCY for target in STAGES[3])
    if SCALE >= 1:  # a smaller campaign may run beside anything
        assert max(seen.starts) < READY_AT_ALL
        assert seen.in_time >= 0.6


@pytest.mark.timeout(120 * TRIALS)
@pytest.mark.parametrize("broken", ["answers_early", "settles_early"])
async def test_a_relay_that_loses_something_is_found_guilty(broken: str, tmp_path: Path, report: Report) -> None:
    async def loses(folder: Path, seed: int) -> bool:
        seen = await campaign(folder, sabotaged(broken), 3, seed)
        report("kill -9, sabotaged", f"{broken}: {seen}")
        return bool(seen.findings.lost)

    assert await found_guilty(tmp_path, loses)
