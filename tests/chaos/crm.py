"""A relay beside a double of amoCRM, both on one clock that jumps while no relay runs.

libfaketime tells the relay the wall clock; a jump of hours lets webhooks get lost, and the settle time go by.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGTERM
from time import monotonic
from typing import Any

from relay.account.heal.limits import DRIFT
from tests.chaos.faketime import lies
from tests.e2e.processes import RELAY, RelayProcess, until
from tests.e2e.targets import Targets, listening, well
from tests.fakeamo import SETTINGS, FakeAmo
from tests.fakeamo.clock import RunningClock
from tests.fakeamo.oracle import Told, expected, healed, told
from tests.fakeamo.server import Server
from tests.fakeamo.traffic import Traffic

VERBS = frozenset({"add_lead", "move", "update", "give", "add_contact", "add_company", "note", "add_task"})
"""Of these all but updates can be told of one by one; their webhooks carry times, so repeats are known as such."""
STAGES = ("Переговоры", "Оффер")
SETTLED_AFTER = 2.2  # hours: what has not come by then is lost
MOST_ROUNDS = 8
HEALED_WITHIN = 20.0  # seconds of a relay that runs; it asks for two pages a second
TICK = 0.02
FIRST_ROUND = 3.0 + DRIFT.total_seconds()
"""Until a change that repeats one from before the first round cannot be taken for that; the feed has whole seconds."""

ROUTES = """\
version: 1
accounts: {{main: {{host: "{host}", token: "${{AMOCRM}}"}}}}
sources:
  crm:
    token: "${{TOKEN}}"
    account: main
    guard: {{reenable: {reenable}, url: "{url}"}}
    heal: {{mode: {mode}, most: 100000, dp: [{triggers}]}}
