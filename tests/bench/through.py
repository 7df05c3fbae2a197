"""End to end: a relay that delivers to one target, to three ÷ a bare proxy. Events/s, lag at half of that.

The proxy posts the body on and answers once it was answered; the relay answers first. So both are timed from the first
post until all is done: the receiver, a process of its own, has taken every event of every target, and the relay's store
has it as delivered. A target may have 64 attempts at once (the relay's default is 8), as the proxy has requests.
Both forget nothing of a body: each is of another of a thousand leads (leads.py). The processor time is that of the
relay's and of the proxy's process, all threads (schedstat); wrk's and the receiver's is not counted, but they have
their share of the processors, and so of the rates.
The lag is measured by the receiver, from the event's timestamp (its arrival at the relay).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from time import monotonic

from tests.bench import leads
from tests.bench.by_thread import BUSY, WAITING, rows_by_thread
from tests.bench.processor import cpu_by_thread, cpu_seconds, per_unit
from tests.bench.rounds import Others, Plan, alternating
from tests.bench.servers import NAMED, SETTLED_WITHIN, Other, Receiver, Relay, other, paced, receiving, relaying
from tests.bench.table import Goal, Row
from tests.bench.wrk import BenchFailed, Content, load

BENCH = "end to end"
CONNECTIONS = 64
LONGER = 2
"""Times that other loads last, so that seeing the end late counts little."""
GOALS = {1: Goal(at_least=0.9, aim=1), 3: Goal(at_least=0.9, aim=1)}
CPU_GOALS = {1: Goal(at_most=1.15, aim=1)}
LAG_GOAL = Goal(at_most=50)
NO_GOALS: Mapping[int, Goal] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Through:
    """Webhooks a second, and microseconds of the server's processor for each: of all threads, and by thread.

    `p50`: milliseconds until it was answered.
    """

    rate: float
    cpu: float
    p50: float
    threads: Mapping[str, float] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Webhooks per CPU-second."""
        return 1e6 / self.cpu


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What is posted, over how many connections, and how many targets get the one event of each webhook."""

    content: Content
    connections: int = CONNECTIONS
    targets: int = 1


async def measure(plan: Plan, numbers: Sequence[int] = (1, 3)) -> list[Row]:
    """With so many targets; what each thread had comes last."""
    rows = [row for targets in numbers for row in await _with(plan, targets)]
    return sorted(rows, key=lambda row: row.bench != BENCH)


async def _with(plan: Plan, targets: int) -> list[Row]:
    folder = plan.folder / f"through-{targets}"
    content = leads.webhooks(plan.folder)
    async with receiving() as receiver:
        urls = receiver.urls(targets)
        async with (
            other("bare", *urls) as proxy,
            relaying(folder, urls, at_once=CONNECTIONS, command=NAMED) as relay,
        ):
            rows = []
            for connections in (CONNECTIONS, 1) if targets == 1 else (CONNECTIONS,):
                post = Post(content=content, connections=connections, targets=targets)
                rows += await _posted(plan, post, relay, proxy, receiver)
            if targets == 1:
                rows += await _lag(plan, relay, receiver, median(rows[0].ours) / 2)
            await _demand_settled(relay)
            return rows


async def _posted(plan: Plan, post: Post, relay: Relay, proxy: Other, receiver: Receiver) -> list[Row]:
    rounds = await alternating(
        plan,
        bare=partial(_forwarded, plan, proxy, receiver, post),
        relay=partial(delivered, plan, relay, receiver, post),
    )
    ours, theirs = rounds.samples["relay"], rounds.samples["bare"]
    rows = _rows(post, ours, theirs, rounds.others)
    if post.targets > 1:
        return rows
    bench = BUSY if post.connections == CONNECTIONS else WAITING
    return rows + rows_by_thread(f"{BENCH}, {_what(post)}", ours, rounds.others, bench)


async def _forwarded(plan: Plan, proxy: Other, receiver: Receiver, post: Post) -> Through:
    await receiver.forget()
    start, spent = monotonic(), cpu_seconds(proxy.pids)
    posted = await load(proxy, connections=post.connections, seconds=LONGER * plan.seconds, content=post.content)
    took = monotonic() - start
    events = (await receiver.figures())["taken"] / post.targets
    cpu = (cpu_seconds(proxy.pids) - spent) / events * 1e6
    await receiver.quiet()  # wrk left some requests alone that are still passed on: they are not the next side's
    return Through(rate=events / took, cpu=cpu, p50=posted.p50)


async def delivered(plan: Plan, relay: Relay, receiver: Receiver, post: Post) -> Through:
    """One load, from the first post until the store has the last event as delivered."""
    await receiver.forget()
    targets = post.targets
    accepted, settled = await relay.accepted(), await relay.settled()
    start, spent, threads = monotonic(), cpu_seconds(relay.pids), cpu_by_thread(relay.pids)
    posted = await load(relay, connections=post.connections, seconds=LONGER * plan.seconds, content=post.content)
    await receiver.has(posted.requests * targets)
    events = await _settled(relay, targets, accepted, settled)
    took = monotonic() - start
    cpu = (cpu_seconds(relay.pids) - spent) / events * 1e6
    by_thread = per_unit(threads, cpu_by_thread(relay.pids), events)
    taken = (await receiver.quiet())["taken"]
    if not events * targets <= taken <= (posted.requests + post.connections) * targets:
        raise BenchFailed(f"{taken} were taken of {events} events for {targets} targets, and {posted.requests} posted")
    return Through(rate=events / took, cpu=cpu, p50=posted.p50, threads=by_thread)


async def _settled(relay: Relay, targets: int, accepted: int, settled: int) -> int:
    """Events since there were so many, once all are settled; some more than wrk counts, which leaves its last alone.

    By the count of attempts, which goes up with each commit; the backlog's gauge is up to a second late.
    """
    deadline = monotonic() + SETTLED_WITHIN
    while (done := await relay.settled() - settled) < (planned := (await relay.accepted() - accepted) * targets):
        if monotonic() > deadline:
            raise BenchFailed(f"{done} deliveries of {planned} are settled after {SETTLED_WITHIN:.0f} s")
        await asyncio.sleep(0.02)
    return planned // targets


async def _demand_settled(relay: Relay) -> None:
    """What the metrics said of the deliveries, the store says too."""
    status = await relay.command("status")
    if any(target["pending"] or target["dead"] for target in status["targets"]):
        raise BenchFailed(f"not everything was delivered: {status['targets']}")


def _what(post: Post) -> str:
    alone = ", 1 connection" if post.connections == 1 else ""
    return f"{post.targets} target{'s'[: post.targets != 1]}{alone}"


def _rows(post: Post, ours: list[Through], theirs: list[Through], others: Others) -> list[Row]:
    def row(what: str, unit: str, name: str, *, goals: Mapping[int, Goal] = NO_GOALS, times: int = 1) -> Row:
        figures = [[getattr(each, name) * times for each in side] for side in (ours, theirs)]
        return Row(
            bench=BENCH,
            what=f"{_what(post)}, {what}",
            unit=unit,
            ours=figures[0],
            beside="bare proxy",
            theirs=figures[1],
            goal=goals.get(post.targets) if post.connections == CONNECTIONS else None,
            others=others,
        )

    rows = [
        row("delivered and settled", "webhooks/s", "rate", goals=GOALS),
        row("processor", "µs/webhook", "cpu", goals=CPU_GOALS),
        row("webhooks per CPU-second", "/CPU s", "per_second"),
    ]
    if post.targets > 1:
        rows.append(row("deliveries per CPU-second", "/CPU s", "per_second", times=post.targets))
    return rows


async def _lag(plan: Plan, relay: Relay, receiver: Receiver, rate: float) -> list[Row]:
    """At that pace, whatever the relay does."""

    async def lags() -> tuple[float, float]:
        await receiver.forget()
        sent = (await paced(relay, rate, plan.seconds))["sent"]
        await receiver.has(sent)
        lags = await receiver.lags()
        if len(lags) != sent:
            raise BenchFailed(f"{len(lags)} events came where {sent} were sent")
        return lags[len(lags) // 2] * 1e3, lags[len(lags) * 99 // 100] * 1e3

    rounds = await alternating(plan, relay=lags)
    p50, p99 = zip(*rounds.samples["relay"], strict=True)
    what = f"lag at {rate:.0f} events/s, half of that"
    lag = {"bench": BENCH, "unit": "ms", "others": rounds.others}
    return [Row(what=f"{what}, p50", ours=p50, **lag), Row(what=f"{what}, p99", ours=p99, goal=LAG_GOAL, **lag)]
