"""Several relays on one PostgreSQL, each by a proxy of its own, under load -> what a fault did to the webhooks.

Each relay gets its own steady load, of leads that are the other's too. Both targets take everything: what is late, lost
or repeated is the relays' doing.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from time import monotonic, time

from tests.chaos.scale import AT_LENGTH, at_length
from tests.chaos.seen import STALL, Seen, blocked, instant, is_during, late, repeated
from tests.e2e.history import judge, overtaken
from tests.e2e.processes import RELAY, RelayProcess, until
from tests.e2e.sender import Load
from tests.e2e.targets import Targets, listening, slow
from tests.postgres import Cluster
from tests.tcp_proxy import TcpProxy, proxying

LEADS = at_length(51, briefly=21)
PER_SECOND = at_length(100, briefly=25)
"""Webhooks for each relay; few, so that a machine that has other work keeps up."""
CONCURRENCY = 16
TAKES = 0.03 if AT_LENGTH else 0.1
"""Seconds of an attempt: so a relay that ends has some in flight."""
DRAINED_WITHIN = at_length(400.0, briefly=90)
"""Seconds after the last webhook: a relay is declared dead after 15, a lease ends after minutes; a backlog takes
more."""
TICK = 0.05
"""Seconds between two small writes of the test itself."""
STAGES = {1: frozenset({"plain", "ordered"})}

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{timeout: 5s, concurrency: {concurrency}, retry: {{initial: 50ms, max: 500ms}}}}
targets:
  plain: {{url: "{plain}"}}
  ordered: {{url: "{ordered}", order: entity}}
routes:
  - {{name: all, match: {{}}, to: [plain, ordered]}}
"""


@dataclass(kw_only=True)
class Relays:
    """The relays and what is around them, by name. `stopped`: those that the test itself has stopped by a signal."""

    folder: Path
    database: str
    relays: dict[str, RelayProcess]
    proxies: dict[str, TcpProxy]
    targets: Targets
    loads: dict[str, Load] = field(default_factory=dict)
    stalls: list[tuple[float, float]] = field(default_factory=list)
    stopped: set[str] = field(default_factory=set)
    ended: dict[str, float] = field(default_factory=dict)

    async def sent(self, webhooks: int = 2 * PER_SECOND) -> None:
        """Wait until so many more were answered 200, by any; a busy machine may take several times as long for it."""
        wanted = self._acknowledged() + webhooks
        await until(lambda: self._acknowledged() >= wanted, 60 + 4 * webhooks / PER_SECOND)

    async def all_deliver(self) -> None:
        """Wait until each has its share of the deliveries: the first one there has all for some seconds."""

        async def delivers(relay: RelayProcess) -> bool:
            return await relay.metric("relay_attempts_total") >= PER_SECOND

        for each in self.relays.values():
            await until(lambda each=each: delivers(each), 60)

    @asynccontextmanager
    async def loaded(self, hooks: Mapping[str, str], per_second: int = PER_SECOND) -> AsyncIterator[None]:
        """Webhooks go to these addresses for as long as the block lasts; a name comes again in their markers."""
        async with AsyncExitStack() as stack:
            watching = asyncio.create_task(self._watch_for_stalls())
            stack.callback(watching.cancel)
            for name, hook in hooks.items():
                load = Load(url=hook, stages=STAGES, per_second=per_second, leads=LEADS, name=name)
                self.loads[name] = load
                await stack.enter_async_context(load.flowing(connections=8))
            yield

    async def judged(self, within: float = DRAINED_WITHIN) -> Seen:
        """Wait until all that was acknowledged has arrived and nothing is pending, stop the relays, and judge.

        What has not arrived `within` so many seconds is lost.
        """
        began = monotonic()
        missing = await self._arrived(began + within)
        drained_after = monotonic() - began
        if not missing:
            await until(self._owes_nothing, 60)
        for name, relay in self.relays.items():
            if relay.process and relay.process.returncode is None:
                relay.signal(SIGTERM)
                assert await relay.ended() == 0
                self.ended[name] = monotonic()
        return self._seen(drained_after)

    async def _watch_for_stalls(self) -> None:
        file = self.folder / "written"
        while True:
            began = monotonic()
            await asyncio.to_thread(_write, file)
            if monotonic() - began > STALL:
                self.stalls.append((began, monotonic()))
            await asyncio.sleep(TICK)

    def _held_up(self) -> list[tuple[float, float]]:
        """When other programs had the processor or the disk, as this process or a relay has noticed it."""
        spans = [
            span
            for name, relay in self.relays.items()
            if name not in self.stopped
            for span in blocked(relay.lines("event loop blocked"), self._clock(name))
        ]
        return [*self.stalls, *spans]

    def _clock(self, name: str) -> float:
        """What a relay's clock, which may be wrong, is ahead of the monotonic one."""
        if name not in self.ended:
            return time() - monotonic()
        return instant(self.relays[name].lines("stopped")[-1]) - self.ended[name]

    def _seen(self, drained_after: float) -> Seen:
        sent = [each for load in self.loads.values() for each in load.sent]
        received = self.targets.received
        answers = Counter[int](sum((load.answers for load in self.loads.values()), Counter()))
        answers[0] += len(sent) - answers.total()
        held_up = self._held_up()
        return Seen(
            sent=sent,
            findings=judge(sent, received),
            at_once=self.targets.of_one_key_at_once["ordered"],
            overtaken=len(overtaken(sent, received, "ordered")),
            overtaken_across=len(overtaken(sent, received, "ordered", anywhere=True)),
            answers=+answers,
            failed=[each for each in sent if not (each.acknowledged or is_during(each.began, each.ended, held_up))],
            repeated=[place for place, first, last in repeated(received) if not is_during(first, last, held_up)],
            late=late(sent, received),
            slowest=max((each.ended - each.began for each in sent if each.acknowledged), default=0.0),
            drained_after=drained_after,
        )

    async def _arrived(self, deadline: float) -> int:
        """How many deliveries of what was acknowledged are missing at last."""
        while missing := self._missing():
            if monotonic() > deadline:
                break
            await asyncio.sleep(0.2 + len(self.targets.received) / 100_000)  # counting takes time of the targets
        return missing

    def _missing(self) -> int:
        acknowledged = {each.marker for load in self.loads.values() for each in load.sent if each.acknowledged}
        return sum(len(acknowledged.difference(self.targets.accepted(name))) for name in self.targets.behaviour)

    def _acknowledged(self) -> int:
        return sum(load.answers[200] for load in self.loads.values())

    async def _owes_nothing(self) -> bool:
        return await self._alive().metric("relay_deliveries_pending") == 0

    def _alive(self) -> RelayProcess:
        return next(each for each in self.relays.values() if each.process and each.process.returncode is None)