defaults: {{timeout: 5s, concurrency: 16, retry: {{initial: 50ms, max: 500ms}}}}
targets: {{all: {{url: "{target}"}}}}
routes: [{{name: all, match: {{}}, to: all}}]
"""


TRIGGER = '{{stage: {stage}, "on": [status], query: {{try: "{status}"}}}}'


@dataclass(kw_only=True)
class Crm:
    """The account, its server, the relay and its target; the source has a webhook for everything and two triggers."""

    folder: Path
    server: Server
    targets: Targets
    clock: Path
    reenable: str = "true"
    mode: str = "on"
    command: Sequence[str] = RELAY
    relay: RelayProcess = field(init=False)
    traffic: Traffic = field(init=False)
    kills: int = 0
    starts: int = 0
    _ahead: float = 0.0

    def __post_init__(self) -> None:
        self.clock.write_text("+0\n")
        self.relay = self.run_by(self.command)
        stages = self.stages()
        pipeline = self.amo.structure.pipelines[0].id
        self.relay.routes.write_text(
            ROUTES.format(
                host=self.server.host,
                url=f"http://127.0.0.1:{self.relay.port}",
                reenable=self.reenable,
                mode=self.mode,
                target=self.targets.url("all"),
                triggers=", ".join(
                    f'{{stage: {pipeline}/{each}, "on": [status], query: {{try: "{each}"}}}}' for each in stages
                ),
            )
        )
        self.amo.subscribe(self.relay.hook, sorted(SETTINGS))
        for stage in stages:
            self.amo.add_trigger(stage, f"{self.relay.hook}?try={stage}", "status")

    @property
    def amo(self) -> FakeAmo:
        return self.server.amo

    def stages(self) -> list[int]:
        """Those that have a trigger."""
        return [self.amo.structure.stage(name).id for name in STAGES]

    # ---- the relay's life, and time

    def run_by(self, command: Sequence[str]) -> RelayProcess:
        """A relay on this folder, and at the ports of the one before."""
        routes = self.folder / "routes.yaml"
        text = routes.read_text() if routes.exists() else ""
        made = RelayProcess(self.folder, text, command=command, AMOCRM=self.amo.token, **lies(self.clock))
        if hasattr(self, "relay"):
            made.port, made.admin_port = self.relay.port, self.relay.admin_port
        return made

    async def start(self) -> None:
        await self.relay.start()
        self.starts += 1

    async def stop(self) -> None:
        self.relay.signal(SIGTERM)
        code = await self.relay.ended()
        assert code == 0, f"exit code {code}"

    async def kill(self) -> None:
        await self.relay.kill()
        self.kills += 1

    def jump(self, seconds: float) -> None:
        """Let time go by at once. A relay that runs goes on by what it knew of the account's clock before."""
        self._ahead += seconds
        self.amo.clock.advance(seconds)
        self.clock.write_text(f"+{self._ahead:.0f}\n")

    # ---- what happens

    async def busy(self, changes: int, pause: float = 0.01) -> None:
        for _ in range(changes):
            self.traffic.change()
            await asyncio.sleep(pause)

    async def away(self, changes: int, hours: float) -> None:
        """Hours without a relay in which the account changes; what amoCRM repeats meanwhile is lost, too."""
        steps = 6
        for step in range(steps):
            for _ in range(changes * (step + 1) // steps - changes * step // steps):
                self.traffic.change()
                self.jump(1)
            self.jump(hours * 3600 / steps)
            await until(self.server.is_idle, 60)

    # ---- what came of it

    def events(self) -> list[dict[str, Any]]:
        """What the target has taken, each once: deliveries may be repeated, with the same id."""
        by_id = {each.event_id: json.loads(each.body) for each in self.targets.of("all") if each.accepted}
        return list(by_id.values())

    def missing(self) -> dict[Told, int]:
        return expected(self.amo.rows()) - told(self.events())

    def surplus(self) -> dict[Told, int]:
        return told(self.events()) - expected(self.amo.rows())

    def twice(self) -> list[tuple[str, str, str]]:
        """Events of the feed that were healed more than once in a channel."""
        return [each for each, times in healed(self.events()).items() if times > 1]

    def number_healed(self) -> int:
        return healed(self.events()).total()


@asynccontextmanager
async def crm(
    folder: Path, seed: int, *, reenable: str = "true", mode: str = "on", command: Sequence[str] = RELAY, **quirks: Any
) -> AsyncIterator[Crm]:
    """An account with a relay that is not started yet; whatever happens, it does not outlive the block."""
    amo = FakeAmo(seed, clock=RunningClock(), **quirks)
    async with Server(amo).serving() as server, listening(all=well) as targets:
        made = Crm(
            folder=folder,
            server=server,
            targets=targets,
            clock=folder / "clock",
            reenable=reenable,
            mode=mode,
            command=command,
        )
        made.traffic = Traffic(amo, seed, verbs=VERBS)
        try:
            yield made
        finally:
            await made.relay.kill()


# ---- what campaigns do with it


async def holds(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() > deadline:
            return False
        await asyncio.sleep(TICK)
    return True


async def begun(it: Crm) -> None:
    """Start, wait for a first webhook and a first round, and let each trigger fire.

    Nothing that happened before that round is healed, and of a trigger nothing before one webhook came in time.
    """
    await it.start()
    await it.busy(5)
    await until(lambda: len(it.events()) >= 5, 30)
    await until(lambda: any("/webhooks" in path for _, _, path, _ in it.amo.requests), 60)
    await asyncio.sleep(FIRST_ROUND)
    for stage in it.stages():
        it.amo.move(it.amo.add_lead(), stage)
    await until(lambda: not it.missing(), 60)


async def heals(it: Crm, chance: Random, *, kills: int = 0) -> None:
    """Let the settle time go by, and have a relay heal; it is killed some times while it does."""
    for _ in range(MOST_ROUNDS):
        it.jump(SETTLED_AFTER * 3600)
        await it.start()
        if kills:
            kills -= 1
            asked = len(it.amo.requests) + chance.randrange(1, 8)
            await holds(lambda asked=asked: len(it.amo.requests) >= asked, 5)
            await asyncio.sleep(chance.random() * 0.2)
            await it.kill()
        elif await holds(lambda: not it.missing(), HEALED_WITHIN):
            return
        else:
            await it.stop()
    raise AssertionError(f"not healed after {MOST_ROUNDS} starts: {it.missing()}")


async def looked_again(it: Crm) -> None:
    """Another start, a day later: it reads the feed of two days, and there is nothing to do."""
    await it.stop()
    it.jump(25 * 3600)
    asked = len(it.amo.requests)
    await it.start()
    await until(lambda: sum("/events?" in path for _, _, path, _ in it.amo.requests[asked:]) >= 3, 60)
    await asyncio.sleep(1.0)
    await it.stop()


def demand_once(it: Crm) -> None:
    """What could be told of one by one was, once in each channel, within amoCRM's limits."""
    assert it.missing() == {}, it.missing()
    assert it.surplus() == {}, it.surplus()
    assert it.twice() == [], it.twice()
    assert it.amo.limiter.peak <= it.amo.limiter.most
    assert it.amo.limiter.after_block == 0


def told_of(it: Crm) -> str:
    return (
        f"{len(it.amo.log)} changes, {len(it.amo.rows())} to be told, {it.number_healed()} healed;"
        f" {it.kills} kills, {it.starts} starts, {it.amo.limiter.requests} requests, at most {it.amo.limiter.peak}/s;"
        f" missing {sum(it.missing().values())}, surplus {sum(it.surplus().values())}, twice {len(it.twice())}"
    )
