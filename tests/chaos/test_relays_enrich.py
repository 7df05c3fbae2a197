"""The relay that fetches what goes beside events dies while deliveries wait for it: the other one delivers them all."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.conftest import Report
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import SEED, at_length
from tests.e2e.processes import RELAY, RelayProcess, until
from tests.e2e.targets import Targets, listening, well
from tests.fakeamo import FakeAmo
from tests.fakeamo.clock import RunningClock
from tests.fakeamo.server import Server
from tests.postgres import Cluster

LEADS = at_length(200, briefly=20)
MOVES = 3  # of each lead, so that some wait behind others of their key
NUMBER = LEADS * (1 + MOVES)
WITHIN = 120.0  # seconds: a hold ends after 10, a relay is declared dead after 15
SABOTAGED_WITHIN = 30.0
EVERY = 0.5  # seconds

ROUTES = """\
version: 1
accounts: {{main: {{host: "{host}", token: "${{AMOCRM}}"}}}}
sources: {{crm: {{token: "${{TOKEN}}", account: main}}}}
defaults: {{timeout: 5s, concurrency: 16, retry: {{initial: 50ms, max: 500ms}}}}
targets:
  plain: {{url: "{plain}", enrich: [lead, contacts]}}
  ordered: {{url: "{ordered}", enrich: [lead], order: entity}}
routes: [{{name: all, match: {{entity: leads, action: [add, status]}}, to: [plain, ordered]}}]
"""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two relays of one database, and the account whose webhooks go to that which does not lead."""

    amo: FakeAmo
    targets: Targets
    cluster: Cluster
    database: str
    leader: RelayProcess
    other: RelayProcess

    def held(self) -> int:
        """Deliveries that wait, or once waited and were never told that they need not."""
        with self.cluster.admin(self.database) as connection:
            [found] = connection.execute("select count(*) from deliveries where held is not null").fetchone() or ()
            return int(found)

    def taken(self, target: str) -> list[dict[str, Any]]:
        """What a target took, each event once, by first arrival."""
        found = {each.event_id: json.loads(each.body) for each in reversed(self.targets.of(target)) if each.accepted}
        return [*reversed(found.values())]

    async def all_taken(self, number: int, within: float = WITHIN) -> None:
        """Wait until each target took so many events."""
        await until(lambda: all(len(self.taken(each)) == number for each in ("plain", "ordered")), within)

    async def fetches_for_another(self) -> bool:
        """Whether something was fetched beside the event of a lead that is added now, or was."""
        self.amo.add_lead()
        await asyncio.sleep(EVERY)
        return any(each["enriched"] for each in self.taken("plain")[NUMBER:])

    async def held_by_the_dead(self) -> None:
        """Kill the leader while it waits for amoCRM with much to be delivered; then amoCRM answers again."""
        self.amo.faults.plan("slow", "/api/v4/leads", times=1_000_000)
        leads = [self.amo.add_lead() for _ in range(LEADS)]
        for stage in [each.id for each in self.amo.structure.pipelines[0].stages[1 : MOVES + 1]]:
            for lead in leads:
                self.amo.move(lead, stage)
        await until(lambda: self.held() >= LEADS, WITHIN)
        await self.leader.kill()
        self.amo.faults.clear()


@asynccontextmanager
async def pair(folder: Path, cluster: Cluster, command: Sequence[str] = RELAY) -> AsyncIterator[Pair]:
    amo = FakeAmo(SEED, clock=RunningClock(), alpha=True)
    database = await asyncio.to_thread(cluster.new_database)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(amo).serving())
        targets = await stack.enter_async_context(listening(plain=well, ordered=well))
        text = ROUTES.format(host=server.host, plain=targets.url("plain"), ordered=targets.url("ordered"))
        relays = []
        for name in "ab":
            (folder / name).mkdir()
            relay = RelayProcess(folder / name, text, command=command, store=cluster.dsn(database), AMOCRM=amo.token)
            stack.push_async_callback(relay.kill)
            await relay.start()
            relays.append(relay)
        leader, other = led_by(relays, cluster, database)
        amo.subscribe(other.hook, ["add_lead", "status_lead"])
        yield Pair(amo=amo, targets=targets, cluster=cluster, database=database, leader=leader, other=other)


def led_by(relays: Sequence[RelayProcess], cluster: Cluster, database: str) -> list[RelayProcess]:
    """The relays, the leading one first: that is the first by name."""
    with cluster.admin(database) as connection:
        names = dict(connection.execute("select pid, name from relays where gone_at is null").fetchall())
    return sorted(relays, key=lambda each: names[each.process.pid] if each.process else "")


@pytest.mark.timeout(300)
async def test_a_leader_that_dies_while_it_fetches_leaves_no_delivery_held(
    tmp_path: Path, server: Cluster, report: Report
) -> None:
    async with pair(tmp_path, server) as it:
        await it.held_by_the_dead()
        await it.all_taken(NUMBER)
        await until(lambda: it.held() == 0, WITHIN)
        without = sum(each["enriched"] is None for each in it.taken("plain"))
        report("enrichment, leader gone", f"{2 * NUMBER} deliveries: none held, {without} of {NUMBER} events without")
        await until(lambda: it.fetches_for_another(), WITHIN)
        await until(lambda: it.held() == 0, WITHIN)


@pytest.mark.timeout(300)
async def test_relays_that_hold_for_ever_are_found_guilty(tmp_path: Path, server: Cluster) -> None:
    async with pair(tmp_path, server, sabotaged("holds_for_ever")) as it:
        await it.held_by_the_dead()
        with pytest.raises(AssertionError, match="not within"):
            await it.all_taken(NUMBER, within=SABOTAGED_WITHIN)
        assert it.held() > 0
