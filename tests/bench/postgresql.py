"""A relay on PostgreSQL beside one on SQLite: what a webhook costs, how fast, how late; two relays; the spool.

PostgreSQL has fsync on, its default settings, and loopback for a network; both stores are on the same disk. The
processor time is that of the relay's process and of all of PostgreSQL's, told apart and together: a machine of its own
for PostgreSQL takes its part away. Whoever posts and receives has its share of the processors, and so of the rates.
Not part of `make bench` unless it is asked for: `--only=postgresql`.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from relay.store.postgres.store import PostgresStore
from tests.bench import backlog, backlogs, claiming, leads, spooling
from tests.bench.acks import NOWHERE, demand_stored
from tests.bench.database import Bench, Figures, acked, costs, number_of, rows_of, serving
from tests.bench.footprint import MEGABYTE
from tests.bench.processor import cpu_seconds
from tests.bench.rounds import Plan, alternating
from tests.bench.servers import Receiver, Relay, receiving, relaying
from tests.bench.table import Row
from tests.bench.through import Post, delivered
from tests.bench.wrk import BenchFailed, load
from tests.e2e.processes import until

CONNECTIONS = (1, 16, 64)
AT_ONCE = 64
LONGER = 3
"""Times that other loads last is what makes a backlog: its first and last deliveries count little then."""
PENDING = 1_000_000


async def measure(
    plan: Plan, connections: Sequence[int] = CONNECTIONS, parts: Sequence[str] = ("stores", "relays", "spool")
) -> list[Row]:
    """Webhooks and claims beside SQLite's; backlogs, also of two relays; the spool, for which the server is stopped."""
    rows: list[Row] = []
    with serving() as (server, folder):
        bench = Bench(plan=plan, server=server, folder=folder, content=leads.webhooks(plan.folder))
        if "stores" in parts:
            rows += await _acks(bench, connections)
            rows += await _through(bench, connections)
            rows += await claiming.measure(plan, server, folder)
        if "relays" in parts:
            rows += await _drained(bench)
            rows += await _pending(bench)
        if "spool" in parts:
            rows += await spooling.idle(bench)
            rows += await spooling.spooled(bench, [each for each in connections if each > 1] or connections)
    return rows


# ---- acks


async def _acks(bench: Bench, connections: Sequence[int]) -> list[Row]:
    async with AsyncExitStack() as stack:
        sides = {"sqlite": "", "postgresql": bench.url()}
        relays = {
            name: await stack.enter_async_context(relaying(bench.folder / f"acks-{name}", NOWHERE, store=store))
            for name, store in sides.items()
        }
        for relay in relays.values():
            await relay.pause()
        rows = [row for number in connections for row in await _acks_at(bench, number, relays)]
        await _demand_direct(relays["postgresql"])
        for relay in relays.values():
            await demand_stored(relay)
        return rows


async def _acks_at(bench: Bench, connections: int, relays: dict[str, Relay]) -> list[Row]:
    sides = {name: partial(acked, bench, relay, connections) for name, relay in relays.items()}
    rounds = await alternating(bench.plan, **sides)
    names = {"rate": ("acks", "/s"), "p50": ("p50", "ms"), "p99": ("p99", "ms"), **costs("ack")}
    return rows_of("PostgreSQL, durable acks", number_of(connections), names, rounds.samples, rounds.others)


async def _demand_direct(relay: Relay) -> None:
    """BenchFailed if it has used its spool: the figures would be SQLite's."""
    if await relay.metric("relay_spool_webhooks") or await relay.metric("relay_intake_direct") != 1:
        raise BenchFailed("the relay used its spool while PostgreSQL was there")


# ---- end to end


async def _through(bench: Bench, connections: Sequence[int]) -> list[Row]:
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        sides = {"sqlite": "", "postgresql": bench.url()}
        relays = {
            name: await stack.enter_async_context(
                relaying(bench.folder / f"through-{name}", receiver.urls(1), at_once=AT_ONCE, store=store)
            )
            for name, store in sides.items()
        }
        rows = [row for number in connections for row in await _through_at(bench, number, relays, receiver)]
        await _demand_direct(relays["postgresql"])
        return rows


async def _through_at(bench: Bench, connections: int, relays: dict[str, Relay], receiver: Receiver) -> list[Row]:
    post = Post(content=bench.content, connections=connections)

    async def sample(relay: Relay) -> Figures:
        start, before = bench.spent(relay), await relay.accepted()
        found = await delivered(bench.plan, relay, receiver, post)
        events = await relay.accepted() - before
        database = (bench.spent(relay) - start) / events * 1e6
        return Figures(rate=found.rate, relay=found.cpu, database=database, p50=found.p50)

    rounds = await alternating(bench.plan, **{name: partial(sample, relay) for name, relay in relays.items()})
    names = {"rate": ("delivered and settled", "webhooks/s"), "p50": ("p50 of an ack", "ms"), **costs("webhook")}
    return rows_of("PostgreSQL, end to end", number_of(connections), names, rounds.samples, rounds.others)


