"""The machine's clock is set while deliveries wait, are on their way, and while the relay is down.

libfaketime lies to a real relay about the wall clock, as a file says; the monotonic clock is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import monotonic

import aiohttp
import pytest

from tests.chaos.conftest import Report
from tests.chaos.faketime import lies
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import scaled
from tests.e2e.processes import RELAY, RelayProcess, until
from tests.e2e.sender import body, headers, lead
from tests.e2e.targets import Targets, always, listening, refusing, slow

EVENTS = scaled(100, least=20)
LEADS = EVENTS // 2
PAUSE = 8.0  # seconds before a retry
SLACK = 60.0  # seconds: the relay looks at its clock once a second, the machine is busy, and an hour is 3,600
RATE = 20  # attempts per second of the target that is paced

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{retry: {{initial: 8s, max: 8s, jitter: 0%}}}}
targets:
  waits: {{url: "{waits}", breaker: {{failures: 10000}}}}
  ordered: {{url: "{ordered}", order: entity, breaker: {{failures: 10000}}}}
  held: {{url: "{held}"}}
  works: {{url: "{works}", concurrency: 100}}
  paced: {{url: "{paced}", rate: 20/s, concurrency: 2, breaker: {{failures: 10000}}, retry: {{initial: 1h, max: 1h}}}}
routes:
  - {{name: all, match: {{}}, to: [waits, ordered, held, works, paced]}}
"""
UNTIL_HELD = 10  # failures in a row
WORK = 10.0  # seconds that an answer of `works` takes: the clock is set while it does


@dataclass(kw_only=True)
class Machine:
    """A relay and its targets, on a machine whose clock `sets` sets."""

    relay: RelayProcess
    targets: Targets
    clock: Path
    posted: dict[str, float] = field(default_factory=dict)

    def set(self, by: str) -> None:
        """Relative to the true time, not to what it showed before."""
        self.clock.write_text(f"{by}\n")

    async def post(self, numbers: range) -> None:
        """Leads take turns, so that each has an order."""
        for number in numbers:
            marker = f"m{number:04}"
            self.posted[marker] = monotonic()
            content = body("leads[status][0]", lead(number % LEADS, marker, 1))
            await until(partial(self._kept, content))

    async def _kept(self, content: bytes) -> bool:
        """Not if this machine's disk is too busy just now: it has other campaigns."""
        hook = self.relay.hook
        async with aiohttp.ClientSession() as session, session.post(hook, data=content, headers=headers()) as answer:
            return answer.status == 200

    async def until_attempted(self, name: str, times: int, seconds: float = 60.0) -> None:
        await until(lambda: len(self.targets.of(name)) >= times, seconds)

    def put_off(self, name: str) -> int:
        """How many attempts that failed are written down."""
        return sum(line["target"] == name for line in self.relay.lines("attempt"))

    def longest_pause(self, name: str) -> float:
        """Between two attempts of one event."""
        times: dict[str, list[float]] = {}
        for each in self.targets.of(name):
            times.setdefault(each.event_id, []).append(each.at)
        return max(late - early for each in times.values() for early, late in pairwise(each))

    def out_of_order(self) -> int:
        """Of `ordered`, how many were taken after a later one of their lead."""
        taken = [int(marker[1:]) for marker in self.targets.accepted("ordered")]
        leads = [[number for number in taken if number % LEADS == lead] for lead in range(LEADS)]
        return sum(late < early for each in leads for early, late in pairwise(each))

    def repeated(self) -> int:
        """Of `works`, how many it was sent again while it worked on them."""
        return len(self.targets.of("works")) - len({each.event_id for each in self.targets.of("works")})


class Clocked:
    """`async with Clocked(folder, command) as machine`."""

    def __init__(self, folder: Path, command: Sequence[str] = RELAY) -> None:
        self._folder = folder
        self._command = command
        self._targets = listening(
            waits=refusing(1), ordered=refusing(1), held=always(503), works=slow(WORK), paced=refusing(1)
        )

    async def __aenter__(self) -> Machine:
        targets = await self._targets.__aenter__()
        clock = self._folder / "clock"
        clock.write_text("+0\n")
        routes = ROUTES.format(**{name: targets.url(name) for name in targets.behaviour})
        self._relay = RelayProcess(self._folder, routes, command=self._command, **lies(clock))
        try:
            await self._relay.start()
        except BaseException:
            await self.__aexit__()
            raise
        return Machine(relay=self._relay, targets=targets, clock=clock)

    async def __aexit__(self, *_error: object) -> None:
        await self._relay.kill()
        await self._targets.__aexit__(None, None, None)


