"""Claim and settle, without HTTP: a store on PostgreSQL beside one on SQLite, so many deliveries at once."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter

from relay.model import Delivered, Event, Outcome, PlannedDelivery, Reason, RoutedEvent, Webhook
from relay.store.contract import Archive
from relay.store.postgres.store import PostgresStore
from relay.store.requests import KeepRequest, Settlement
from relay.store.sqlite.store import SqliteStore
from relay.store.times import utc_now
from tests.bench.rounds import Plan, alternating
from tests.bench.table import Row
from tests.bench.wrk import BenchFailed
from tests.postgres import Cluster

AT_ONCE = (10, 200)
DELIVERIES = 4000
BATCH = 250
PAYLOAD = b'{"data":{"id":7,"pipeline_id":3,"status_id":16}}'
_numbers = count(1)


async def measure(plan: Plan, server: Cluster, folder: Path) -> list[Row]:
    """Each number at once, without and with ordering keys."""
    on_server = PostgresStore(server.dsn(server.new_database()), name="bench", emit=lambda _signal: None)
    on_file = SqliteStore.open(folder / "claiming.db", now=utc_now(), emit=lambda _signal: None, failed=lambda: None)
    try:
        await on_server.ready()
        sides: dict[str, Archive] = {"sqlite": on_file, "postgresql": on_server}
        return [row for at_once in AT_ONCE for keys in (0, 500) for row in await _with(plan, sides, at_once, keys)]
    finally:
        await on_server.close()
        await on_file.close()


async def _with(plan: Plan, sides: dict[str, Archive], at_once: int, keys: int) -> list[Row]:
    number = DELIVERIES // 4 if plan.quick else DELIVERIES
    rounds = await alternating(
        plan, **{name: partial(_settled, store, number, at_once, keys) for name, store in sides.items()}
    )
    return [
        Row(
            bench="PostgreSQL, claim and settle",
            what=f"{at_once} at once{f', {keys} keys' if keys else ''}",
            unit="/s",
            ours=rounds.samples["postgresql"],
            beside="SQLite",
            theirs=rounds.samples["sqlite"],
            others=rounds.others,
        )
    ]


async def _settled(store: Archive, number: int, at_once: int, keys: int) -> float:
    """Deliveries a second, of a target of its own."""
    target = f"bot{next(_numbers)}"
    await _fill(store, target, number, keys)
    start, done = perf_counter(), 0
    while done < number:
        now = store.clock() + timedelta(seconds=1)
        claimed = await store.claim(target, limit=at_once, max_bytes=10**7, now=now, lease=timedelta(minutes=5))
        outcome = Outcome(reason=Reason.OK, started_at=now, took=timedelta(milliseconds=2), status=200)
        settlements = [Settlement(each, outcome, Delivered(), now) for each in claimed]
        replies = await _replied(lambda on_replies, made=settlements: store.settle_many(made, on_replies))
        if not claimed or not all(each is True for each in replies):
            raise BenchFailed(f"{done} of {number} deliveries were claimed and settled: {replies[:3]}")
        done += len(claimed)
    return number / (perf_counter() - start)


async def _fill(store: Archive, target: str, number: int, keys: int) -> None:
    for first in range(0, number, BATCH):
        requests = [
            _request(store, f"{target}-{n}", target, f"k{n % keys}" if keys else None, n)
            for n in range(first, min(first + BATCH, number))
        ]
        await _replied(lambda on_replies, made=requests: store.keep_many(made, on_replies))


def _request(store: Archive, name: str, target: str, key: str | None, number: int) -> KeepRequest:
    now = store.clock()
    webhook = Webhook(id=f"webhook-{name}", source="crm", received_at=now, body=name.encode())
    event = Event(
        id=f"event-{name}", source="crm", received_at=now, account={}, entity="leads", action="add", data={"id": number}
    )
    planned = PlannedDelivery(target=target, routes=("all",), lease=None, key=key)
    return KeepRequest(webhook, [RoutedEvent(event=event, payload=PAYLOAD, planned=(planned,))], now)


async def _replied(call: Callable[..., None]) -> Sequence[object]:
    done: asyncio.Future[Sequence[object]] = asyncio.get_running_loop().create_future()
    call(done.set_result)
    return await done
