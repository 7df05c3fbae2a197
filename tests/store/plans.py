"""A database with a history, and the plans that PostgreSQL makes for a statement there."""

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from relay.store.postgres import arrays
from relay.store.postgres.connection import Connection, Row, Statement
from relay.store.postgres.migrate import build_indexes, migrate
from tests.postgres import Cluster

EVENTS = int(os.environ.get("RELAY_TESTS_DELIVERIES", "400000")) // 2
PENDING = EVENTS // 10
"""The last events; each has a delivery to `bot`, and one to `dwh` that is ordered: twice as many deliveries."""

SCANNED = {"relays", "pauses", "conditions", "probes", "reports", "relay_meta", "guards"}
"""What has few rows, whatever the history."""

RANGES = ("webhooks_received_at",)
"""By these a look-up reads all of some hours; only a purge may, page by page."""

FIRST_TOKEN = 2**40

_FILL = """
insert into webhooks (id, source, received_at, content_type, request_id, body, query, signature, digest, dated,
  checksum)
select format('webhook-%s', lpad(n::text, 8, '0')), 'crm', 1795000000000 + n * 100, 'form', '', 'leads', '', '',
  decode(md5(n::text), 'hex'), (1795000000 + n / 10)::text, '\\x00'
from generate_series(1, {events}) n order by n;

insert into events (id, webhook, kind, entity, action, entity_id, pipeline_id, received_at, payload, checksum)
select format('event-%s', lpad(n::text, 8, '0')), n, 'event', 'leads', 'status', (n % 50000)::text, '3',
  1795000000000 + n * 100, '{{}}', '\\x00'
from generate_series(1, {events}) n order by n;

insert into deliveries (event, target, routes, state, claim, attempt, base, replays, pending_since, due_at, settled_at,
  key)
select n, target, '["all"]', case when pending then 'pending' else 'delivered' end,
  case when pending and n % 100 = 0 and target = 'bot' then {token} + n end, 0, 0, 0, 1795000000000 + n * 100,
  case when pending and not blocked then 1795000000000 + n * 100 end, case when not pending then 1 end,
  case when target = 'dwh' then decode(md5((n % 10000)::text), 'hex') end
from generate_series(1, {events}) n, unnest(array['bot', 'dwh']) target,
  lateral (select n > {over} as pending, target = 'dwh' and n > {over} + 10000 as blocked) as of
order by n;

update deliveries set held = due_at where event % 20000 = 0 and due_at is not null and claim is null;

insert into enrichments (event, at, value, reason, checksum)
select n, 1795000000000 + n * 100, '{{}}', '', '\\x00' from generate_series(1, {events}) n order by n;

insert into deliveries (event, target, routes, state, attempt, base, replays, pending_since, settled_at, why,
  dismissed_at)
select n, 'old', '["all"]', 'dead', 1, 0, 0, 0, 1, 'dropped', 1 from generate_series(1, {events}, 4) n order by n;

insert into dismissed (webhook, at) select n, 1 from generate_series(1, {events}, 1000) n order by n;

insert into relays (name, incarnation, host, pid, version, schema, started_at, seen_at)
values ('a', 1, 'here', 1, '1', 1, 0, 0), ('b', 2, 'there', 1, '1', 1, 0, 0);
"""


async def made(cluster: Cluster, *, events: int = EVENTS, pending: int = PENDING) -> str:
    """Make a database with a history; return its name."""
    name = cluster.new_database()
    schema = Connection(cluster.dsn(name), name="schema")
    await migrate(schema)
    await build_indexes(schema)
    await schema.close()
    with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
        connection.execute(_FILL.format(events=events, over=events - pending, token=FIRST_TOKEN).encode())
        connection.execute("vacuum analyze")
    return name


@contextmanager
def planner(cluster: Cluster, database: str) -> Iterator["Planner"]:
    """Whose statements are undone in the end."""
    with psycopg.connect(cluster.dsn(database), prepare_threshold=0) as connection:
        arrays.register(connection)
        yield Planner(connection)
        connection.rollback()


class Planner:
    """Runs statements, and explains them. `rows`: what the last one returned."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self.rows: list[Row] = []
        self._connection = connection

    def plans(self, statement: Statement) -> dict[str, Any]:
        """The plans of a statement that is run first: for its values, and for any."""
        query, values = statement[0].encode(), statement[1]
        [(custom,)] = self._connection.execute(b"explain (format json, verbose) " + query, values).fetchall()
        cursor = self._connection.execute(query, values, prepare=True)
        self.rows = cursor.fetchall() if cursor.description else []
        [(name, parameters)] = self._connection.execute(
            "select name, cardinality(parameter_types) from pg_prepared_statements order by prepare_time desc limit 1",
            prepare=False,
        ).fetchall()
        self._connection.execute("set local plan_cache_mode = force_generic_plan", prepare=False)
        given = f"({', '.join(['null'] * parameters)})" if parameters else ""
        execute = f'explain (format json, verbose) execute "{name}" {given}'
        [(generic,)] = self._connection.execute(execute.encode(), prepare=False).fetchall()
        self._connection.execute("set local plan_cache_mode = auto", prepare=False)
        return {"custom": custom, "generic": generic}


def faults(plan: Any, scanned: Collection[str] = SCANNED) -> list[str]:
    """What no plan of ours may do: read a whole table or range but those, or hash all that a subquery returns."""
    scans = [f"Seq Scan of {each}" for each in _scans(plan) if each not in scanned]
    scans += [
        f"range of {each}" for each in RANGES if each not in scanned and f'"Index Name": "{each}"' in json.dumps(plan)
    ]
    return scans + ["hashed SubPlan"] * ("hashed SubPlan" in json.dumps(plan))


def _scans(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from _scans(each)
    elif isinstance(node, dict):
        if node.get("Node Type") == "Seq Scan":
            yield node["Relation Name"]
        for each in node.values():
            yield from _scans(each)
