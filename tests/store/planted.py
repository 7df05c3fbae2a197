"""Deliveries put straight into the tables of a PostgreSQL store: what `keep` makes, without its questions."""

from pathlib import Path
from typing import Any

import psycopg

from relay.store.checksum import checksum
from relay.store.postgres.locks import hashed
from relay.store.times import to_ms
from tests.store.conftest import NOON
from tests.store.kind_postgres import dsn

EVENT = """
insert into events (id, webhook, kind, entity, action, entity_id, received_at, payload, checksum)
values (%s, 1, 'event', 'leads', 'add', '7', %s, %s, %s) returning seq
"""
DELIVERY = """
insert into deliveries (event, target, routes, state, attempt, base, replays, pending_since, due_at, key)
select %(event)s, %(target)s, '["all"]', 'pending', 0, 0, 0, %(now)s, case when exists (
  select from deliveries where target = %(target)s and key = %(key)s and state = 'pending') then null else %(now)s end,
  %(key)s
"""


def ask(folder: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a statement, committed."""
    with psycopg.connect(dsn(folder), autocommit=True) as connection:
        cursor = connection.execute(sql.encode(), values)
        return cursor.fetchall() if cursor.description else []


def plant(folder: Path, *numbers: int, target: str = "bot", key: str | None = None) -> None:
    """Events `event-0001` and so on, each with one delivery that arrived at NOON and is due unless its key is owed."""
    with psycopg.connect(dsn(folder)) as connection:
        for number in numbers:
            id_, payload = f"event-{number:04}", b"{}"
            summed = checksum(payload, id_.encode())
            [event] = connection.execute(EVENT, (id_, to_ms(NOON), payload, summed)).fetchone() or ()
            values = {"event": event, "target": target, "now": to_ms(NOON), "key": key and hashed(key)}
            connection.execute(DELIVERY, values)
