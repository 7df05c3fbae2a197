"""A SQLite store moves into an empty PostgreSQL database: everything is there, in order, or nothing."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import psycopg
import pytest

from relay.errors import ConfigurationError, CorruptError, StoreBusy, StoreLocked
from relay.model import Dead, PlannedDelivery, Secret, State
from relay.model.enrich import HOLD, Enrichment
from relay.model.heal import HealRequest
from relay.model.subscription import SwitchedOff
from relay.store.account_records import NOTHING, AccountRecord, Grant
from relay.store.contract import Archive
from relay.store.open import account_records
from relay.store.postgres.load import prepare
from relay.store.postgres.store import PostgresStore
from relay.store.question_records import RefusedMinute
from relay.store.records import Duplicate, Filter
from relay.store.requests import KeepRequest
from relay.store.sqlite.export import exported
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
from tests.store.healing import healed, healing_webhook, hook, record
from tests.store.test_guards import SEEN


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
        "tombstones": 0,
        "erasures": 0,
        "enrichments": 0,
        "heal_events": 1,
        "hook_index": 0,
        "heal_marks": 0,
        "run_marks": 0,
        "heal_requests": 0,
        "guards": 0,
        "refusals": 0,
        "refused": 0,
        "switched_off": 0,
        "account_records": 0,
    }
    before, after = open_sqlite(tmp_path, NOON), PostgresStore.visit(target.dsn)
    assert await seen(after) == await seen(before)
    assert (await after.show("webhook-0001")).webhook.traceparent == TRACEPARENT
    assert [(await after.show(f"webhook-000{n}")).webhook.kind for n in (1, 9)] == ["webhook", "heal"]
    [unparsed] = await after.unparsed(limit=9, dismissed=True)
    assert unparsed.unparsed == "odd\ufffd" and not unparsed.corrupt
    await before.close()
    await after.close()


async def test_what_was_erased_does_not_come_back_in_the_other_store(tmp_path: Path, target: PostgresUrl) -> None:
    source = await fill(tmp_path)
    with closing(apsw.Connection(str(source.path))) as connection:
        connection.execute("insert into tombstones values ('leads', '7', '', 5, 'act-0009')")
        connection.execute("insert into erasures values ('act-0009', 5, null)")
        connection.execute("update events set erased_at = 5 where seq = 1")
    await move(source, target)
    with psycopg.connect(target.dsn) as connection:
        assert connection.execute("select * from tombstones").fetchall() == [("leads", "7", "", 5, "act-0009")]
        assert connection.execute("select * from erasures").fetchall() == [("act-0009", 5, None)]
        assert connection.execute("select seq from events where erased_at = 5").fetchall() == [(1,)]


# ---- accounts of amoCRM


NOT_MOVED = {
    "conditions": "of the old relay's circuits",
    "relays": "the new relay has a name of its own",
    "reports": "of the old relay",
    "probes": "requested of the old relay",
    "entity_index": "PostgreSQL has another index",
    "entity_indexed": "as that",
    "spool": "no store is one",
    "spooled": "as that",
}
"""Tables of SQLite, and why they have no counterpart."""

DERIVED = {"claimed", "claim", "first", "last"}
"""Columns that are computed of others, or mean something to one store only."""


async def test_no_table_is_forgotten(tmp_path: Path) -> None:
    """Whoever adds a table or a column says whether it moves."""
    source = await fill(tmp_path)
    with exported(source.path) as tables, closing(apsw.Connection(str(source.path))) as connection:
        moved = {each.name: {*each.columns} for each in tables}
        names = [name for (name,) in connection.execute("select name from sqlite_schema where type = 'table'")]
        columns = {
            name: {column for (column,) in connection.execute("select name from pragma_table_info(?)", (name,))}
            for name in names
            if not name.startswith("sqlite_") and name not in NOT_MOVED
        }
    left = {name: found - moved.get(name, set()) - DERIVED for name, found in columns.items()}
    assert {name: found for name, found in left.items() if found} == {}


GRANT = AccountRecord(
    grant=Grant(
        access=Secret("canary-access"),
        refresh=Secret("canary-refresh"),
        obtained_at=NOON,
        expires_at=NOON + MINUTE,
        generation=7,
    )
)


async def know(folder: Path) -> SqliteUrl:
    """All that a relay knows of an account: two records of it, the guard's, healing's, and what it has fetched."""
    store = open_sqlite(folder, NOON)
    await store.keep(webhook(), [routed(1, PlannedDelivery(target="bot", routes=("r",), hold=HOLD))], hooks=[hook()])
    [held] = await store.enrichments.held(["crm"], limit=9)
    await store.enrichments.record([Enrichment(row=held.row, at=NOON, value={"lead": {"name": "Окна"}})], now=NOON)
    await store.keep(webhook(2), [routed(2, PlannedDelivery(target="bot", routes=("r",), hold=HOLD))])
    await store.healing.record_heal(
        "crm", [record("e8", approved=True), healed("e9", 9)], healed=[healing_webhook(9)], marks={"core": NOON}
    )
    await store.healing.beat(NOON)
    asked = HealRequest(id="act-0007", source="crm", since=NOON, dry_run=True, asked_at=NOON)
    await store.healing.request_heal(asked, act(7, command="heal run"))
    await store.guard.record(SEEN, switched_off=SwitchedOff(NOON, None))
    await store.guard.switch("crm", off=True, act=act(8, command="disconnect"))
    await store.guard.record_failed_answers("crm", {NOON: 5})
    minute = RefusedMinute(
        minute=NOON, source="crm", reason="too_large", count=5, last_at=NOON, detail="9 MB", remote="192.0.2.7"
    )
    await store.questions.record_refused([minute])
    await store.close()
    url = SqliteUrl(folder / "relay.db")
    for account in ("main", "old.account-x"):
        async with account_records(url).held(account) as held_record:
            await held_record.write(GRANT)
    return url


async def known(store: Archive) -> Sequence[object]:
    return [
        await store.healing.heal_records("crm", since=NOON - MINUTE),
        await store.healing.hooks("crm", since=NOON - MINUTE, until=NOON + MINUTE),
        await store.healing.heal_marks("crm"),
        await store.healing.heal_requests(),
        await store.healing.outages(NOON - MINUTE),
        await store.guard.records(),
        await store.guard.failed_answers("crm", since=NOON, until=NOON),
        await store.guard.switched_off("crm", since=NOON),
        [*await store.questions.refused(limit=9)],
    ]


async def test_what_a_relay_knows_of_an_account_is_in_the_other_store_after(
    tmp_path: Path, target: PostgresUrl
) -> None:
    source = await know(tmp_path)
    counts = await move(source, target)
    of_others = ("losses", "pauses", "attempts", "dismissed", "tombstones", "erasures")
    assert all(number for name, number in counts.items() if name not in of_others), counts
    before, after = open_sqlite(tmp_path, NOON), PostgresStore.visit(target.dsn)
    assert await known(after) == await known(before)
    assert await after.enrichments.stored([1, 2]) == await before.enrichments.stored([1, 2])
    assert [(each.event_id, each.due_at) for each in await after.find(Filter(), limit=9)] == [
        (each.event_id, each.due_at) for each in await before.find(Filter(), limit=9)
    ]
    await before.close()
    await after.close()
    for account in ("main", "old.account-x"):
        assert await account_records(target).read(account) == GRANT


async def test_a_grant_that_is_being_renewed_stays_where_it_is(tmp_path: Path, target: PostgresUrl) -> None:
    source = await know(tmp_path)
    async with account_records(source).held("main"):
        with pytest.raises(StoreBusy, match=r"another process holds .*relay\.db\.account-main\.lock: try again"):
            await move(source, target)
    await move(source, target)


async def test_no_grant_moves_if_one_row_does_not_fit(tmp_path: Path, target: PostgresUrl) -> None:
    source = await know(tmp_path)
    with closing(apsw.Connection(str(source.path))) as connection:
        connection.execute("insert into switched_off (source, since, until) values ('crm', 'soon', null)")
    with pytest.raises(CorruptError, match="nothing was moved, a row does not fit"):
        await move(source, target)
    assert await account_records(target).read("main") == NOTHING
    with psycopg.connect(target.dsn) as connection:
        assert connection.execute("select count(*) from webhooks").fetchone() == (0,)


async def test_nothing_moves_where_an_account_was_used_before(tmp_path: Path, target: PostgresUrl) -> None:
    source = await know(tmp_path)
    await prepare(target)
    async with account_records(target).held("main"):
        pass
    with pytest.raises(ConfigurationError, match="holds webhooks, an audit or accounts already"):
        await move(source, target)


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
    with pytest.raises(ConfigurationError, match="holds webhooks, an audit or accounts already") as refused:
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
