"""What operators ask of 1,000,000 deliveries, on a quiet machine: `python -m tests.bench.questions [NUMBER [TIMES]]`.

Both stores are filled alike: a webhook each 10 s, an event, two deliveries, an attempt each; of 1,000 events one has
failed, of 10,000 one is dead, of 500 one is unrouted, one in 100,000 is about a rare pipeline, and one in 25 about one
lead. A page of 50 is asked for as the API does, within the budget of 80 ms; one that ends by it says so. Nothing is
asserted here. What the API takes for each of its questions is printed by `tests.bench.askers`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import apsw
import psycopg

from relay.model import State
from relay.operations.which import LOOK
from relay.store.contract import OperationsStore
from relay.store.postgres.connection import Connection
from relay.store.postgres.migrate import build_indexes, migrate
from relay.store.postgres.store import PostgresStore
from relay.store.question_records import AttemptFilter
from relay.store.records import Filter, Page
from relay.store.sqlite.entity_index import index_batch
from relay.store.sqlite.store import SqliteStore
from tests.bench.database import serving

DELIVERIES = 1_000_000
TIMES = 100
END = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
EVERY = timedelta(seconds=10)

Question = Callable[[OperationsStore], Awaitable[Page[Any]]]

_ROWS = """
insert into webhooks (id, source, received_at, content_type, request_id, body, checksum, query, signature, dated)
select 'w' || {n}, 'crm', {at}, 'form', '', {body}, {body}, '', '', '0' from {numbers};
insert into events (id, webhook, kind, entity, action, entity_id, received_at, payload, checksum, unrouted{pipeline})
select 'e' || {n}, {n}, 'event', case {n} % 5 when 0 then 'contacts' else 'leads' end, 'update',
  case {n} % 25 when 1 then '77' else '' || ({n} % 50000) end, {at}, {payload}, {body},
  case {n} % 500 when 3 then 1 end{of_pipeline} from {numbers};
insert into deliveries (event, target, routes, state, {claimed}, attempt, base, replays, pending_since, due_at,
  settled_at, why)
select {n}, target, '["all"]', case when {n} % 10000 = 7 and target = 'bot' then 'dead' else 'delivered' end,
  {unclaimed}, 1, 0, 0, {at}, null, {at} + 50, case when {n} % 10000 = 7 and target = 'bot' then 'no' else '' end
from {numbers} cross join (select 'bot' as target union all select 'dwh') t where {n} % 500 <> 3;
insert into attempts (event, target, number, started_at, took_us, verdict, reason, status, detail, late)
select d.event, d.target, 1, d.pending_since + 5, 40000,
  case when d.state = 'dead' then 'dead' when d.event % 1000 = 8 then 'retry' else 'delivered' end,
  case when d.state = 'dead' or d.event % 1000 = 8 then '5xx' else '2xx' end, 200, '', 0 from deliveries d;
