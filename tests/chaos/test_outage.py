"""A target is away while webhooks go on coming: that spends no attempts, and once it is back it is not run over."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest

from tests.chaos.conftest import Report
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import scaled
from tests.e2e.history import Findings, judge
from tests.e2e.processes import RELAY, running, until
from tests.e2e.sender import Load
from tests.e2e.targets import always, listening, slow

BACKLOG = scaled(5_000)
PER_SECOND = 250
CONCURRENCY = 6
STAGES = {1: frozenset({"away"})}
UNTIL_HELD = 10  # failures in a row

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
targets:
  away: {{url: "{away}", concurrency: {concurrency}, retry: {{initial: 200ms, max: 1s, jitter: 0%}}}}
routes: [{{name: all, match: {{}}, to: away}}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """`backlog` is what waited when the target came back, `busiest` how many requests it then had at once."""

    away: float
    backlog: int
    spent: int
    drained_in: float
    busiest: int
    findings: Findings

    def __str__(self) -> str:
        return (
            f"away for {self.away:.0f} s, which spent {self.spent} attempts; {self.backlog} pending, drained in"
            f" {self.drained_in:.1f} s, at most {self.busiest} at once: {self.findings}"
        )


async def campaign(folder: Path, command: Sequence[str], backlog: int, *, takes: float = 0.005) -> Campaign:
    """Away until so many webhooks are answered, and back, with attempts of so many seconds, while they still come."""
    async with listening(away=always(503)) as targets:
        routes = ROUTES.format(away=targets.url("away"), concurrency=CONCURRENCY)
        async with running(folder, routes, command=command) as relay:
            load = Load(url=relay.hook, stages=STAGES, per_second=PER_SECOND)
            async with load.flowing():
                started = monotonic()
                await until(lambda: load.acknowledged >= backlog, 20 + backlog / 25)
                spent, waiting, back = len(targets.received), load.acknowledged, monotonic()
                targets.behaviour["away"] = slow(takes)
                await until(lambda: len(targets.accepted("away")) >= waiting, 20 + backlog / 25)
                drained = monotonic()
            await relay.drained()
        return Campaign(
            away=back - started,
            backlog=waiting,
            spent=spent,
            drained_in=drained - back,
            busiest=targets.busiest["away"],
            findings=judge(load.sent, targets.received),
        )


@pytest.mark.timeout(80 + BACKLOG / 10)
async def test_an_outage_spends_no_attempts_and_its_end_is_no_stampede(tmp_path: Path, report: Report) -> None:
    seen = await campaign(tmp_path, RELAY, BACKLOG)
    report("target outage", str(seen))
    assert seen.backlog >= BACKLOG
    assert seen.spent <= UNTIL_HELD + CONCURRENCY + seen.away / 0.2, "one probe at a time, at the pace of its policy"
    assert seen.busiest <= CONCURRENCY
    findings = seen.findings
    assert not (findings.lost or findings.unexpected or findings.mismatched or findings.duplicated)


@pytest.mark.timeout(120)
async def test_a_relay_that_never_holds_a_target_is_found_guilty(tmp_path: Path, report: Report) -> None:
    seen = await campaign(tmp_path, sabotaged("never_holds"), 500, takes=0.2)  # slow, so that some meet on any machine
    report("target outage, sabotaged", f"never_holds: {seen}")
    assert seen.spent > UNTIL_HELD + CONCURRENCY + seen.away / 0.2
    assert seen.busiest > CONCURRENCY
