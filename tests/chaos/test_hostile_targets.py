"""Targets that do whatever targets do, all at once and beside one that is well: who is held up, and by how much?"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from signal import SIGTERM
from time import monotonic
from typing import Any

import psutil
import pytest

from tests.chaos.conftest import Report
from tests.chaos.hostile import IDLE, Kind, kinds, talking
from tests.chaos.names import PATIENCE, answering
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import scaled
from tests.chaos.trials import TRIALS, found_guilty
from tests.e2e.processes import RELAY, RelayProcess, run, running, until
from tests.e2e.sender import post_lead
from tests.e2e.targets import Targets, listening, well

EVENTS = scaled(60, least=8)  # to every kind
RACES = scaled(300, least=60)  # to those whose connections close while they are idle
TIMEOUT = 3.0  # seconds: a machine that has other work answers within them, too
LATE = 15.0  # seconds of an attempt: its time-out, and what a busy machine adds; without one some take for ever
CONCURRENCY = 16
ATTEMPTS = 2
PATIENT = {"after-a-year", "after-a-date"}
"""They send a long Retry-After: their other deliveries wait, too."""
HELD = CONCURRENCY + 20
"""Attempts at most to a target without a token: those under way, and probes, whose pauses grow."""
RACING = {"closes-idle", "says-408", "answers-twice"}
MOST_GROWTH = 192 * 2**20  # bytes of a relay that is offered gigabytes; 57 MiB alone, 71 beside busy neighbours
A_DAY = timedelta(days=1)

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults:
  timeout: 3s
  concurrency: 16
  breaker: {{failures: 10000}}
  retry: {{initial: 50ms, attempts: 2, max_age: 3d}}
targets:
  good: {{url: "{good}"}}
{targets}
routes:
  - {{name: all, match: {{status_id: 1}}, to: [{hostile}]}}
  - {{name: race, match: {{status_id: {{exists: true}}}}, to: [{racing}]}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Every attempt's line of the log, by target; how late the good target got each event, in seconds.

    `told` is what `relay show` prints of the first webhook.
    """

    attempts: Mapping[str, list[dict[str, Any]]]
    lags: Sequence[float]
    growth: int
    sent: int
    told: str

    def faults(self, kinds: Mapping[str, Kind]) -> list[str]:
        """What a relay must not let a target do."""
        found = [f"{name}: {fault}" for name in kinds for fault in self._faults_of(name, kinds[name])]
        if len(self.lags) != self.sent:
            found.append(f"the good target got {len(self.lags)} of {self.sent}")
        if self.growth > MOST_GROWTH:
            found.append(f"the relay grew by {self.growth >> 20} MiB")
        return found

    def _faults_of(self, name: str, kind: Kind) -> list[str]:
        lines = self.attempts.get(name, [])
        seen = Counter((line["reason"], line.get("status")) for line in lines)
        late = [line["ms"] for line in lines if line["ms"] > LATE * 1000]
        expected = attempts_of(name, kind)
        return [
            *([f"{dict(seen)} in the place of {kind.reason}"] if {*seen} != {(kind.reason, kind.status)} else []),
            *([f"{len(late)} attempts took up to {max(late)} ms"] if late else []),
            *([f"{len(lines)} attempts in the place of {expected[0]}"] if len(lines) not in expected else []),
        ]

    def __str__(self) -> str:
        attempts = sum(map(len, self.attempts.values()))
        longest = max((line["ms"] for lines in self.attempts.values() for line in lines), default=0)
        return (
            f"{len(self.attempts) - 1} kinds, {attempts} attempts, the longest {longest / 1000:.2f} s (time-out"
            f" {TIMEOUT:.0f} s); the good target had {len(self.lags)} of {self.sent}, the latest after"
            f" {max(self.lags, default=0):.2f} s; memory +{self.growth / 2**20:.0f} MiB"
        )


def events_to(name: str) -> int:
    return RACES if name in RACING else min(EVENTS, RACES)


def attempts_of(name: str, kind: Kind) -> range:
    """One for each event that is delivered, else as many as the policy has; to the patient, those under way."""
    if kind.reason == "oauth2":
        return range(1, HELD + 1)
    if name in PATIENT:
        return range(1, CONCURRENCY + 1)
    expected = events_to(name) * (1 if kind.delivers else ATTEMPTS)
    return range(expected, expected + 1)


