"""A relay beside a double of amoCRM, both on one clock that jumps while no relay runs.

libfaketime tells the relay the wall clock; a jump of hours lets webhooks get lost, and the settle time go by.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from typing import Any

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
        self.relay = RelayProcess(self.folder, "", command=self.command, AMOCRM=self.amo.token, **lies(self.clock))
        stages = [self.amo.structure.stage(name).id for name in STAGES]
        self.relay.routes.write_text(
            ROUTES.format(
                host=self.server.host,
                url=f"http://127.0.0.1:{self.relay.port}",
                reenable=self.reenable,
                mode=self.mode,
                target=self.targets.url("all"),
                triggers=", ".join(f'{{stage: {each}, "on": [status], query: {{try: "{each}"}}}}' for each in stages),
            )
        )
        self.amo.subscribe(self.relay.hook, sorted(SETTINGS))
        for stage in stages:
            self.amo.add_trigger(stage, f"{self.relay.hook}?try={stage}", "status")

    @property
    def amo(self) -> FakeAmo:
        return self.server.amo

    # ---- the relay's life, and time

    async def start(self) -> None:
        await self.relay.start()
        self.starts += 1

    async def stop(self) -> None:
        self.relay.signal(SIGTERM)
        assert await self.relay.ended() == 0

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

    def twice(self) -> list[tuple[str, str]]:
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
