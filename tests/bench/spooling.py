"""A relay on PostgreSQL that has nothing to do; one whose PostgreSQL is away, and comes back."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from time import monotonic

from tests.bench.acks import NOWHERE
from tests.bench.database import Bench, Figures, acked, costs, database_seconds, number_of, rows_of, transactions
from tests.bench.processor import cpu_seconds
from tests.bench.rounds import alternating
from tests.bench.servers import SETTLED_WITHIN, Relay, relaying
from tests.bench.table import Row
from tests.e2e.processes import until

IDLE = 10.0  # seconds


async def idle(bench: Bench) -> list[Row]:
    """What a relay costs that has nothing to do, and how many transactions it makes."""
    seconds = bench.plan.seconds if bench.plan.quick else IDLE
    rows = []
    async with relaying(bench.folder / "idle", NOWHERE, store=bench.url()) as relay:
        await asyncio.sleep(3)
        start, count = monotonic(), transactions(bench.server)
        spent, database = cpu_seconds(relay.pids), database_seconds(bench.server)
        await asyncio.sleep(seconds)
        database = database_seconds(bench.server) - database
        spent = cpu_seconds(relay.pids) - spent
        await asyncio.sleep(1)
        took = monotonic() - start
        for what, unit, figure in (
            ("processor, relay", "% of a core", spent / seconds * 100),
            ("processor, PostgreSQL", "% of a core", database / seconds * 100),
            ("transactions", "/s", (transactions(bench.server) - count) / took),
        ):
            rows.append(Row(bench="PostgreSQL, idle", what=what, unit=unit, ours=[figure]))
    return rows


async def spooled(bench: Bench, connections: Sequence[int]) -> list[Row]:
    """Acks while PostgreSQL is away, then from its return until the spool is empty."""
    async with AsyncExitStack() as stack:
        sides = {"sqlite": "", "postgresql": bench.url()}
        relays = {
            name: await stack.enter_async_context(relaying(bench.folder / f"spool-{name}", NOWHERE, store=store))
            for name, store in sides.items()
        }
        for relay in relays.values():
            await relay.pause()
        rounds = await alternating(
            bench.plan, **{name: partial(_away, bench, name, relay, connections) for name, relay in relays.items()}
        )
    rows: list[Row] = []
    names = {"rate": ("acks", "/s"), "p99": ("p99", "ms"), "relay": ("processor", "µs/ack")}
    for number in connections:
        samples = {name: [each.acks[number] for each in side] for name, side in rounds.samples.items()}
        rows += rows_of("PostgreSQL away, acks by the spool", number_of(number), names, samples, rounds.others)
    forwarded = [each.forwarded for each in rounds.samples["postgresql"] if each.forwarded]
    return [
        *rows,
        *(
            Row(bench="the spool forwarded", what=told, unit=unit, ours=[getattr(each, name) for each in forwarded])
            for name, (told, unit) in {"rate": ("webhooks", "/s"), **costs("webhook")}.items()
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Away:
    acks: dict[int, Figures]
    forwarded: Figures | None = None


async def _away(bench: Bench, name: str, relay: Relay, connections: Sequence[int]) -> _Away:
    if name == "sqlite":
        return _Away(acks={number: await acked(bench, relay, number) for number in connections})
    await asyncio.to_thread(bench.server.stop)
    try:
        await until(partial(_is_direct, relay, 0.0))
        acks = {number: await acked(bench, relay, number) for number in connections}
    finally:
        await asyncio.to_thread(bench.server.start)
    return _Away(acks=acks, forwarded=await _forwarded(bench, relay))


async def _is_direct(relay: Relay, wanted: float) -> bool:
    return await relay.metric("relay_intake_direct") == wanted


async def _forwarded(bench: Bench, relay: Relay) -> Figures:
    """From when PostgreSQL accepts connections until the spool is empty."""
    start, owed = monotonic(), await relay.metric("relay_spool_webhooks")
    spent, database = cpu_seconds(relay.pids), database_seconds(bench.server)
    await until(partial(_is_direct, relay, 1.0), SETTLED_WITHIN)
    return Figures(
        rate=owed / (monotonic() - start),
        relay=(cpu_seconds(relay.pids) - spent) / owed * 1e6,
        database=(database_seconds(bench.server) - database) / owed * 1e6,
    )