async def campaign(folder: Path, chosen: Mapping[str, Kind], command: Sequence[str], seconds: float) -> Campaign:
    """Webhooks at the pace at which idle connections are closed, until every attempt was made or `seconds` are over."""
    async with talking(chosen) as urls, listening(good=well) as targets:
        written = "\n".join(f"  {name}: {chosen[name].entry(url)}" for name, url in urls.items())
        racing = ", ".join(["good", *(RACING & chosen.keys())])
        hostile = ", ".join(chosen.keys() - RACING)
        routes = ROUTES.format(good=targets.url("good"), targets=written, hostile=hostile, racing=racing)
        async with running(folder, routes, command=command) as relay:
            assert relay.process
            process = psutil.Process(relay.process.pid)
            await post_lead(relay.hook, "warm", status_id=2)
            before = process.memory_info().rss
            posted = await post_all(relay)
            with suppress(AssertionError):  # `faults` says whose are missing
                await until(lambda: not missing(relay, chosen), seconds)
            growth = process.memory_info().rss - before
            return Campaign(
                attempts=by_target(relay),
                lags=lags(targets, posted),
                growth=growth,
                sent=len(posted),
                told=await shown(relay, targets.of("good")[1].event_id),
            )


async def shown(relay: RelayProcess, event_id: str) -> str:
    """The whole story of one event, for people."""
    code, printed, complaint = await run(*RELAY, "show", event_id, f"--store=sqlite:///{relay.store}")
    assert code == 0, complaint
    return printed


async def post_all(relay: RelayProcess) -> dict[str, float]:
    """When each was posted, by its marker. One was sent before, to warm up."""
    posted: dict[str, float] = {}
    for number in range(RACES - 1):
        marker = f"m{number:04}"
        posted[marker] = monotonic()
        await post_lead(relay.hook, marker, status_id=1 if number < EVENTS else 2)
        await asyncio.sleep(max(posted[marker] + IDLE - monotonic(), 0))
    return posted


def by_target(relay: RelayProcess) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in relay.lines("attempt"):
        found.setdefault(line["target"], []).append(line)
    return found


def missing(relay: RelayProcess, chosen: Mapping[str, Kind]) -> list[str]:
    """Those who had fewer attempts than they should."""
    made = by_target(relay)
    found = [name for name, kind in chosen.items() if len(made.get(name, [])) < attempts_of(name, kind)[0]]
    return found + ["good"] * (len(made.get("good", [])) < RACES)


def lags(targets: Targets, posted: Mapping[str, float]) -> list[float]:
    return [each.at - posted[each.marker] for each in targets.of("good") if each.marker in posted]


@pytest.mark.timeout(400 + RACES)
async def test_no_target_holds_up_another_or_its_own_attempts(tmp_path: Path, report: Report) -> None:
    chosen = kinds()
    seen = await campaign(tmp_path, chosen, RELAY, 180 + EVENTS)
    report("hostile targets", str(seen))
    assert not (faults := seen.faults(chosen)), "\n".join(faults)
    assert sorted(seen.lags)[len(seen.lags) * 9 // 10] < TIMEOUT, "nobody's time-out was waited for"
    demand_patience(seen)
    assert max(len(line) for line in seen.told.splitlines()) < 4_096
    assert [character for character in seen.told if not character.isprintable() and character != "\n"] == []


def demand_patience(seen: Campaign) -> None:
    """`Retry-After` puts off by a day at most, and garbage by nothing."""
    for name in sorted(PATIENT):
        for line in seen.attempts[name]:
            put_off = instant(line["due_at"]) - instant(line["time"])
            assert A_DAY - timedelta(seconds=10) < put_off <= A_DAY, (name, line)
    for name in ("after-garbage", "after-minus", "after-20-digits", "after-1970"):
        first = [line for line in seen.attempts[name] if line["attempt"] == 1]
        assert all(instant(line["due_at"]) - instant(line["time"]) < timedelta(seconds=1) for line in first), name


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.timeout(120)
async def test_a_relay_without_a_time_out_for_the_whole_is_found_guilty(tmp_path: Path, report: Report) -> None:
    """The attempts of two kinds have no end, however long one waits."""
    chosen = {name: kind for name, kind in kinds().items() if name in {"drips-headers", "endless-100", "resets"}}
    seen = await campaign(tmp_path, chosen, sabotaged("waits_for_ever"), 3 * TIMEOUT)
    faults = seen.faults(chosen)
    report("hostile targets", f"sabotaged, without a time-out: {'; '.join(faults)}")
    assert {"drips-headers", "endless-100"} <= {fault.partition(":")[0] for fault in faults}


# ---- names

HUNG = [f"hangs-{number}" for number in range(8)]
FINE = [f"fine-{number}" for number in range(8)]

REBINDS = 4  # attempts of the target whose name comes to mean this machine

NAMED = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{timeout: 5s, retry: {{initial: 50ms, attempts: 1}}}}
targets:
  rebinds: {{url: "{rebinds}", deny_private: true, retry: {{attempts: 4}}}}
{targets}
routes:
  - {{name: hung, match: {{status_id: 1}}, to: [{hung}, gone, rebinds]}}
  - {{name: fine, match: {{status_id: 2}}, to: [{fine}]}}
