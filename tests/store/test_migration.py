"""A database of an earlier version: it opens, is migrated, and what it holds is delivered."""

import hashlib
import os
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import apsw
import pytest

from relay.errors import ConfigurationError, StoreBusy, StoreUnsafe
from relay.model import State
from relay.signals import Notice, Signal
from relay.store.checksum import checksum
from relay.store.records import Duplicate, Filter
from relay.store.sqlite import store as store_module
from relay.store.sqlite.integrity import verify
from relay.store.sqlite.migrate import APPLICATION_ID, newest_schema
from relay.store.sqlite.store import SqliteStore
from relay.store.times import to_ms
from tests.store.conftest import MINUTE, NOON, claim, deliver, interrupted, open_sqlite, routed, webhook
from tests.store.test_duplicates import move

NEWEST = newest_schema()

ROWS = """
insert into webhooks (seq, id, source, received_at, content_type, request_id, body, unparsed) values
  (1, 'webhook-0001', 'crm', :noon, '', '', x'6c656164735b6164645d5b305d5b69645d3d37', null),
  (2, 'webhook-0002', 'crm', :noon, '', '', x'ff', 'not UTF-8');
insert into events (seq, id, webhook, entity, action, entity_id, received_at, payload) values
  (1, 'event-0001', 1, 'leads', 'add', '7', :noon, '{}'),
  (2, 'event-0002', 1, 'leads', 'add', '8', :noon, '{}');
insert into deliveries
  (event, target, routes, state, claimed, attempt, base, replays, pending_since, due_at, settled_at, key) values
  (1, 'bot', '["all"]', 'pending', 1, 1, 0, 0, :noon, :later, null, 'lead-7'),
  (1, 'dwh', '["all"]', 'delivered', 0, 1, 0, 0, :noon, null, :noon, null),
  (2, 'bot', '["all"]', 'pending', 0, 0, 0, 0, :noon, :noon, null, null);
insert into attempts (event, target, number, started_at, took_us, verdict, reason, status, detail) values
  (1, 'dwh', 1, :noon, 12, 'delivered', '2xx', 200, '');
"""


@pytest.fixture
def first_version(tmp_path: Path) -> Path:
    """A database as the first migration alone left it, with something of everything."""
    path = tmp_path / "relay.db"
    [schema] = [file for file in (files("relay.store.sqlite") / "migrations").iterdir() if file.name.startswith("0001")]
    connection = apsw.Connection(str(path))
    connection.execute(schema.read_text())
    connection.execute(ROWS, {"noon": to_ms(NOON), "later": to_ms(NOON + MINUTE)})
    connection.execute(f"pragma user_version = 1; pragma application_id = {APPLICATION_ID}")
    connection.close()
    return path


async def test_a_database_of_the_first_version_opens_is_migrated_and_drained(first_version: Path) -> None:
    store = open_sqlite(first_version.parent, NOON)
    claimed = await claim(store)
    assert [(each.event_id, each.attempt) for each in claimed] == [("event-0001", 2), ("event-0002", 1)]
    for each in claimed:
        assert await deliver(store, each)
    assert await store.count(Filter(states=(State.DELIVERED,))) == {"bot": 2, "dwh": 1}
    assert [each.id for each in await store.unparsed(limit=9)] == ["webhook-0002"]
    await store.keep(webhook(3), [routed(3)], window=MINUTE)
    await store.close()


@pytest.mark.parametrize("version", [2, 3, 4, 5, 6, 7])
async def test_a_database_of_each_version_since_is_migrated_and_drained(tmp_path: Path, version: int) -> None:
    scripts = sorted((files("relay.store.sqlite") / "migrations").iterdir(), key=lambda file: file.name)
    connection = apsw.Connection(str(tmp_path / "relay.db"))
    for script in scripts[:version]:
        connection.execute(script.read_text())
    connection.execute(ROWS, {"noon": to_ms(NOON), "later": to_ms(NOON + MINUTE)})
    connection.execute(f"pragma user_version = {version}; pragma application_id = {APPLICATION_ID}")
    connection.close()
    store = open_sqlite(tmp_path, NOON)
    claimed = await claim(store)
    assert [(each.event_id, each.attempt) for each in claimed] == [("event-0001", 2), ("event-0002", 1)]
    assert len({each.token for each in claimed} - {0}) == 2
    assert all([await deliver(store, each) for each in claimed])
    assert [each.owner for each in [await store.status()]] == [os.getpid()]
    await store.close()


