"""As `test_plans`: what healing asks uses indexes, and what a round asks does not grow with the week that is stored."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw
import psycopg
import pytest

from relay.model.heal import HORIZON, HealRequest, HealState
from relay.store.contract import HealStore
from relay.store.heal_rows import ANYTHING
from relay.store.postgres import late_hooks
from relay.store.postgres.acts import Acts
from relay.store.postgres.connection import Connection, Row, Statement, Transaction, Values
from relay.store.postgres.healing import PostgresHealing
from relay.store.postgres.ingest_rows import asked_of
from relay.store.requests import KeepRequest
from relay.store.sqlite.healing import SqliteHealing
from relay.store.sqlite.store import SqliteStore
from relay.store.times import to_ms
from tests.postgres import Cluster
from tests.store import plans
from tests.store.conftest import MINUTE, NOON, act, routed, to, webhook
from tests.store.healing import healed, healing_webhook, hook, record
from tests.store.kind_sqlite import open_store

T = TypeVar("T")

pytestmark = pytest.mark.timeout(180)

RECORDS = 40_000
FEW = {*plans.SCANNED, "heal_marks", "run_marks", "heal_requests", "audit", "tombstones"}
OF_STATES, OF_LATE = "heal_events_state", "heal_events_late"
UNPLANNED = str(ANYTHING)
"""Asks whether there is any row."""

_FILL = f"""
insert into heal_events (source, channel, event_id, type, action, entity, entity_id, key, at, found_at, state, webhook)
select case when n % 100 = 0 then 'shop' else 'crm' end, case when n % 10 = 0 then 'dp:status:1/2:' else 'account' end,
  format('old-%s', n), 'lead_status_changed', 'leads.status', 'leads', (n % 5000)::text,
  format('leads.status:%s', n % 5000), {{noon}} - ({RECORDS} - n) * 15000::bigint, {{noon}},
  case when n > {RECORDS} - 500 then 'seen' when n % 997 = 0 then 'waiting' when n % 499 = 0 then 'healed'
    when n % 1999 = 0 then 'late_hook' when n % 97 = 0 then 'unhealable' else 'matched' end,
  format('webhook-%s', lpad(n::text, 8, '0'))
from generate_series(1, {RECORDS}) n;

insert into hook_index (webhook, item, channel, key, source, received_at, at, arrived, since, until, matched)
select webhook, 0, channel, key, source, at, at, at, at - 60000, at + 60000, event_id from heal_events;

