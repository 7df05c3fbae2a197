"""kill -9 under load, with poison in every tenth batch: nothing is lost, each poison delivery is dead, and it alone.

Both targets take lists; a list with a poison event in it is rejected as a whole. One asks for `order: entity`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGTERM
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.chaos.conftest import Report
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import SEED, scaled
from tests.chaos.test_kill import killed
from tests.chaos.trials import TRIALS, found_guilty
from tests.e2e.history import Findings, Place, Received, judge, overtaken
from tests.e2e.processes import RELAY, RelayProcess, until
from tests.e2e.sender import Load
from tests.postgres import Cluster

KILLS = scaled(20, least=3)
PER_SECOND = 250
LEADS = 61
MOST = 20
POISON = 10 * MOST  # one event in so many is poison: one in every tenth batch
CONCURRENCY = 4
TARGETS = ("warehouse", "ordered")
STAGES = {1: frozenset(TARGETS)}

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{timeout: 5s, concurrency: {concurrency}, retry: {{initial: 50ms, max: 500ms}}}}
targets:
  warehouse: {{url: "{url}/warehouse", batch: {{most: {most}, within: 200ms}}}}
  ordered: {{url: "{url}/ordered", batch: {{most: {most}, within: 50ms}}, order: entity}}
routes:
  - {{name: all, match: {{}}, to: [warehouse, ordered]}}
"""


def is_poison(marker: str) -> bool:
    return int(marker[1:]) % POISON == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One request: the markers and the ids of its events, in order, and the answer to it."""

    target: str
    markers: Sequence[str]
    ids: Sequence[str]
    status: int


@dataclass(slots=True)
class Warehouses:
    """Targets that take lists of events. `at_once`: requests with an entity that another one under way has, too."""

    chance: Random
    received: list[Received] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    at_once: Counter[str] = field(default_factory=Counter)
    under_way: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def take(self, request: web.Request) -> web.Response:
        """Reject what has poison in it, fail now and then, take the rest."""
        target, events = request.match_info["name"], orjson.loads(await request.read())
        leads = [(target, event["data"]["id"]) for event in events]
        self.at_once[target] += any(self.under_way[lead] for lead in leads) or len({*leads}) < len(leads)
        self.under_way.update(leads)
        try:
            await asyncio.sleep(self.chance.uniform(0.0, 0.02))
        finally:
            self.under_way.subtract(leads)
        markers = [event["data"]["name"] for event in events]
        status = 503 if self.chance.random() < 0.1 else 400 if any(map(is_poison, markers)) else 200
        self.note(target, events, markers, status)
        return web.Response(status=status)

    def note(self, target: str, events: Sequence[Any], markers: Sequence[str], status: int) -> None:
        """Record a request, as one of each event. An attempt's number is not each one's own: its place stands here."""
        self.batches.append(Batch(target=target, markers=markers, ids=[each["id"] for each in events], status=status))
        for event, marker in zip(events, markers, strict=True):
            self.received.append(
                Received(
                    target=target,
                    marker=marker,
                    event_id=event["id"],
                    attempt=len(self.received),
                    body=orjson.dumps(event),
                    accepted=status == 200,
                )
            )

    def rejected_alone(self) -> set[Place]:
        """What was rejected when it was the only event of a request."""
        return {(each.target, each.markers[0]) for each in self.batches if each.status == 400 and len(each.ids) == 1}


@asynccontextmanager
async def warehouses(chance: Random) -> AsyncIterator[tuple[Warehouses, str]]:
    """Targets that can be reached for as long as the block lasts, and where."""
    made = Warehouses(chance)
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{name}", made.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield made, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What a drained campaign saw. `dead` are the dead deliveries, `poison` those that have to be."""

    kills: int
    acknowledged: int
    findings: Findings
    dead: Collection[Place]
    poison: Collection[Place]
    rejected_alone: Collection[Place]
    overtaken: int
    at_once: int
    batches: Sequence[Batch]

    @property
    def together(self) -> float:
        """Events in a request, on average of those that were taken."""
        sizes = [len(each.ids) for each in self.batches if each.status == 200]
        return sum(sizes) / max(len(sizes), 1)

    def __str__(self) -> str:
        rejected = sum(each.status == 400 for each in self.batches)
        return (
            f"{self.kills} kills, {self.acknowledged} answered 200; {len(self.batches)} requests, {rejected} rejected,"
            f" {self.together:.1f} events in each that was taken: {self.findings}, overtaken {self.overtaken},"
            f" of one key at once {self.at_once}; dead {len(self.dead)} of {len(self.poison)} poison,"
            f" {len(set(self.dead) - set(self.poison))} others"
        )