LATER_ROWS = """
update webhooks set digest = :digest, checksum = :digest where seq = 1;
insert into webhooks (seq, id, source, received_at, content_type, request_id, body, unparsed) values
  (3, 'webhook-0003', 'crm', :noon, '', '', x'00', 'not a form');
insert into events (seq, id, webhook, entity, action, entity_id, received_at, payload, kind) values
  (3, 'event-0003', 3, '', '', '', :noon, '', 'unparsed'),
  (4, 'event-0004', 1, 'leads', 'add', '9', :noon, '{}', 'event');
insert into deliveries
  (event, target, routes, state, claimed, attempt, base, replays, pending_since, due_at, settled_at, key, why) values
  (3, 'bot', '["raw"]', 'pending', 0, 0, 0, 0, :noon, :noon, null, null, ''),
  (4, 'bot', '["all"]', 'dead', 0, 3, 0, 0, :noon, null, :noon, null, 'HTTP 410');
insert into audit (id, at, who, command, details, count) values ('act-0001', :noon, 'olga', 'replay', '{}', 3);
insert into losses (first, last, after, noticed_at, accepted_at) values (90, 95, :noon, :noon, null);
insert into pauses (target, paused_at, who, reason) values ('dwh', :noon, 'olga', 'moving');
"""


@pytest.fixture
def last_version(tmp_path: Path) -> Path:
    """A database of schema 5, with something of everything: 6 gave the indexes other forms."""
    path = tmp_path / "relay.db"
    scripts = sorted((files("relay.store.sqlite") / "migrations").iterdir(), key=lambda file: file.name)
    connection = apsw.Connection(str(path))
    for script in scripts[:5]:
        connection.execute(script.read_text())
    times = {"noon": to_ms(NOON), "later": to_ms(NOON + MINUTE), "digest": checksum(b"leads[add][0][id]=7")}
    connection.execute(ROWS, times)
    connection.execute(LATER_ROWS, times)
    connection.execute(f"pragma user_version = 5; pragma application_id = {APPLICATION_ID}")
    connection.close()
    return path


async def test_what_a_store_of_schema_5_held_is_there_and_is_drained(last_version: Path) -> None:
    store = open_sqlite(last_version.parent, NOON)
    assert await store.count(Filter(states=(State.DEAD,))) == {"bot": 1}
    for id_, expected in (("7", {"bot": 1, "dwh": 1}), ("9", {"bot": 1})):
        assert await store.count(Filter(entity_id=id_)) == expected
    assert [each.id for each in await store.unparsed(limit=9)] == ["webhook-0002", "webhook-0003"]
    assert [(each.command, each.count) for each in await store.audit(limit=9)] == [("replay", 3)]
    assert [each.count for each in await store.losses()] == [6]
    assert list((await store.due(["bot"])).paused) == ["dwh"]
    claimed = await claim(store)
    assert [each.event_id for each in claimed] == ["event-0001", "event-0002", "event-0003"]
    assert all([await deliver(store, each) for each in claimed])
    await store.close()
    assert verify(last_version).structure == ()


async def test_a_webhook_that_repeats_one_of_before_the_migration_is_a_duplicate(last_version: Path) -> None:
    store = open_sqlite(last_version.parent, NOON)
    dated = move(7, "leads[add][0][id]=7", 600)
    assert await store.keep(*dated, dated=3 * MINUTE) == Duplicate(webhook="webhook-0001", events=3)
    other = replace(webhook(9), body=b"leads[add][0][id]=9")
    together = store.keep(webhook(8), [routed(8)], window=MINUTE), store.keep(other, [routed(9)], window=MINUTE)
    assert [await each for each in together] == [Duplicate(webhook="webhook-0001", events=3), []]
    await store.close()


async def test_a_migrated_database_is_the_same_as_a_new_one(first_version: Path, tmp_path: Path) -> None:
    await open_sqlite(first_version.parent, NOON).close()
    (tmp_path / "new").mkdir()
    await open_sqlite(tmp_path / "new", NOON).close()
    assert schema(first_version) == schema(tmp_path / "new" / "relay.db")


def schema(path: Path) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(path))
    found = connection.execute("select type, name, sql from sqlite_schema order by name").fetchall()
    version = connection.pragma("user_version")
    connection.close()
    return [*found, ("version", version)]


