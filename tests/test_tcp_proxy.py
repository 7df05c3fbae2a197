"""The proxy between a relay and PostgreSQL, with PostgreSQL behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import psycopg
import pytest
from psycopg import AsyncConnection

from tests.e2e.processes import until
from tests.postgres import Cluster
from tests.tcp_proxy import TcpProxy, proxying

Connection = AsyncConnection[tuple[int]]


@pytest.fixture
async def proxy(postgres: Cluster) -> AsyncIterator[TcpProxy]:
    async with proxying(postgres.port) as made:
        yield made


@pytest.fixture
async def dsn(postgres: Cluster, postgres_dsn: str, proxy: TcpProxy) -> str:
    async with connected(postgres_dsn) as connection:
        await connection.execute("create table seen (number int)")
    return postgres_dsn.replace(str(postgres.port), str(proxy.port))


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Connection]:
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        yield connection


async def see(connection: Connection, number: int) -> None:
    await connection.execute("insert into seen values (%s)", (number,))


async def seen(dsn: str) -> list[int]:
    async with connected(dsn) as connection:
        return [number for (number,) in await (await connection.execute("select number from seen")).fetchall()]


async def test_what_is_held_up_comes_late_and_nothing_is_lost(proxy: TcpProxy, dsn: str, postgres_dsn: str) -> None:
    async with connected(dsn) as connection:
        proxy.hold()
        late = asyncio.create_task(see(connection, 1))
        another = asyncio.create_task(seen(dsn))
        await asyncio.wait((late, another), timeout=0.2)
        assert not late.done() and not another.done()
        assert await seen(postgres_dsn) == []
        proxy.heal()
        await late
        await another
    assert await seen(dsn) == [1]


async def test_a_client_that_leaves_while_it_is_held_up_is_missed_later(
    proxy: TcpProxy, postgres: Cluster, dsn: str
) -> None:
    def sessions() -> int:
        with postgres.admin() as admin:
            ours = "select count(*) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()"
            row = admin.execute(ours, (dsn.rpartition("/")[2].partition("?")[0],)).fetchone()
            assert row
            return int(row[0])

    async with connected(dsn):
        proxy.hold()
    await asyncio.sleep(0.1)
    assert sessions() == 1
    proxy.heal()
    await until(lambda: sessions() == 0)


async def test_a_cut_connection_is_an_error_and_a_new_one_gets_through(proxy: TcpProxy, dsn: str) -> None:
    async with connected(dsn) as connection:
        proxy.cut()
        with pytest.raises(psycopg.OperationalError):
            await see(connection, 1)
    proxy.refuse()
    with pytest.raises(psycopg.OperationalError):
        await seen(dsn)
    proxy.heal()
    assert await seen(dsn) == []


async def test_the_answer_to_a_request_is_lost_after_it_was_committed(proxy: TcpProxy, dsn: str) -> None:
    async with connected(dsn) as connection, connected(dsn) as other:
        await see(other, 1)
        proxy.lose_answer(b"insert into seen")
        with pytest.raises(psycopg.OperationalError):
            await see(connection, 2)
        await see(other, 3)
    assert await seen(dsn) == [1, 2, 3]
    assert proxy.lost == 1


async def test_a_commit_of_an_application_is_lost_though_its_statement_was_prepared(proxy: TcpProxy, dsn: str) -> None:
    named = f"{dsn}?application_name=relay%20intake"
    async with connected(named) as connection, connected(dsn) as other:
        connection.prepare_threshold = 0
        await see(connection, 1)
        proxy.lose_commit(of=b" intake")
        await see(other, 2)
        with pytest.raises(psycopg.OperationalError):
            await see(connection, 3)
        assert proxy.lost == 1
        async with connected(named) as another, another.transaction():
            proxy.lose_commit(of=b" intake")
            await see(another, 4)
            assert proxy.lost == 1, "it goes on until it commits"
            with pytest.raises(psycopg.OperationalError):
                await another.execute("commit")
    assert await seen(dsn) == [1, 2, 3, 4]
    assert proxy.lost == 2


async def test_each_piece_is_delayed(proxy: TcpProxy, dsn: str) -> None:
    async with connected(dsn) as connection:
        await see(connection, 1)
        proxy.delay = 0.15
        began = monotonic()
        await see(connection, 2)
        assert monotonic() - began >= 0.3
