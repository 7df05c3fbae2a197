"""Two versions of the schema at once: expand, roll, contract; and what stands in the way of a migration."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from relay.errors import ConfigurationError, StoreBusy, StoreUnsafe
from relay.model.trace import webhook_trace
from relay.store.postgres import migrate
from relay.store.postgres.connection import Connection
from relay.store.postgres.migrate import Script
from relay.store.postgres.store import PostgresStore
from relay.store.records import Filter
from tests.postgres import Cluster, run_as_psql
from tests.store.conftest import MINUTE, TRACEPARENT, routed, to, webhook

SHIPPED = migrate.scripts()
FIRST = Script(1, 1, "\n".join(each.sql for each in SHIPPED))
"""All that today's code reads and writes, as one script: what the tests add to it is another relay's."""
WIDER = Script(2, 1, "alter table audit add column where_from text not null default '';")
INDEX = "create index concurrently audit_at on audit (at)"
NARROWER = Script(3, 2, "alter table audit drop column where_from;")


@pytest.fixture
async def connection(postgres_dsn: str) -> AsyncIterator[Connection]:
    made = Connection(postgres_dsn, name="test")
    yield made
    await made.close()


@pytest.fixture
def admin(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_dsn, autocommit=True) as made:
        yield made


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Be a relay that knows these scripts beside the first one."""
    return lambda *later: monkeypatch.setattr(migrate, "scripts", lambda: [FIRST, *later])


@dataclass
class Stores:
    """Of relays; all are closed in the end."""

    dsn: str
    opened: list[PostgresStore] = field(default_factory=list)

    async def start(self, name: str) -> PostgresStore:
        self.opened.append(PostgresStore(self.dsn, name=name, emit=lambda _signal: None, durable=False))
        await self.opened[-1].ready()
        return self.opened[-1]

    async def works(self, store: PostgresStore) -> None:
        """What it reads and writes does not depend on what a newer one has added."""
        assert await store.find(Filter(), limit=1) == []
        assert (await store.status()).unparsed == 0


@pytest.fixture
async def relays(postgres_dsn: str) -> AsyncIterator[Stores]:
    stores = Stores(postgres_dsn)
    yield stores
    for each in stores.opened:
        await each.close()


def schema(admin: psycopg.Connection) -> Any:
    return admin.execute("select schema, oldest from relay_meta").fetchone()


async def test_an_older_relay_runs_on_beside_a_newer_one_that_has_only_added(
    relays: Stores, admin: psycopg.Connection, version: Callable[..., None]
) -> None:
    version()
    older = await relays.start("older")
    version(WIDER)
    newer = await relays.start("newer")
    assert schema(admin) == (2, 1)
    version()
    await relays.works(older)
    await relays.works(newer)
    await relays.start("older, started again")


async def test_what_an_older_relay_uses_is_dropped_once_it_is_gone_and_it_is_refused_from_then_on(
    relays: Stores, admin: psycopg.Connection, version: Callable[..., None]
) -> None:
    version()
    older = await relays.start("older")
    version(WIDER, NARROWER)
    newer = await relays.start("newer")
    assert schema(admin) == (2, 1), "the older one still lives"
    await relays.works(newer)
    version()
    await relays.works(older)
    await older.close()
    version(WIDER, NARROWER)
    await relays.start("newer, started again")
    assert schema(admin) == (3, 2)
    version()
    with pytest.raises(StoreUnsafe, match="needs relays that know schema 2, this one knows 1: upgrade"):
        await relays.start("older")
    version(WIDER)
    await relays.start("between")


async def test_a_relay_that_would_have_to_skip_a_version_is_refused_while_one_that_is_too_old_lives(
    relays: Stores, version: Callable[..., None]
) -> None:
    version()
    await relays.start("oldest")
    version(WIDER, NARROWER, Script(4, 2, "alter table audit add column further text;"))
    with pytest.raises(StoreUnsafe, match="a relay that knows schema 1 still runs"):
        await relays.start("newest")


