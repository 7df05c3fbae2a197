"""A SQLite store moves into an empty PostgreSQL database: everything is there, in order, or nothing."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import psycopg
import pytest

from relay.errors import ConfigurationError, CorruptError, StoreLocked
from relay.model import Dead, State
from relay.store.contract import Archive
from relay.store.postgres.store import PostgresStore
from relay.store.records import Duplicate, Filter
from relay.store.requests import KeepRequest
from relay.store.upkeep import move
from relay.store.url import PostgresUrl, SqliteUrl, parse_store_url
from tests.store.conftest import (
    MINUTE,
    NOON,
    REFUSED,
    TRACEPARENT,
    act,
    claim,
    deliver,
    open_sqlite,
    routed,
    to,
    webhook,
)
from tests.store.damage import flip
from tests.store.healing import healed


@pytest.fixture
def target(postgres_dsn: str) -> PostgresUrl:
    url = parse_store_url(postgres_dsn)
    assert isinstance(url, PostgresUrl)
    return url


async def fill(folder: Path) -> SqliteUrl:
    """A store with something of everything; two of one key wait, the first of them claimed when its daemon died."""
    store = open_sqlite(folder, NOON)
    first = replace(webhook(1), body=b"\x00\xff", traceparent=TRACEPARENT)
    await store.keep(first, [routed(1, to("bot"), to("dwh"))], window=MINUTE)
    await deliver(store, (await claim(store))[0])
    [failed] = await claim(store, "dwh")
    await store.settle(failed, REFUSED, Dead("answered 503"), now=NOON)
    await store.keep(webhook(2), [routed(2, to(key="lead-7")), routed(3, to(key="lead-7"))])
    await store.keep(webhook(3, unparsed="odd\0"), [])
    await claim(store)
    await store.pause("dwh", act(1, command="pause", target="dwh"))
    await store.record_audit(act(2, command="backup"), 3)
    await store.dismiss(Filter(), act(3, command="dismiss"))
    await store.dismiss_unparsed(["webhook-0003"], act(4, command="dismiss"))
    await store.close()
    return SqliteUrl(folder / "relay.db")


async def heal(folder: Path) -> None:
    """One that never came, and no route took."""
    store = open_sqlite(folder, NOON)
    await store.healing.record_heal("crm", [healed("e9", 9)], healed=[KeepRequest(webhook(9), [routed(9)])])
    await store.close()


async def seen(store: Archive) -> Sequence[object]:
    listed = await store.find(Filter(), limit=99)
    webhooks = [await store.show(f"webhook-000{n}") for n in (1, 2)]
    found = [replace(each, due_at=None, claimed=False) for each in listed]
    status = await store.status()
    return [
        found,
        [each and (each.webhook, [(e.id, e.payload, e.corrupt) for e in each.events]) for each in webhooks],
        [each and [d.attempts for e in each.events for d in e.deliveries] for each in webhooks],
        await store.events(Filter(pipeline_id="3"), limit=99),
        await store.audit(limit=99),
        status.targets,
        (status.last_at, status.unparsed),
    ]


async def test_everything_that_a_store_holds_is_in_the_other_one_after(tmp_path: Path, target: PostgresUrl) -> None:
    source = await fill(tmp_path)
    await heal(tmp_path)
    counts = await move(source, target)
    assert counts == {
        "webhooks": 4,
        "events": 4,
        "deliveries": 4,
        "dismissed": 1,
        "attempts": 2,
        "pauses": 1,
        "audit": 4,
        "losses": 0,
    }
    before, after = open_sqlite(tmp_path, NOON), PostgresStore.visit(target.dsn)
    assert await seen(after) == await seen(before)
    assert (await after.show("webhook-0001")).webhook.traceparent == TRACEPARENT
    assert [(await after.show(f"webhook-000{n}")).webhook.kind for n in (1, 9)] == ["webhook", "heal"]
    [unparsed] = await after.unparsed(limit=9, dismissed=True)
    assert unparsed.unparsed == "odd\ufffd" and not unparsed.corrupt
    await before.close()
    await after.close()


async def test_a_relay_goes_on_where_the_other_one_ended(tmp_path: Path, target: PostgresUrl) -> None:
    await move(await fill(tmp_path), target)
    store = PostgresStore(target.dsn, name="relay", emit=lambda _signal: None, durable=False)
    await store.ready()
    now = store.clock()
    again = await store.keep(replace(webhook(9), body=b"\x00\xff", received_at=NOON), [routed(9)], window=MINUTE)
    assert again == Duplicate(webhook="webhook-0001", events=1)
    [first] = await claim(store, now=now)
    assert (first.event_id, first.attempt, first.corrupt) == ("event-0002", 2, False)
    await store.keep(webhook(4), [routed(4, to(key="lead-7"))], now=now)
    for expected in ("event-0003", "event-0004"):
        await deliver(store, first, now=now)
        [first] = await claim(store, now=now)
        assert first.event_id == expected, "those of a key in their order, what arrives now behind what was there"
    cursor, _ = await store.audit_changes(None)
    assert await store.replay(Filter(states=(State.DEAD,)), act(3, at=now)) == 1
    assert [each.id for each in (await store.audit_changes(cursor))[1]] == ["act-0003"]
    await store.close()


async def test_nothing_moves_while_a_daemon_runs(tmp_path: Path, target: PostgresUrl) -> None:
    source = await fill(tmp_path)
    running = open_sqlite(tmp_path, NOON)
    with pytest.raises(StoreLocked, match="in use by another relay"):
        await move(source, target)
    await running.close()


async def test_nothing_moves_into_a_database_that_holds_something(tmp_path: Path, target: PostgresUrl) -> None:
    source = await fill(tmp_path)
    await move(source, target)
    with pytest.raises(ConfigurationError, match="holds webhooks or an audit already") as refused:
        await move(source, target)
    assert target.dsn not in str(refused.value)


async def test_nothing_has_moved_if_one_row_does_not_fit(tmp_path: Path, target: PostgresUrl) -> None:
    source = await fill(tmp_path)
    with closing(apsw.Connection(str(source.path))) as connection:
        connection.execute("update deliveries set due_at = 1 where due_at is null and state = 'pending'")
    with pytest.raises(CorruptError, match=r"nothing was moved, a row does not fit.*relay verify"):
        await move(source, target)
    with psycopg.connect(target.dsn) as connection:
        assert connection.execute("select count(*) from webhooks").fetchone() == (0,)


async def test_what_the_disk_has_changed_is_corrupt_there_too(tmp_path: Path, target: PostgresUrl) -> None:
    source = await fill(tmp_path)
    flip(source.path, b'{"n":1,')
    await move(source, target)
    store = PostgresStore.visit(target.dsn)
    assert [each.corrupt for each in await store.events(Filter(), limit=9)] == [True, False, False]
    await store.close()


async def test_webhooks_that_the_store_had_lost_are_missing_in_the_other_one(
    tmp_path: Path, target: PostgresUrl
) -> None:
    empty = await fill(tmp_path)
    image = empty.path.read_bytes()
    store = open_sqlite(empty.path.parent, NOON)
    await store.keep(webhook(7), [])
    await store.close()
    empty.path.write_bytes(image)
    await move(empty, target)
    visitor = PostgresStore.visit(target.dsn)
    [loss] = await visitor.losses()
    assert loss.count == 1 and loss.relay
    await visitor.close()


async def test_only_a_sqlite_store_moves_and_only_into_postgresql(tmp_path: Path, target: PostgresUrl) -> None:
    with pytest.raises(ConfigurationError, match="only a SQLite store can be moved"):
        await move(target, target)
    with pytest.raises(ConfigurationError, match="moves into PostgreSQL only"):
        await move(SqliteUrl(tmp_path / "a"), SqliteUrl(tmp_path / "b"))
    with pytest.raises(ConfigurationError):
        await move(SqliteUrl(tmp_path / "missing"), target)