# ---- a backlog


async def _drained(bench: Bench) -> list[Row]:
    """By one relay on each store, and by two on one PostgreSQL."""
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        shared = bench.url()
        sides: dict[str, list[Relay]] = {}
        for side, stores in {"sqlite": [""], "postgresql": [bench.url()], "two": [shared, shared]}.items():
            sides[side] = [
                await stack.enter_async_context(
                    relaying(bench.folder / f"{side}-{number}", receiver.urls(1), at_once=AT_ONCE, store=store)
                )
                for number, store in enumerate(stores)
            ]
        await asyncio.sleep(8)  # until both have their share
        rounds = await alternating(
            bench.plan, **{name: partial(_drain, bench, relays, receiver) for name, relays in sides.items()}
        )
    samples = rounds.samples
    names = {"rate": ("drained", "/s"), **costs("delivery")}
    beside = {"bench": "PostgreSQL, a backlog", "beside": "one relay", "others": rounds.others}
    two, one = samples["two"], samples["postgresql"]
    return [
        *rows_of("PostgreSQL, a backlog", "one relay", names, samples, rounds.others),
        Row(what="two relays, drained", unit="/s", **_pair(two, one, "rate"), **beside),
        Row(what="two relays, processor, both", unit="µs/delivery", **_pair(two, one, "both"), **beside),
    ]


def _pair(ours: Sequence[Figures], theirs: Sequence[Figures], name: str) -> dict[str, Any]:
    return {"ours": [getattr(each, name) for each in ours], "theirs": [getattr(each, name) for each in theirs]}


async def _drain(bench: Bench, relays: Sequence[Relay], receiver: Receiver) -> Figures:
    first, pids = relays[0], [pid for relay in relays for pid in relay.pids]
    await first.pause()
    for relay in relays:
        await relay.paused()
    await receiver.forget()
    before, settled = await first.accepted(), await _settled(relays)
    await load(first, connections=AT_ONCE, seconds=LONGER * bench.plan.seconds, content=bench.content)
    owed = await first.accepted() - before
    spent, database = cpu_seconds(pids), bench.spent(first)
    await first.resume()
    figures = await receiver.has(owed)
    await until(partial(_has_settled, relays, settled + owed))
    return Figures(
        rate=(owed - 1) / (figures["last"] - figures["first"]),
        relay=(cpu_seconds(pids) - spent) / owed * 1e6,
        database=(bench.spent(first) - database) / owed * 1e6,
    )


async def _settled(relays: Sequence[Relay]) -> int:
    return sum([await each.settled() for each in relays])


async def _has_settled(relays: Sequence[Relay], wanted: int) -> bool:
    return await _settled(relays) >= wanted


async def _pending(bench: Bench) -> list[Row]:
    """A backlog that takes far longer to drain than it is watched; each round goes on with what is left of it."""
    pending = 10_000 if bench.plan.quick else PENDING
    folders = {"sqlite": bench.folder / "pending", "postgresql": bench.folder / "pending-spool"}
    folders["postgresql"].mkdir()
    await asyncio.to_thread(backlog.fill, folders["sqlite"] / "relay.db", pending)  # it has a loop of its own
    store = bench.url()
    await backlog.fill_store(PostgresStore(store, name="fill", emit=lambda _signal: None), pending)

    async def sample(side: str, store: str) -> backlog.Figures:
        return await backlog.measure(folders[side], pending, backlogs.SECONDS, store=store)

    rounds = await alternating(
        bench.plan, sqlite=partial(sample, "sqlite", ""), postgresql=partial(sample, "postgresql", store)
    )

    def row(what: str, unit: str, of: Callable[[backlog.Figures], float]) -> Row:
        return Row(
            bench=f"PostgreSQL, {pending:,} pending",
            what=what,
            unit=unit,
            ours=[of(each) for each in rounds.samples["postgresql"]],
            beside="SQLite",
            theirs=[of(each) for each in rounds.samples["sqlite"]],
            others=rounds.others,
        )

    return [
        row("ready after", "s", lambda each: each.ready),
        row("memory", "MB", lambda each: each.memory / MEGABYTE),
        row("ack p99 while draining", "ms", lambda each: each.ack * 1e3),
        row("drained", "/s", lambda each: each.rate),
        row("scrape at most", "ms", lambda each: max(each.scrapes) * 1e3),
    ]