@pytest.mark.parametrize(
    ("kind", "number", "digest"),
    [
        ("sqlite", 9, "cafcc276416549ff5b39a5d7971c11e5846419c3e50516316875ce5ed882d394"),
        ("postgres", 3, "6f259ca843c058f0bf3ab478112e7863dd80131ba934887f75db3f2f19d7a389"),
    ],
)
def test_what_stores_were_made_by_is_never_edited(kind: str, number: int, digest: str) -> None:
    """A store that has run a file does not run it again: what is added needs a file of its own."""
    folder = files(f"relay.store.{kind}") / "migrations"
    scripts = sorted(folder.iterdir(), key=lambda file: file.name)[:number]
    assert hashlib.sha256(b"".join(each.read_bytes() for each in scripts)).hexdigest() == digest


async def test_a_command_does_not_migrate_what_a_daemon_may_be_using(first_version: Path) -> None:
    with pytest.raises(StoreUnsafe, match=rf"schema 1, needed {NEWEST}\): relay run brings it up to date"):
        SqliteStore.visit(first_version)


@pytest.mark.timeout(240)  # it starts a process for each statement
@pytest.mark.parametrize("version", ["first_version", "last_version"])
async def test_a_migration_that_was_killed_at_any_statement_is_repeated_and_loses_nothing(
    request: pytest.FixtureRequest, version: str, tmp_path: Path
) -> None:
    pending = ["event-0001", "event-0002", *(["event-0003"] if version == "last_version" else [])]
    unparsed = ["webhook-0002", *(["webhook-0003"] if version == "last_version" else [])]
    for folder in interrupted(tmp_path / "killed", request.getfixturevalue(version)):
        store = open_sqlite(folder, NOON)
        assert [each.event_id for each in await claim(store)] == pending, folder.name
        assert [each.id for each in await store.unparsed(limit=9)] == unparsed
        await store.close()
        assert schema(folder / "relay.db") == schema(await new(folder))


async def new(folder: Path) -> Path:
    """A database of today."""
    (folder / "new").mkdir()
    await open_sqlite(folder / "new", NOON).close()
    return folder / "new" / "relay.db"


async def test_before_a_migration_a_copy_is_made_and_named_in_the_log(first_version: Path) -> None:
    signals: list[Signal] = []
    await SqliteStore.open(first_version, now=NOON, emit=signals.append, failed=lambda: None).close()
    [noticed] = [signal for signal in signals if isinstance(signal, Notice)]
    copy = first_version.with_name(f"relay.db.before-{NEWEST}")
    assert (noticed.text, noticed.fields["copy"]) == ("the store is migrated", str(copy))
    assert copy.stat().st_mode & 0o777 == 0o600
    assert schema(copy)[-1] == ("version", 1)
    copy.rename(first_version)
    store = open_sqlite(first_version.parent, NOON)
    assert [each.event_id for each in await claim(store)] == ["event-0001", "event-0002"]
    await store.close()


async def test_without_a_copy_nothing_is_migrated(first_version: Path) -> None:
    (first_version.with_name(f"relay.db.before-{NEWEST}")).mkdir()
    with pytest.raises(ConfigurationError, match=rf"cannot write .*before-{NEWEST}"):
        open_sqlite(first_version.parent, NOON)
    assert schema(first_version)[-1] == ("version", 1)


async def test_a_store_without_webhooks_is_not_copied(first_version: Path) -> None:
    connection = apsw.Connection(str(first_version))
    connection.execute("delete from attempts; delete from deliveries; delete from events; delete from webhooks")
    connection.close()
    await open_sqlite(first_version.parent, NOON).close()
    assert not first_version.with_name(f"relay.db.before-{NEWEST}").exists()


async def test_without_room_for_it_nothing_is_migrated_and_one_line_says_why(
    last_version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = store_module._connect

    def full(path: Path, *, read_only: bool = False) -> apsw.Connection:
        connection = connect(path, read_only=read_only)
        connection.pragma("max_page_count", connection.pragma("page_count"))
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(store_module, "_connect", full)
        with pytest.raises(StoreBusy, match=r"^[^\n]*its disk is full[^\n]*$"):
            open_sqlite(last_version.parent, NOON)
    assert schema(last_version)[-1] == ("version", 5)
    store = open_sqlite(last_version.parent, NOON)
    assert [each.event_id for each in await claim(store)] == ["event-0001", "event-0002", "event-0003"]
    await store.close()