insert into run_marks values ('a', 0, 1), ('b', 2, 3);
vacuum analyze heal_events, hook_index, run_marks;
"""


WEEK_OF_STATES = ([HealState.SEEN, HealState.WAITING], [HealState.HEALED, HealState.LATE_HOOK], [HealState.LATE_HOOK])
"""What a round asks for of the whole week."""


async def asks_of_states(healing: HealStore) -> None:
    for states in WEEK_OF_STATES:
        await healing.heal_records("crm", since=NOON - HORIZON, states=states)


async def asks(healing: HealStore) -> None:
    """What the leading relay asks for in each minute, and once."""
    await healing.heal_marks("crm")
    await healing.first_hook("crm")
    await healing.heal_records("crm", since=NOON - 2 * MINUTE)
    await healing.heal_records("crm", since=NOON - 3 * MINUTE, states=[HealState.MATCHED])
    await healing.hooks("crm", since=NOON - MINUTE, until=NOON)
    await healing.hooks("crm", since=NOON - MINUTE, until=NOON, keys=[("account", f"lead {n}") for n in range(200)])
    await healing.request_ids([f"webhook-{n:08}" for n in range(200)])
    await healing.records_of_webhook_type("crm", "unsorted.add")
    await healing.heal_requests()
    await healing.outages(NOON - HORIZON)
    await healing.channels("crm")
    await healing.request_ids([f"webhook-{n:08}" for n in range(1, 100)])


async def records(healing: HealStore) -> None:
    """What it stores: events of the feed, what matches, what is healed, and marks."""
    await healing.record_heal("crm", [record(f"e{n}") for n in range(200)], marks={"core": NOON})
    matched = [record(f"e{n}", HealState.MATCHED, webhook="webhook-00000007") for n in range(200)]
    await healing.record_heal("crm", matched)
    sent = [healed(f"new{n}", n) for n in range(1, 50)]
    await healing.record_heal("crm", sent, healed=[healing_webhook(n) for n in range(1, 50)])
    await healing.beat(NOON)


async def acts(healing: HealStore) -> None:
    """What operators do."""
    asked = HealRequest(id="act-0001", source="crm", since=NOON, dry_run=False, asked_at=NOON)
    await healing.request_heal(asked, act(command="heal run"))
    await healing.answer_heal("act-0001", {})
    await healing.approve("crm", act(2, command="heal approve"))


async def purges(healing: PostgresHealing | SqliteHealing) -> None:
    await healing.purge(NOON)


ALL = (asks_of_states, asks, records, acts, purges)


# ---- PostgreSQL


@pytest.fixture(scope="module")
def history(postgres: Cluster) -> str:
    """As that of `plans`, but a tenth of it, with a week of healing."""
    name = asyncio.run(plans.made(postgres, events=plans.EVENTS // 10, pending=plans.PENDING // 10))
    with psycopg.connect(postgres.dsn(name), autocommit=True) as connection:
        for sql in _FILL.format(noon=to_ms(NOON)).split(";\n"):
            connection.execute(sql.encode())
    return name


@dataclass
class Explained:
    """In the place of a store's connections: explains each statement that it runs."""

    planner: plans.Planner
    found: list[tuple[str, Any]] = field(default_factory=list)

    async def rows(self, sql: str, values: Values = ()) -> list[Row]:
        self.found += [(f"{kind}: {sql}", plan) for kind, plan in self.planner.plans((sql, values)).items()]
        return self.planner.rows

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return [await self.rows(*each) for each in statements]

    async def commit(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await work(cast("Transaction", self))

    def demand_indexes(self) -> None:
        for sql, plan in self.found:
            if sql.partition(": ")[2].startswith(UNPLANNED):
                continue
            assert not plans.faults(plan, FEW), (sql, json.dumps(plan, indent=1))


def explained(planner: plans.Planner) -> tuple[PostgresHealing, Explained]:
    made = Explained(planner)
    return PostgresHealing(cast("Connection", made), cast("Acts", made), "a"), made


@pytest.mark.parametrize("calls", ALL, ids=lambda each: each.__name__)
async def test_postgresql_reads_no_table(
    postgres: Cluster, history: str, calls: Callable[[PostgresHealing], Awaitable[None]]
) -> None:
    with plans.planner(postgres, history) as planner:
        healing, seen = explained(planner)
        await calls(healing)
        assert len(seen.found) >= 6
        seen.demand_indexes()


async def test_postgresql_reads_of_a_week_the_states_asked_for_alone(postgres: Cluster, history: str) -> None:
    with plans.planner(postgres, history) as planner:
        healing, seen = explained(planner)
        await asks_of_states(healing)
        assert [sql for sql, plan in seen.found if not {OF_STATES, OF_LATE} & indexes(plan)] == []
        assert [sql for sql, plan in seen.found if indexes(plan) - {OF_STATES, OF_LATE}] == []


def indexes(plan: Any) -> set[str]:
    return set(re.findall(r'"Index Name": "(\w+)"', json.dumps(plan)))


async def test_a_webhook_that_may_be_late_is_indexed_by_indexes_alone(postgres: Cluster, history: str) -> None:
    hooks = [hook(f"leads.status:{n}", NOON - MINUTE, item=n) for n in range(5)]
    late = KeepRequest(webhook(7), [routed(7, to())], hooks=hooks)
    with plans.planner(postgres, history) as planner:
        _, seen = explained(planner)
        await late_hooks.index(cast("Transaction", seen), asked_of(late, None))
        seen.demand_indexes()


# ---- SQLite

SCANS = tuple(f"SCAN {each}" for each in ("heal_events", "hook_index", "webhooks", "events", "deliveries"))
ONCE = ("order by webhook limit 1", "with recursive found (channel)")
"""In what is asked before the first scan, and in what reads by such an index one row of each channel."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = open_store(tmp_path, NOON)
    await made.healing.record_heal("crm", [record()], marks={"core": NOON})  # a purge looks whether there is anything
    yield made
    await made.close()


def traced(store: SqliteStore) -> dict[str, Any]:
    """Statements that the store runs from now on, with values."""
    asked: dict[str, Any] = {}

    def note(_cursor: apsw.Cursor, sql: str, values: Any) -> bool:
        asked[sql] = values
        return True

    for connection in (store._connection, store._reader):
        connection.set_exec_trace(note)
    return asked


def plans_of(store: SqliteStore, asked: dict[str, Any]) -> dict[str, list[str]]:
    return {
        sql: [row[3] for row in store._connection.execute(f"explain query plan {sql}", values)]
        for sql, values in list(asked.items())
        if sql.split()[0] in ("select", "update", "delete", "with", "insert") and not sql.startswith(UNPLANNED)
    }


@pytest.mark.parametrize("calls", ALL, ids=lambda each: each.__name__)
async def test_sqlite_reads_no_table(store: SqliteStore, calls: Callable[[SqliteHealing], Awaitable[None]]) -> None:
    asked = traced(store)
    await calls(store.healing)
    found = plans_of(store, asked)
    assert found
    assert [
        (line, sql)
        for sql, plan in found.items()
        for line in plan
        if reads_much(line) and not any(each in sql for each in ONCE)
    ] == []


def reads_much(line: str) -> bool:
    """Whether a step of a plan reads a table, or all that there is of a source."""
    of_source = ("heal_events USING PRIMARY KEY (source=?)", "INDEX hook_index_key (source=?)")
    return line.startswith(SCANS) or line.endswith(of_source)


async def test_sqlite_reads_of_a_week_the_states_asked_for_alone(store: SqliteStore) -> None:
    asked = traced(store)
    await asks_of_states(store.healing)
    [plan] = plans_of(store, asked).values()
    assert any(line.endswith(f"INDEX {OF_STATES} (source=? AND state=? AND at>?)") for line in plan)
