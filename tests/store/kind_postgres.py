"""PostgreSQL in the contract's suite: see `Kind` in `tests.store.conftest`.

Each folder has a schema of its own in one database. In it `clock_timestamp()` is a function that returns what the test
says, and it goes before the server's: the database's clock stands at `now` of the last owner that was opened.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

from relay.errors import StoreBusy
from relay.signals import Emit
from relay.store.contract import Archive
from relay.store.postgres.connection import Connection
from relay.store.postgres.store import PostgresStore
from relay.store.records import KeepResult
from relay.store.requests import KeepRequest
from tests.postgres import Cluster

T = TypeVar("T")

OWNER = "the owner"
CLOCK = """
create schema if not exists {0};
create table if not exists {0}.present (at timestamptz);
create or replace function {0}.clock_timestamp() returns timestamptz
  language sql volatile as 'select at from {0}.present'
"""

servers: list[Cluster] = []
opened: dict[Path, list["AtFirstUse"]] = {}


class AtFirstUse(PostgresStore):
    """Connects intake and registers at its first `keep` or `probe`: its caller is no spool."""

    async def _keep_all(self, requests: Sequence[KeepRequest]) -> list[KeepResult]:
        if not self._intake.connected:
            await self.ready()
        return await super()._keep_all(requests)

    async def probe(self) -> None:
        if not self._intake.connected:
            await self.ready()
        await super().probe()


@cache
def database(server: Cluster) -> str:
    return server.new_database()


def schema(folder: Path) -> str:
    """Its name; there are many folders of one name."""
    return "s_" + blake2b(str(folder).encode(), digest_size=8).hexdigest()


def dsn(folder: Path) -> str:
    name = database(servers[-1])
    return servers[-1].dsn(name, options=f"-csearch_path={schema(folder)},pg_catalog")


def set_clock(folder: Path, now: datetime) -> None:
    """Have the database's clock stand at `now`."""
    with psycopg.connect(dsn(folder), autocommit=True) as connection:
        connection.execute(CLOCK.format(schema(folder)).encode())
        connection.execute("delete from present")
        connection.execute("insert into present values (%s)", (now,))


def open_store(
    folder: Path, now: datetime, emit: Emit = lambda _signal: None, *, name: str = OWNER, **how: Any
) -> AtFirstUse:
    set_clock(folder, now)
    how = {"steady": lambda: 0.0} | how
    store = AtFirstUse(dsn(folder), name=name, emit=emit, machine=lambda: now, durable=False, **how)
    opened.setdefault(folder, []).append(store)
    return store


take_over = open_store


async def join(folder: Path, now: datetime) -> AtFirstUse:
    """All of them have seen each other's beats."""
    store = open_store(folder, now, name="another")
    for _ in range(4):
        for each in opened[folder]:
            await beat(each)
    return store


async def beat(store: PostgresStore) -> None:
    """Do what `background` does every two seconds."""
    await store.ready()
    assert store._membership
    await store._membership.beat()


async def lose_webhooks(_folder: Path, _now: datetime) -> None:
    """The server's backups are no matter of a relay."""


def lose_answer(store: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(store, PostgresStore)
    connections = [store._intake, store._work]

    def lose(connection: Connection) -> Callable[..., Any]:
        alone = connection._alone

        async def lost(*use: Any, **how: Any) -> Any:
            if not store._intake.connected:
                return await alone(*use, **how)  # it is not the call's own: it connects and registers
            for each in connections:
                monkeypatch.delattr(each, "_alone")
            await asyncio.shield(alone(*use, **how))
            raise StoreBusy("the answer was lost")

        return lost

    for each in connections:
        monkeypatch.setattr(each, "_alone", lose(each))