def _write(file: Path) -> None:
    with file.open("wb") as opened:
        opened.write(b"x")
        opened.flush()
        os.fsync(opened.fileno())


@asynccontextmanager
async def relays(
    folder: Path,
    cluster: Cluster,
    *,
    names: str = "ab",
    others: tuple[Cluster, ...] = (),
    command: Sequence[str] = RELAY,
    started: bool = True,
    variables: Mapping[str, Mapping[str, str]] | None = None,
) -> AsyncIterator[Relays]:
    """Relays of these names on a new database, ready if they are to be `started`. With `others` there is no proxy."""
    database = await asyncio.to_thread(cluster.new_database)
    async with AsyncExitStack() as stack:
        targets = await stack.enter_async_context(listening(plain=slow(TAKES), ordered=slow(TAKES)))
        routes = ROUTES.format(concurrency=CONCURRENCY, **{name: targets.url(name) for name in targets.behaviour})
        made = Relays(folder=folder, database=database, relays={}, proxies={}, targets=targets)
        for name in names:
            proxy = made.proxies[name] = await stack.enter_async_context(proxying(cluster.port))
            dsn = cluster.dsn(database, others=others)
            store = dsn if others else dsn.replace(f":{cluster.port}", f":{proxy.port}")
            home = folder / name
            home.mkdir()
            more = (variables or {}).get(name, {})
            relay = made.relays[name] = RelayProcess(home, routes, command=command, store=store, **more)
            stack.push_async_callback(relay.kill)
        if started:
            await asyncio.gather(*(each.start() for each in made.relays.values()))
        yield made


async def campaign(
    folder: Path,
    cluster: Cluster,
    fault: Callable[[Relays], Awaitable[None]],
    *,
    within: float = DRAINED_WITHIN,
    deliver: bool = True,
    per_second: int = PER_SECOND,
    **options: object,
) -> Seen:
    """Let a fault happen to relays under load, all of which `deliver` before it, and judge once all has arrived."""
    async with relays(folder, cluster, **options) as made:  # type: ignore[arg-type]
        async with made.loaded({name: each.hook for name, each in made.relays.items()}, per_second):
            if deliver:
                await made.all_deliver()
            await fault(made)
            await made.sent()
        return await made.judged(within)
