"""Whoever keeps PostgreSQL from vacuuming is found, with no right but the relay's own, and named once it is old."""

import asyncio
from collections.abc import Iterator
from datetime import datetime

import psycopg
import pytest
from psycopg.errors import QueryCanceled

from relay.signals import Signal, VacuumHeldBack
from relay.store.postgres.snapshots import OLDEST, Snapshots
from relay.store.records import OLD, OldSnapshot
from tests.e2e.processes import until
from tests.postgres import Cluster, cluster
from tests.store.conftest import MINUTE, NOON


class Watch:
    """`Snapshots` with a clock of the test's."""

    def __init__(self) -> None:
        self.now = NOON
        self.noticed: list[Signal] = []
        self.snapshots = Snapshots(clock=self._clock, emit=self.noticed.append)

    def _clock(self) -> datetime:
        return self.now

    def after(self, minutes: float, *found: tuple[str, str]) -> OldSnapshot | None:
        self.now += minutes * MINUTE
        self.snapshots.take(found)
        return self.snapshots.oldest


def test_it_counts_from_the_first_look_that_saw_the_same_horizon() -> None:
    watch = Watch()
    assert watch.after(0) is None
    assert watch.after(1, ("pid 1", "700")) == OldSnapshot(holder="pid 1", since=NOON + MINUTE)
    assert watch.after(3, ("pid 1", "700")) == OldSnapshot(holder="pid 1", since=NOON + MINUTE)
    assert watch.after(1, ("pid 1", "701")) == OldSnapshot(holder="pid 1", since=NOON + 5 * MINUTE)
    assert watch.after(1) is None


def test_one_that_is_old_is_reported_once() -> None:
    watch = Watch()
    watch.after(0, ("pid 1", "700"))
    watch.after(4.9, ("pid 1", "700"))
    assert watch.noticed == []
    for _ in range(3):
        watch.after(1, ("pid 1", "700"))
    assert watch.noticed == [VacuumHeldBack(by="pid 1", seconds=354)]
    watch.after(1, ("pid 2", "705"))
    watch.after(OLD / MINUTE, ("pid 2", "705"))
    assert watch.noticed[1:] == [VacuumHeldBack(by="pid 2", seconds=300)]


@pytest.fixture
def relay(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    """A session of the relay's role."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("create table those (id int) with (autovacuum_enabled = off)")
        connection.execute("insert into those select generate_series(1, 20000)")
        yield connection


def foreign(server: Cluster, relay: psycopg.Connection) -> psycopg.Connection:
    """A session of another role, which the relay's may see little of."""
    connection = server.admin(relay.info.dbname)
    connection.execute("set application_name = 'report'")
    return connection


def test_nobody_keeps_it_from_vacuuming_by_being_connected(postgres: Cluster, relay: psycopg.Connection) -> None:
    with foreign(postgres, relay):
        assert relay.execute(OLDEST).fetchall() == []


@pytest.mark.parametrize("holds", ["a snapshot", "a transaction id"])
def test_a_foreign_session_is_named_with_its_program(
    postgres: Cluster, relay: psycopg.Connection, holds: str, postgres_dsn: str
) -> None:
    with psycopg.connect(postgres_dsn) as later, foreign(postgres, relay) as other:  # the other order would be by pid
        if holds == "a snapshot":
            other.execute("begin isolation level repeatable read")
            other.execute("select count(*) from those")
        else:
            other.execute("begin")
            other.execute("insert into those values (0)")
        relay.execute("insert into those values (0)")
        later.execute("set transaction isolation level repeatable read")
        later.execute("select count(*) from those")
        for _ in range(2):
            [(who, _horizon)] = relay.execute(OLDEST).fetchall()
            assert who == f"pid {other.info.backend_pid} (report)"
            relay.execute("insert into those values (0)")


async def test_a_vacuum_keeps_no_other_from_vacuuming(postgres: Cluster, relay: psycopg.Connection) -> None:
    with foreign(postgres, relay) as other:
        other.execute("set vacuum_cost_delay = 100; set vacuum_cost_limit = 1")
        vacuum = asyncio.get_running_loop().run_in_executor(None, other.execute, "vacuum those")
        progress = "select pid from pg_stat_progress_vacuum where pid = %s"
        await until(lambda: relay.execute(progress, (other.info.backend_pid,)).rowcount == 1)
        found = relay.execute(OLDEST).fetchall()
        other.cancel()
        with pytest.raises(QueryCanceled):
            await vacuum
    assert found == []


async def test_a_prepared_transaction_and_a_query_of_a_standby_are_named() -> None:
    with cluster(max_prepared_transactions="2") as server, server.admin() as connection:
        connection.execute("create table those (id int)")
        connection.execute("begin")
        connection.execute("insert into those values (0)")
        connection.execute("prepare transaction 'order 66'")
        assert [who for who, _horizon in connection.execute(OLDEST)] == ["prepared transaction order 66"]
        connection.execute("rollback prepared 'order 66'")
        follower = server.standby()
        with follower.admin() as query:
            query.execute("begin isolation level repeatable read")
            query.execute("select count(*) from those")
            await until(lambda: _standby_is_named(connection, follower.folder.name))


def _standby_is_named(connection: psycopg.Connection, name: str) -> bool:
    connection.execute("insert into those values (0)")
    return any(who.endswith(f" ({name})") for who, _horizon in connection.execute(OLDEST))
