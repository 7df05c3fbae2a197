"""A thousand connections that never end: webhooks beside them are answered as if there were none."""

import asyncio
import json
import ssl
import sys
from asyncio import TaskGroup
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time
from urllib.parse import urlsplit

import psutil
import pytest

from tests.certificates import Pair
from tests.chaos.attackers import KINDS
from tests.chaos.conftest import Report
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import SCALE, scaled
from tests.chaos.seen import STALL, blocked, is_during
from tests.chaos.trials import TRIALS, found_guilty
from tests.e2e.processes import RELAY, RelayProcess, running
from tests.e2e.sender import body, lead
from tests.e2e.targets import listening, well

ATTACKERS = scaled(1000, least=150)
WAVES: Sequence[Sequence[str]] = [[kind] for kind in KINDS] if SCALE >= 1 else [KINDS]
"""Kinds that run together: at a small scale all of them, as each takes a fixed time."""
FILES = 1024  # descriptors that the relay has: fewer than there are attackers
PER_SECOND = 50
PATIENCE = 5.0  # seconds that a webhook waits for its answer
SLOWEST = 2.0  # seconds, of nearly all: some ms, on a machine that may be doing anything else
BORNE = 35.0  # seconds: 10 for the headers or a body, and what a slow machine adds; the attackers have 40
GROWTH = 50  # MB
LINES = 200_000  # bytes of log that attackers may cause

FEWER = f"""\
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))
os.execv(sys.argv[1], sys.argv[1:])
"""
ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
targets: {{well: {{url: "{well}"}}}}
routes: [{{name: all, match: {{entity: leads}}, to: well}}]
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One webhook, in seconds of the monotonic clock; `failure` says what befell it, if anything."""

    began: float
    ended: float
    failure: str


@dataclass(frozen=True, slots=True)
class Calls:
    """Webhooks, but for those that a busy machine may have held up."""

    calls: Sequence[Call]

    @property
    def failed(self) -> list[str]:
        return [each.failure for each in self.calls if each.failure]

    def slowest(self, percent: int) -> float:
        """Seconds that so many in 100 of those that were answered took at most."""
        took = sorted(each.ended - each.began for each in self.calls if not each.failure)
        return took[len(took) * percent // 100]


@dataclass(kw_only=True)
class Visitors:
    """Webhooks, each on a connection of its own: when each began, how long it took, and what befell those that failed.

    `stalls`: when this process was held up.
    """

    url: str
    tls: ssl.SSLContext | None
    calls: list[Call] = field(default_factory=list)
    stalls: list[tuple[float, float]] = field(default_factory=list)

    @asynccontextmanager
    async def coming(self) -> AsyncIterator[None]:
        """They come at a steady pace for as long as the block lasts."""
        stop = asyncio.Event()
        async with TaskGroup() as group:
            group.create_task(self._keep_coming(group, stop))
            try:
                yield
            finally:
                stop.set()

    async def _keep_coming(self, group: TaskGroup, stop: asyncio.Event) -> None:
        began, number = monotonic(), 0
        while not stop.is_set():
            group.create_task(self._one(number))
            number += 1
            due = began + number / PER_SECOND
            await asyncio.sleep(due - monotonic())
            if monotonic() > due + STALL:
                self.stalls.append((due, monotonic()))

    async def _one(self, number: int) -> None:
        began, failure = monotonic(), ""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._post(body("leads[status][0]", lead(number, f"m{number}", 1)))
        except (OSError, asyncio.IncompleteReadError, AssertionError) as error:
            failure = f"{type(error).__name__}: {error}"
        self.calls.append(Call(began, monotonic(), failure))

    async def _post(self, content: bytes) -> None:
        address = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, ssl=self.tls)
        try:
            head = f"POST {address.path} HTTP/1.1\r\nHost: relay\r\nContent-Length: {len(content)}\r\n\r\n"
            writer.write(head.encode() + content)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 OK\r\n" in answer, answer
        finally:
            writer.transport.abort()

    def beside(self, spans: Sequence[tuple[float, float]]) -> "Calls":
        """Return those of all times but these, and but those when this process was held up."""
        held_up = [*spans, *self.stalls]
        return Calls([each for each in self.calls if not is_during(each.began, each.ended, held_up)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Siege:
    """What was seen. `borne`: seconds until each attacker was thrown out, or None. `came`: all webhooks."""

    kinds: Sequence[str]
    borne: Sequence[float | None]
    came: int
    visitors: Calls
    evicted: int
    growth: float
    caused: int
    starved: int

    def __str__(self) -> str:
        longest = max((each or float("inf") for each in self.borne), default=0.0)
        return (
            f"{len(self.borne)} attackers ({', '.join(self.kinds)}), {self.evicted} evicted, borne for {longest:.1f} s"
            f" at most; of {self.came} webhooks, {self.came - len(self.visitors.calls)} of them held up by the machine,"
            f" {len(self.visitors.failed)} failed, p99 {self.visitors.slowest(99) * 1000:.0f} ms;"
            f" memory {self.growth:+.0f} MB, log {self.caused} bytes"
        )


async def siege(folder: Path, kinds: Sequence[str], command: Sequence[str] = RELAY) -> Siege:
    """Attackers of these kinds against a relay with few descriptors, and visitors before and meanwhile."""
    pair = Pair.within(folder) if "handshake" in kinds else None
    tls = {"RELAY_TLS_CERT": str(pair.certificate), "RELAY_TLS_KEY": str(pair.key)} if pair else {}
    few = (sys.executable, "-ISc", FEWER, *command)
    async with (
        listening(well=well) as targets,
        running(folder, ROUTES.format(well=targets.url("well")), command=few, **tls) as relay,
    ):
        assert relay.process
        process = psutil.Process(relay.process.pid)
        visitors = Visitors(url=relay.hook, tls=pair.client() if pair else None)
        async with visitors.coming():
            await asyncio.sleep(1)
            before = process.memory_info().rss
            borne, peak = await attacked(relay, process, kinds)
        return Siege(
            kinds=kinds,
            borne=borne,
            came=len(visitors.calls),
            visitors=visitors.beside(blocked(relay.lines("event loop blocked"), time() - monotonic())),
            evicted=int(await relay.metric("relay_connections_evicted_total")),
            growth=(peak - before) / 1e6,
            caused=sum(len(line) for line in relay.log.read_text().splitlines() if not ordinary(line)),
            starved=len(relay.lines("cannot accept connections")),
        )


def ordinary(line: str) -> bool:
    """A line about a visitor's webhook."""
    return json.loads(line)["message"] in {"accepted", "attempt", "ready"}


