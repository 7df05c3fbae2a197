"""Several relays on one PostgreSQL, each by a proxy of its own, under load -> what a fault did to the webhooks.

Each relay gets its own steady load, of leads that are the other's too. Both targets take everything: what is late, lost
or repeated is the relays' doing.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from time import monotonic

from tests.e2e.history import Findings, Sent, judge, overtaken
from tests.e2e.processes import RELAY, RelayProcess, until
from tests.e2e.sender import Load
from tests.e2e.targets import Targets, listening, slow
from tests.postgres import Cluster
from tests.tcp_proxy import TcpProxy, proxying

LEADS = 51
PER_SECOND = 100
"""Webhooks for each relay."""
CONCURRENCY = 16
TAKES = 0.03
"""Seconds of an attempt: so a relay that ends has some in flight."""
DRAINED_WITHIN = 90.0
"""Seconds after the last webhook: a relay is declared dead after 15, a lease ends after minutes."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a drained campaign saw. `answers`: by status, 0 for none; `slowest`: seconds of a 200."""

    sent: Sequence[Sent]
    findings: Findings
    at_once: int
    overtaken: int
    overtaken_across: int
    answers: Mapping[int, int]
    slowest: float
    drained_after: float

    def repeats(self) -> int:
        """Requests that a target took again."""
        return sum(self.findings.duplicated.values())

    def __str__(self) -> str:
        answers = ", ".join(f"{number} × {status or 'none'}" for status, number in sorted(self.answers.items()))
        return (
            f"answers {answers}; {self.findings}, of one key at once {self.at_once}, overtaken {self.overtaken}"
            f" ({self.overtaken_across} across relays); slowest 200 {self.slowest * 1000:.0f} ms,"
            f" drained after {self.drained_after:.1f} s"
        )

    def assert_nothing_went_wrong(self) -> None:
        """Assert what no fault may break, whatever it is."""
        assert not self.findings.lost
        assert not self.findings.unexpected
        assert not self.findings.mismatched
        assert self.at_once == 0
        assert self.overtaken == 0

    def assert_all_answered_200(self) -> None:
        """Assert it where no relay was killed: what PostgreSQL does is no matter of the sender."""
        assert set(self.answers) == {200}


@dataclass(kw_only=True)
class Relays:
    """The relays and what is around them, by name."""

    relays: dict[str, RelayProcess]
    proxies: dict[str, TcpProxy]
    targets: Targets
    loads: dict[str, Load] = field(default_factory=dict)

    async def sent(self, webhooks: int = 2 * PER_SECOND, seconds: float = 60) -> None:
        """Wait until so many more were answered 200, by any."""
        wanted = self._acknowledged() + webhooks
        await until(lambda: self._acknowledged() >= wanted, seconds)

    async def all_deliver(self) -> None:
        """Wait until each has its share of the deliveries: the first one there has all for some seconds."""

        async def delivers(relay: RelayProcess) -> bool:
            return await relay.metric("relay_attempts_total") >= PER_SECOND

        for each in self.relays.values():
            await until(lambda each=each: delivers(each))

    @asynccontextmanager
    async def loaded(self, hooks: Mapping[str, str], per_second: int = PER_SECOND) -> AsyncIterator[None]:
        """Webhooks go to these addresses for as long as the block lasts; a name comes again in their markers."""
        async with AsyncExitStack() as stack:
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
            await self._alive().drained()
        for relay in self.relays.values():
            if relay.process and relay.process.returncode is None:
                relay.signal(SIGTERM)
                assert await relay.ended() == 0
        return self._seen(drained_after)

    def _seen(self, drained_after: float) -> Seen:
        sent = [each for load in self.loads.values() for each in load.sent]
        received = self.targets.received
        answers = Counter[int](sum((load.answers for load in self.loads.values()), Counter()))
        answers[0] += len(sent) - answers.total()
        return Seen(
            sent=sent,
            findings=judge(sent, received),
            at_once=self.targets.of_one_key_at_once["ordered"],
            overtaken=len(overtaken(sent, received, "ordered")),
            overtaken_across=len(overtaken(sent, received, "ordered", anywhere=True)),
            answers=+answers,
            slowest=max((each.ended - each.began for each in sent if each.acknowledged), default=0.0),
            drained_after=drained_after,
        )

    async def _arrived(self, deadline: float) -> int:
        """How many deliveries of what was acknowledged are missing at last."""
        while missing := self._missing():
            if monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        return missing

    def _missing(self) -> int:
        acknowledged = {each.marker for load in self.loads.values() for each in load.sent if each.acknowledged}
        return sum(len(acknowledged.difference(self.targets.accepted(name))) for name in self.targets.behaviour)

    def _acknowledged(self) -> int:
        return sum(load.acknowledged for load in self.loads.values())

    def _alive(self) -> RelayProcess:
        return next(each for each in self.relays.values() if each.process and each.process.returncode is None)


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
    prepare: str = "on",
) -> AsyncIterator[Relays]:
    """Relays of these names on a new database, ready if they are to be `started`. With `others` there is no proxy.

    With `prepare` "off" a proxy sees the text of every statement.
    """
    database = await asyncio.to_thread(cluster.new_database)
    async with AsyncExitStack() as stack:
        targets = await stack.enter_async_context(listening(plain=slow(TAKES), ordered=slow(TAKES)))
        routes = ROUTES.format(concurrency=CONCURRENCY, **{name: targets.url(name) for name in targets.behaviour})
        made = Relays(relays={}, proxies={}, targets=targets)
        for name in names:
            proxy = made.proxies[name] = await stack.enter_async_context(proxying(cluster.port))
            dsn = cluster.dsn(database, others=others, prepare=prepare)
            store = dsn if others else dsn.replace(f":{cluster.port}", f":{proxy.port}")
            home = folder / name
            home.mkdir()
            more = (variables or {}).get(name, {})
            relay = made.relays[name] = RelayProcess(home, routes, command=command, store=store, **more)
            stack.push_async_callback(relay.kill)
            if started:
                await relay.start()
        yield made


async def campaign(
    folder: Path,
    cluster: Cluster,
    fault: Callable[[Relays], Awaitable[None]],
    *,
    within: float = DRAINED_WITHIN,
    deliver: bool = True,
    **options: object,
) -> Seen:
    """Let a fault happen to relays under load, all of which `deliver` before it, and judge once all has arrived."""
    async with relays(folder, cluster, **options) as made:  # type: ignore[arg-type]
        async with made.loaded({name: each.hook for name, each in made.relays.items()}):
            if deliver:
                await made.all_deliver()
            await fault(made)
            await made.sent()
        return await made.judged(within)