"""


async def named(
    folder: Path, command: Sequence[str], *, rebinds: int = REBINDS
) -> tuple[Counter[tuple[str, str]], float, int]:
    """Names that hang, and then ones that do not: the first letters and the reason of each attempt.

    How many seconds the relay then took to end; at least as long as anybody waits for anything, if it did not. And how
    many requests came to this machine by a name that was nobody's before, for a target that must be public and has as
    many attempts as `rebinds` says.
    """
    async with listening(good=well, inside=well) as targets, answering(folder, command) as command:
        url = "http://{}.relay.test:{}/good"
        written = "\n".join(f'  {name}: {{url: "{url.format(name, targets.port)}"}}' for name in [*HUNG, *FINE, "gone"])
        inside = f"http://rebinds.relay.test:{targets.port}/inside"
        routes = NAMED.format(targets=written, hung=", ".join(HUNG), fine=", ".join(FINE), rebinds=inside)
        async with running(folder, routes, command=command) as relay:
            await post_lead(relay.hook, "m1", status_id=1)
            await asyncio.sleep(0.3)
            await post_lead(relay.hook, "m2", status_id=2)
            await relay.said("attempt", len([*HUNG, *FINE, "gone"]) + rebinds)
            relay.signal(SIGTERM)
            asked = monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await relay.ended()
            seen = Counter((line["target"].partition("-")[0], line["reason"]) for line in relay.lines("attempt"))
            return seen, monotonic() - asked, len(targets.of("inside"))


async def test_a_name_server_that_hangs_holds_up_its_own_names_alone(
    root: None, tmp_path: Path, report: Report
) -> None:
    seen, took, inside = await named(tmp_path, RELAY)
    report("hostile names", f"{dict(seen)}; ended {took:.1f} s after SIGTERM")
    assert took < PATIENCE / 2, "no look-up was waited for"
    assert seen == {
        ("hangs", "timeout"): 8,
        ("fine", "2xx"): 8,
        ("gone", "connect"): 1,
        ("rebinds", "connect"): 1,
        ("rebinds", "denied"): 3,
    }
    assert inside == 0


@pytest.mark.timeout(120)
async def test_a_relay_that_shares_its_lookups_is_found_guilty(root: None, tmp_path: Path, report: Report) -> None:
    seen, took, _ = await named(tmp_path, sabotaged("shares_lookups"))
    report("hostile names", f"sabotaged, with the loop's own lookups: {dict(seen)}; ended {took:.1f} s after SIGTERM")
    assert seen["fine", "timeout"] > 0


@pytest.mark.timeout(120 * TRIALS)
async def test_a_relay_that_goes_by_the_look_up_alone_is_found_guilty(
    root: None, tmp_path: Path, report: Report
) -> None:
    async def comes_inside(folder: Path, _seed: int) -> bool:
        seen, _, inside = await named(folder, sabotaged("denies_nothing"), rebinds=2)
        report("hostile names", f"sabotaged, without the guard: {dict(seen)}; {inside} requests came inside")
        return inside > 0

    assert await found_guilty(tmp_path, comes_inside)