async def attacked(
    relay: RelayProcess, process: psutil.Process, kinds: Sequence[str]
) -> tuple[Sequence[float | None], int]:
    """How long each was borne, and the most memory that the relay had meanwhile."""
    program = [sys.executable, "-m", "tests.chaos.attackers"]
    scheme = urlsplit(relay.hook).scheme
    arguments = [str(relay.port), urlsplit(relay.hook).path, str(ATTACKERS), "tls" if scheme == "https" else "plain"]
    attackers = await asyncio.create_subprocess_exec(*program, *arguments, *kinds, stdout=PIPE)
    peak = process.memory_info().rss
    try:
        said = asyncio.ensure_future(attackers.communicate())
        while not said.done():
            peak = max(peak, process.memory_info().rss)
            await asyncio.wait([said], timeout=0.25)
        return json.loads((await said)[0]), peak
    finally:
        if attackers.returncode is None:
            attackers.kill()
            await attackers.wait()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kinds", WAVES, ids=" ".join)
async def test_endless_connections_delay_no_webhook(kinds: Sequence[str], tmp_path: Path, report: Report) -> None:
    seen = await siege(tmp_path, kinds)
    report("slow connections", str(seen))
    assert len(seen.borne) == ATTACKERS * len(kinds)
    assert all(each is not None and each < BORNE for each in seen.borne)
    assert seen.evicted > 0, "there were not too many of them: this has shown nothing"
    assert len(seen.visitors.calls) >= 5 * PER_SECOND
    assert not seen.visitors.failed
    assert seen.visitors.slowest(99 if SCALE >= 1 else 90) < SLOWEST, "a smaller campaign may run beside anything"
    assert seen.growth < GROWTH
    assert seen.starved == 0
    assert seen.caused < LINES


@pytest.mark.timeout(120 * TRIALS)
async def test_a_relay_that_never_makes_room_is_found_guilty(tmp_path: Path, report: Report) -> None:
    async def fails(folder: Path, _seed: int) -> bool:
        seen = await siege(folder, [kind for kind in KINDS if kind != "handshake"], sabotaged("never_makes_room"))
        report("slow connections, sabotaged", str(seen))
        return len(seen.visitors.failed) > PER_SECOND

    assert await found_guilty(tmp_path, fails)