"""


def _sql(events: int, **of_kind: str) -> str:
    start = int((END - events * EVERY).timestamp() * 1000)
    return _ROWS.format(n="n", at=f"({start} + n * {int(EVERY.total_seconds() * 1000)})", **of_kind)


async def sqlite(path: Path, events: int) -> SqliteStore:
    """A store of one file."""
    await SqliteStore.open(path, now=END, emit=lambda _: None, failed=lambda: None).close()
    connection = apsw.Connection(str(path))
    connection.pragma("synchronous", "off")
    numbers = f"(with recursive c (n) as (select 1 union all select n + 1 from c where n < {events}) select n from c)"
    payload = (
        "cast(json_object('account', json_object('id', '1'), 'data', json_object('pipeline_id', n % 100000)) as blob)"
    )
    more = {"pipeline": "", "of_pipeline": "", "claimed": "claimed", "unclaimed": "0"}
    with connection:
        connection.execute(_sql(events, numbers=numbers, body="x'00'", payload=payload, **more))
        cursor = connection.cursor()
        for _ in range(events // 512 + 1):
            index_batch(cursor)
    connection.close()
    return SqliteStore.visit(path)


async def postgres(dsn: str, events: int) -> PostgresStore:
    """A database."""
    schema = Connection(dsn, name="schema")
    await migrate(schema)
    numbers = f"generate_series(1::bigint, {events}) n"
    more = {"pipeline": ", pipeline_id", "of_pipeline": ", '' || (n % 100000)", "claimed": "claim", "unclaimed": "null"}
    payload = 'convert_to(\'{"account":{"id":"1"},"entity":"leads"}\', \'UTF8\')'
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_sql(events, numbers=numbers, body="'\\x00'::bytea", payload=payload, **more).encode())
        await build_indexes(schema)
        connection.execute("vacuum analyze")
    await schema.close()
    store = PostgresStore.visit(dsn)
    await store.look_in()
    return store


def find(**wanted: Any) -> Question:
    """A page of deliveries."""
    return lambda store: store.find(Filter(**wanted), limit=50, budget=LOOK)


def attempts(**wanted: Any) -> Question:
    """A page of attempts."""
    return lambda store: store.questions.attempts(AttemptFilter(**wanted), limit=50, budget=LOOK)


async def _status(store: OperationsStore) -> Page[Any]:
    await store.status()
    return Page(())


async def _shown(store: OperationsStore) -> Page[Any]:
    return Page([await store.show("e4711")])


WEEK = END - timedelta(days=7)
QUESTIONS: dict[str, Question] = {
    "deliveries, the first page": find(),
    "… of one lead": find(entity_id="4711"),
    "… dead": find(states=(State.DEAD,)),
    "… pending": find(states=(State.PENDING,)),
    "… of an hour a week ago": find(since=WEEK, until=WEEK + timedelta(hours=1)),
    "… that ended in an hour a week ago": find(settled_since=WEEK, settled_until=WEEK + timedelta(hours=1)),
    "… by source and account": find(source="crm", account="1"),
    "… of an account that nobody has": find(account="2"),
    "… by a reason that is rare": find(reason="5xx"),
    "… of a rare pipeline": find(pipeline_id="99999"),
    "… of a target that nobody has": find(target="nobody"),
    "… of a lead with many events": find(entity_id="77"),
    "the story of a lead": lambda store: store.questions.story("leads", "4711", limit=50, budget=LOOK),
    "the story of a lead with many events": lambda store: store.questions.story("leads", "77", limit=50, budget=LOOK),
    "events, the first page": lambda store: store.events(Filter(), limit=50, budget=LOOK),
    "an event": _shown,
    "status": _status,
    "unparsed": lambda store: store.unparsed(limit=50),
    "audit": lambda store: store.audit(limit=50),
    "attempts, the first page": attempts(),
    "attempts of an hour a week ago": attempts(since=WEEK, until=WEEK + timedelta(hours=1)),
    "attempts that failed": attempts(failed=True),
    "… that failed in an hour a week ago": attempts(failed=True, since=WEEK, until=WEEK + timedelta(hours=1)),
    "… that failed at a target nobody has": attempts(failed=True, target="nobody"),
    "attempts slower than any": attempts(slower=timedelta(hours=1)),
    "attempts at a target that nobody has": attempts(target="nobody"),
    "unrouted, the first page": lambda store: store.events(Filter(), limit=50, unrouted=True, budget=LOOK),
    "unrouted by type": lambda store: store.questions.unrouted_kinds(Filter(), budget=LOOK),
    "refused": lambda store: store.questions.refused(limit=50),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Milliseconds, and whether the budget ended the look."""

    p50: float
    p99: float
    rows: int
    searched_to: datetime | None

    def __str__(self) -> str:
        ended = f", searched to {self.searched_to:%m-%d %H:%M}" if self.searched_to else ""
        return f"p50 {self.p50:6.1f} p99 {self.p99:6.1f} ms, {self.rows:2} rows{ended}"


async def measure(store: OperationsStore, question: Question, times: int) -> Figures:
    """Ask it so often."""
    took: list[float] = []
    for _ in range(times):
        begun = perf_counter()
        page = await question(store)
        took.append((perf_counter() - begun) * 1000)
    took.sort()
    return Figures(
        p50=took[len(took) // 2], p99=took[len(took) * 99 // 100], rows=len(page), searched_to=page.searched_to
    )


@asynccontextmanager
async def stores(events: int) -> AsyncIterator[Sequence[tuple[str, OperationsStore]]]:
    """One of each kind."""
    async with AsyncExitStack() as stack:
        server, folder = stack.enter_context(serving())
        folder = Path(stack.enter_context(TemporaryDirectory(dir=folder)))
        made: list[tuple[str, SqliteStore | PostgresStore]] = [
            ("SQLite", await sqlite(folder / "relay.db", events)),
            ("PostgreSQL", await postgres(server.dsn(server.new_database()), events)),
        ]
        for _name, store in made:
            stack.push_async_callback(store.close)
        yield made


async def main(deliveries: int, times: int = TIMES) -> None:
    """Print a line for each question and store."""
    begun = perf_counter()
    async with stores(deliveries // 2) as made:
        print(f"filled in {perf_counter() - begun:.0f} s", file=sys.stderr)
        for what, question in QUESTIONS.items():
            for name, store in made:
                print(f"{what:38} {name:11} {await measure(store, question, times)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*(map(int, sys.argv[1:]) if len(sys.argv) > 1 else (DELIVERIES,))))
