"""End to end: a relay that delivers to one target, to three ÷ a bare proxy. Events/s, lag at half of that.

The proxy posts the body on and answers once it was answered; the relay answers first. So both are timed from the first
post until all is done: the receiver, a process of its own, has taken every event of every target, and the relay's store
has it as delivered. A target may have 64 attempts at once (the relay's default is 8), as the proxy has requests.
The lag is measured by the receiver, from the event's timestamp (its arrival at the relay).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

from tests.bench.servers import SETTLED_WITHIN, Other, Receiver, Relay, other, paced, receiving, relaying
from tests.bench.table import Goal, Row
from tests.bench.wrk import WEBHOOK, BenchFailed, Content, Plan, alternating, cpu_seconds, load

CONNECTIONS = 64
LONGER = 2
"""Times that other loads last, so that seeing the end late counts little."""
GOALS = {1: Goal(at_least=0.85)}
LAG_GOAL = Goal(at_most=50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Through:
    """Events a second, and microseconds of the server's processor for each."""

    rate: float
    cpu: float


async def measure(plan: Plan, numbers: Sequence[int] = (1, 3)) -> list[Row]:
    """With so many targets."""
    return [row for targets in numbers for row in await _with(plan, targets)]


async def _with(plan: Plan, targets: int) -> list[Row]:
    folder = plan.folder / f"through-{targets}"
    async with receiving() as receiver:
        urls = receiver.urls(targets)
        async with other("bare", *urls) as proxy, relaying(folder, urls, at_once=CONNECTIONS) as relay:
            samples = await alternating(
                plan.rounds,
                bare=partial(_forwarded, plan, proxy, receiver, targets),
                relay=partial(delivered, plan, relay, receiver, targets),
            )
            rows = _rows(targets, samples["relay"], samples["bare"])
            if targets == 1:
                rows += await _lag(plan, relay, receiver, sorted(rows[0].ours)[plan.rounds // 2] / 2)
            await _demand_settled(relay)
            return rows


async def _forwarded(plan: Plan, proxy: Other, receiver: Receiver, targets: int) -> Through:
    await receiver.forget()
    start, spent = monotonic(), cpu_seconds(proxy.pids)
    await load(proxy, connections=CONNECTIONS, seconds=LONGER * plan.seconds)
    took = monotonic() - start
    events = (await receiver.figures())["taken"] / targets
    cpu = (cpu_seconds(proxy.pids) - spent) / events * 1e6
    await receiver.quiet()  # wrk left some requests alone that are still passed on: they are not the next side's
    return Through(rate=events / took, cpu=cpu)


async def delivered(plan: Plan, relay: Relay, receiver: Receiver, targets: int, content: Content = WEBHOOK) -> Through:
    """One load, from the first post until the store has the last event as delivered."""
    await receiver.forget()
    accepted, settled = await relay.accepted(), await relay.settled()
    start, spent = monotonic(), cpu_seconds(relay.pids)
    posted = await load(relay, connections=CONNECTIONS, seconds=LONGER * plan.seconds, content=content)
    await receiver.has(posted.requests * targets)
    events = await _settled(relay, targets, accepted, settled)
    took = monotonic() - start
    cpu = (cpu_seconds(relay.pids) - spent) / events * 1e6
    taken = (await receiver.quiet())["taken"]
    if not events * targets <= taken <= (posted.requests + CONNECTIONS) * targets:
        raise BenchFailed(f"{taken} were taken of {events} events for {targets} targets, and {posted.requests} posted")
    return Through(rate=events / took, cpu=cpu)


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


def _rows(targets: int, ours: list[Through], theirs: list[Through]) -> list[Row]:
    what = f"{targets} target{'s'[: targets != 1]}"
    beside = {"bench": "end to end", "beside": "bare proxy"}
    return [
        Row(
            **beside,
            what=f"{what}, delivered and settled",
            unit="events/s",
            ours=[each.rate for each in ours],
            theirs=[each.rate for each in theirs],
            goal=GOALS.get(targets),
        ),
        Row(
            **beside,
            what=f"{what}, processor",
            unit="µs/event",
            ours=[each.cpu for each in ours],
            theirs=[each.cpu for each in theirs],
        ),
    ]


async def _lag(plan: Plan, relay: Relay, receiver: Receiver, rate: float) -> list[Row]:
    """At that pace, whatever the relay does."""
    p50, p99 = [], []
    for _ in range(plan.rounds):
        await receiver.forget()
        sent = (await paced(relay, rate, plan.seconds))["sent"]
        await receiver.has(sent)
        lags = await receiver.lags()
        if len(lags) != sent:
            raise BenchFailed(f"{len(lags)} events came where {sent} were sent")
        p50.append(lags[len(lags) // 2] * 1e3)
        p99.append(lags[len(lags) * 99 // 100] * 1e3)
    what = f"lag at {rate:.0f} events/s, half of that"
    return [
        Row(bench="end to end", what=f"{what}, p50", unit="ms", ours=p50),
        Row(bench="end to end", what=f"{what}, p99", unit="ms", ours=p99, goal=LAG_GOAL),
    ]