async def campaign(
    folder: Path, kills: int, *, store: str = "", command: Sequence[str] = RELAY, seed: int = SEED
) -> Campaign:
    """Kill a relay under load again and again, then let it drain, and judge."""
    chance = Random(seed)
    async with warehouses(chance) as (seen, url):
        relay = RelayProcess(
            folder, ROUTES.format(url=url, most=MOST, concurrency=CONCURRENCY), command=command, store=store
        )
        try:
            await relay.start()
            load = Load(url=relay.hook, stages=STAGES, per_second=PER_SECOND, leads=LEADS)
            async with load.flowing():
                times = sum([(await killed(relay, load, chance))[1] for _ in range(kills)])
                enough = load.acknowledged + 2 * POISON
                await until(lambda: load.acknowledged >= enough)
            await relay.drained()
            listed = await relay.command("list", "--state", "dead", "--limit", "10000")
            relay.signal(SIGTERM)
            assert await relay.ended() == 0
        finally:
            await relay.kill()
    marker_of = {each.event_id: each.marker for each in seen.received}
    dead = {(each["target"], marker_of[each["event"]]) for each in listed["data"]}
    kept = {each.marker for each in load.sent if each.acknowledged} | {each.marker for each in seen.received}
    return Campaign(
        kills=times,
        acknowledged=load.acknowledged,
        findings=judge(load.sent, seen.received, dead),
        dead=dead,
        poison={(target, marker) for target in TARGETS for marker in kept if is_poison(marker)},
        rejected_alone=seen.rejected_alone(),
        overtaken=len(overtaken(load.sent, seen.received, "ordered")),
        at_once=seen.at_once["ordered"],
        batches=seen.batches,
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> str:
    """Where the relay stores: empty for SQLite."""
    if request.param == "sqlite":
        return ""
    server: Cluster = request.getfixturevalue("server")
    return server.dsn(server.new_database())


@pytest.mark.timeout(90 + 6 * KILLS)
async def test_kill_9_loses_nothing_of_a_batch_and_poison_is_dead_alone(
    tmp_path: Path, store: str, report: Report
) -> None:
    seen = await campaign(tmp_path, KILLS, store=store)
    report(f"batches, kill -9, {'PostgreSQL' if store else 'SQLite'}", str(seen))
    findings = seen.findings
    assert not findings.lost
    assert not findings.unexpected
    assert not findings.mismatched
    assert set(seen.dead) == set(seen.poison)
    assert len(seen.poison) >= 2 * len(TARGETS)
    assert set(seen.poison) <= set(seen.rejected_alone), "it is dead for its own sake"
    assert (seen.overtaken, seen.at_once) == (0, 0)
    assert seen.together > 2, "these are batches"
    # what was at a target when the relay was killed, or not settled yet, goes there again
    assert all(findings.repeats(target) <= seen.kills * 2 * CONCURRENCY * MOST for target in TARGETS)


FAULTS: Mapping[str, Callable[[Campaign], bool]] = {
    "rejects_together": lambda seen: set(seen.dead) > set(seen.poison),
    "settles_batches_early": lambda seen: bool(seen.findings.lost),
    "orders_nothing": lambda seen: seen.at_once + seen.overtaken > 0,
}


@pytest.mark.timeout(120 * TRIALS)
@pytest.mark.parametrize("broken", FAULTS)
async def test_a_relay_that_breaks_a_promise_of_batches_is_found_guilty(
    broken: str, tmp_path: Path, report: Report
) -> None:
    async def shows(folder: Path, seed: int) -> bool:
        seen = await campaign(folder, 3, command=sabotaged(broken), seed=seed)
        report("batches, sabotaged", f"{broken}: {seen}")
        return FAULTS[broken](seen)

    assert await found_guilty(tmp_path, shows)