async def back(machine: Machine, by: str, seconds: float) -> tuple[float, float]:
    """The longest pause of a retry, and how long a held target that is well again waited to be asked."""
    await machine.post(range(EVENTS))
    await machine.until_attempted("waits", EVENTS)
    await machine.until_attempted("held", UNTIL_HELD)
    machine.set(by)
    machine.targets.behaviour["held"] = slow(0.0)
    well_at = monotonic()
    await machine.post(range(EVENTS, EVENTS + 4))
    await machine.until_attempted("waits", 2 * (EVENTS + 4), seconds)
    await until(lambda: len(machine.targets.accepted("held")) > 0, seconds)
    asked_at = next(each.at for each in machine.targets.of("held") if each.accepted)
    return machine.longest_pause("waits"), asked_at - well_at


@pytest.mark.timeout(600)
async def test_a_clock_that_is_set_back_delays_no_retry_and_no_probe(tmp_path: Path, report: Report) -> None:
    async with Clocked(tmp_path) as machine:
        pause, probe = await back(machine, "-1h", PAUSE + SLACK)
        await until(lambda: len(machine.targets.accepted("ordered")) >= EVENTS + 4, 4 * (PAUSE + SLACK))
        out_of_order, repeated = machine.out_of_order(), machine.repeated()
        said = [line["seconds"] for line in await machine.relay.said("the clock was set")]
        report(
            "clock -1h",
            f"retries after {pause:.1f} s (policy {PAUSE:.0f} s), a probe after {probe:.1f} s,"
            f" {out_of_order} out of order, {repeated} sent twice",
        )
        assert pause < PAUSE + SLACK
        assert probe < PAUSE + SLACK
        assert (out_of_order, repeated) == (0, 0)
        assert said == [pytest.approx(-3600, abs=60)]


@pytest.mark.timeout(300)
async def test_a_clock_that_is_set_forward_releases_retries_at_their_rate_and_ends_no_lease(
    tmp_path: Path, report: Report
) -> None:
    async with Clocked(tmp_path) as machine:
        await machine.post(range(EVENTS))
        await until(lambda: machine.put_off("paced") >= EVENTS, 60)
        await machine.until_attempted("works", EVENTS)
        machine.set("+1d")
        await machine.until_attempted("paced", 2 * EVENTS)
        await until(lambda: len(machine.targets.accepted("works")) >= EVENTS, 60)
        again = sorted(each.at for each in machine.targets.of("paced") if each.attempt == 2)
        took, repeated = again[-1] - again[0], machine.repeated()
        report("clock +1d", f"{len(again)} retries in {took:.1f} s at {RATE}/s, {repeated} in flight sent twice")
        assert took > 0.8 * (len(again) - 1) / RATE
        assert repeated == 0


@pytest.mark.timeout(300)
async def test_a_clock_that_is_set_back_while_the_relay_is_down_delays_nothing(tmp_path: Path, report: Report) -> None:
    async with Clocked(tmp_path) as machine:
        await machine.post(range(EVENTS))
        await machine.until_attempted("waits", EVENTS)
        await machine.relay.kill()
        machine.set("-1h")
        took = await machine.relay.start()
        await machine.until_attempted("waits", 2 * EVENTS, PAUSE + SLACK)
        pause = machine.longest_pause("waits")
        report("clock -1h over kill -9", f"retries after {pause:.1f} s (policy {PAUSE:.0f} s, down {took:.1f} s)")
        assert pause < PAUSE + SLACK + took


@pytest.mark.timeout(300)
async def test_a_relay_that_trusts_its_clock_is_found_guilty(tmp_path: Path, report: Report) -> None:
    async with Clocked(tmp_path, sabotaged("trusts_the_clock")) as machine:
        with pytest.raises(AssertionError, match="not within"):
            await back(machine, "-1h", 2 * PAUSE)
        assert machine.clock.read_text() == "-1h\n"
        made = len(machine.targets.of("waits"))
        report("clock -1h", f"sabotaged, ignores it: {made} of {2 * (EVENTS + 4)} attempts were made")