async def test_several_relays_that_start_at_once_migrate_once(
    relays: Stores, admin: psycopg.Connection, version: Callable[..., None]
) -> None:
    version(WIDER)
    await asyncio.gather(*(relays.start(f"relay {n}") for n in range(4)))
    assert schema(admin) == (2, 1)


async def test_a_migration_that_fails_leaves_nothing_behind(
    connection: Connection, admin: psycopg.Connection, version: Callable[..., None]
) -> None:
    version()
    await migrate.migrate(connection)
    version(WIDER, Script(3, 1, "alter table audit add column other text; select 1 / 0;"))
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate.migrate(connection)
    assert schema(admin) == (1, 1)
    version(WIDER)
    await migrate.migrate(connection)
    assert schema(admin) == (2, 1)


async def test_a_foreign_transaction_is_waited_for_without_holding_up_those_behind(
    connection: Connection, postgres_dsn: str, version: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    version()
    await migrate.migrate(connection)
    version(WIDER)
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(migrate, "PAUSE", 0.01)
    with psycopg.connect(postgres_dsn) as foreign:
        foreign.execute("select count(*) from audit")
        monkeypatch.setattr(migrate, "PATIENCE", 2)
        with pytest.raises(StoreBusy, match="cannot migrate now: another transaction holds a lock"):
            await migrate.migrate(connection)
        monkeypatch.setattr(migrate, "PATIENCE", 1000)
        migrating = asyncio.create_task(migrate.migrate(connection))
        await asyncio.sleep(0.2)
        assert not migrating.done()
        foreign.rollback()
    await migrating
    assert await connection.transact(migrate.is_migrated)


async def test_without_the_right_to_change_the_schema_one_line_says_what_to_do(
    postgres: Cluster, postgres_database: str, postgres_dsn: str, connection: Connection
) -> None:
    with postgres.admin(postgres_database) as superuser:
        superuser.execute("alter schema public owner to postgres; grant usage on schema public to relay")
        with pytest.raises(ConfigurationError) as refused:
            await migrate.migrate(connection)
        assert "permission denied for schema public" in str(refused.value)
        assert "relay migrate --sql" in str(refused.value) and "\n" not in str(refused.value)
        sql = await connection.transact(migrate.sql_of)
        run_as_psql(superuser, sql)
    store = PostgresStore(postgres_dsn, name="relay", emit=lambda _signal: None, durable=False)
    await store.ready()
    assert await store.status()
    await store.close()


async def test_the_sql_is_empty_once_nothing_is_to_be_done(
    connection: Connection, version: Callable[..., None]
) -> None:
    version(WIDER._replace(indexes=(INDEX,)))
    assert INDEX in await connection.transact(migrate.sql_of)
    await migrate.migrate(connection)
    assert await connection.transact(migrate.sql_of) == ""


async def test_a_command_tells_an_empty_database_from_one_that_is_too_old(
    connection: Connection, postgres_dsn: str, version: Callable[..., None]
) -> None:
    version()
    visitor = PostgresStore.visit(postgres_dsn)
    with pytest.raises(ConfigurationError, match="no tables of a relay"):
        await connection.transact(migrate.check_schema)
    await migrate.migrate(connection)
    await connection.transact(migrate.check_schema)
    version(WIDER)
    with pytest.raises(StoreUnsafe, match="has schema 1, this relay needs 2"):
        await connection.transact(migrate.check_schema)
    await visitor.close()


# ---- this version beside the one before


async def test_what_a_relay_without_traces_stores_is_claimed_by_one_that_has_them(
    relays: Stores, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its statements name no traceparent; a claim of either finds what the other has stored."""
    monkeypatch.setattr(migrate, "scripts", lambda: SHIPPED[:1])
    await relays.start("older")
    monkeypatch.setattr(migrate, "scripts", lambda: SHIPPED)
    newer = await relays.start("newer")
    assert schema(admin) == (len(SHIPPED), 1)
    admin.execute(
        "insert into webhooks (id, source, received_at, content_type, request_id, body, query, signature, dated,"
        " checksum) values ('webhook-0001', 'crm', 0, '', '', '', '', '', '', '')"
    )
    admin.execute(
        "insert into events (id, webhook, kind, entity, action, entity_id, received_at, payload, checksum)"
        " select 'event-0001', seq, 'event', 'leads', 'add', '7', 0, '{}', '' from webhooks"
    )
    admin.execute(
        "insert into deliveries (event, target, routes, state, attempt, base, replays, pending_since, due_at)"
        " select seq, 'bot', '[]', 'pending', 0, 0, 0, 0, 0 from events"
    )
    traced = replace(webhook(2), traceparent=TRACEPARENT)
    await newer.keep(traced, [routed(2, to())])
    claimed = await newer.claim("bot", limit=9, max_bytes=1_000_000, now=newer.clock(), lease=MINUTE)
    assert [each.trace for each in claimed] == [webhook_trace("webhook-0001"), traced.trace]


# ---- indexes


async def test_an_index_is_built_once_and_an_invalid_one_is_built_anew(
    connection: Connection, admin: psycopg.Connection, version: Callable[..., None]
) -> None:
    version(WIDER._replace(indexes=(INDEX,)))
    await migrate.migrate(connection)
    await migrate.build_indexes(connection)
    [first] = index(admin)
    await migrate.build_indexes(connection)
    assert index(admin) == [first] and first[1] is True
    with psycopg.connect(admin.info.dsn, password=admin.info.password, autocommit=True) as beside:
        beside.execute("insert into audit values (1, 'a', 0, '', '', '{}', 0), (2, 'b', 0, '', '', '{}', 0)")
        beside.execute("drop index audit_at")
        with pytest.raises(psycopg.errors.UniqueViolation):
            beside.execute(INDEX.replace("index", "unique index", 1).encode())
    assert [valid for _oid, valid in index(admin)] == [False]
    await migrate.build_indexes(connection)
    assert [valid for _oid, valid in index(admin)] == [True]


async def test_an_index_waits_for_transactions_that_last_longer_than_any_of_ours(
    connection: Connection, admin: psycopg.Connection, version: Callable[..., None]
) -> None:
    version(WIDER._replace(indexes=(INDEX,)))
    await migrate.migrate(connection)
    short = "select set_config('statement_timeout', '300ms', false), set_config('lock_timeout', '200ms', false)"
    await connection.run([(short, ())])
    with psycopg.connect(admin.info.dsn, password=admin.info.password) as foreign:
        foreign.execute("select count(*) from audit")
        building = asyncio.create_task(migrate.build_indexes(connection))
        await asyncio.sleep(0.5)
        foreign.rollback()
        await building
    assert [valid for _oid, valid in index(admin)] == [True]
    [[(timeout,)]] = await connection.run([("select current_setting('statement_timeout')", ())])
    assert timeout == "5s", "what is asked beside it ends in time"


def index(admin: psycopg.Connection) -> list[Any]:
    sql = "select indexrelid, indisvalid from pg_index where indexrelid = to_regclass('audit_at')"
    return admin.execute(sql).fetchall()


def test_a_file_says_which_relays_may_run_beside_it_and_what_is_built_later() -> None:
    text = "-- oldest: 2\nalter table audit drop column a;\n-- concurrently\ncreate index concurrently x on y (z);\n"
    read = migrate._script("0003_narrower.sql", text)
    assert (read.number, read.oldest, read.indexes) == (3, 2, ("create index concurrently x on y (z)",))
    assert "concurrently" not in read.sql


def test_the_files_of_this_version_are_numbered_without_a_gap() -> None:
    folder = Path(migrate.__file__).parent / "migrations"
    assert [each.number for each in migrate.scripts()] == [*range(1, len([*folder.iterdir()]) + 1)]
