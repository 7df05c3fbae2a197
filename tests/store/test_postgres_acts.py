"""Operators beside several relays on one PostgreSQL: acts that meet, and whose word a status takes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import psycopg
import pytest

from relay.model import Health, Retention, State
from relay.store.postgres import audit
from relay.store.postgres.connection import Transaction
from relay.store.postgres.store import PostgresStore
from relay.store.records import AckGap, Filter, HealthReport, Report
from tests.e2e.processes import until
from tests.store.conftest import MINUTE, NOON, act

WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
DEAD = Filter(states=(State.DEAD,))


def opened(dsn: str, name: str) -> PostgresStore:
    return PostgresStore(dsn, name=name, emit=lambda _signal: None, durable=False, machine=lambda: NOON)


@pytest.fixture
async def one(postgres_dsn: str) -> AsyncIterator[PostgresStore]:
    store = opened(postgres_dsn, "one")
    await store.ready()
    yield store
    await store.close()


@pytest.fixture
async def other(one: PostgresStore, postgres_dsn: str) -> AsyncIterator[PostgresStore]:
    store = opened(postgres_dsn, "other")
    await store.ready()
    yield store
    await store.close()


@pytest.fixture
def admin(one: PostgresStore, postgres_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_dsn, autocommit=True) as made:
        yield made


async def waits_for_a_lock(admin: psycopg.Connection) -> None:
    await until(lambda: admin.execute(WAITING).fetchone() == (1,))


def dead(admin: psycopg.Connection, *numbers: int) -> None:
    """A webhook with an event whose delivery has died, for each."""
    for n in numbers:
        admin.execute(
            "insert into webhooks (id, source, received_at, content_type, request_id, body, query, signature, dated,"
            " checksum) values (%s, 'crm', 0, '', '', '', '', '', '', '')",
            (f"webhook-{n}",),
        )
        admin.execute(
            "insert into events (id, webhook, kind, entity, action, entity_id, received_at, payload, checksum)"
            " select %s, max(seq), 'event', 'leads', 'add', '7', 0, '{}', '' from webhooks",
            (f"event-{n}",),
        )
        admin.execute(
            "insert into deliveries (event, target, routes, state, attempt, base, replays, pending_since, settled_at)"
            " select max(seq), 'bot', '[]', 'dead', 1, 0, 0, 0, 0 from events"
        )


async def test_what_is_done_after_a_fail_over_that_lost_entries_is_not_missed(
    one: PostgresStore, admin: psycopg.Connection
) -> None:
    for number in (1, 2, 3):
        await one.record_audit(act(number), 1)
    seen, _ = await one.audit_changes(None)
    admin.execute("delete from audit where seq > 1")
    admin.execute("select setval('audit_changes', 1)")
    seen, found = await one.audit_changes(seen)
    assert found == []
    await one.record_audit(act(4), 1)
    _, found = await one.audit_changes(seen)
    assert [each.id for each in found] == ["act-0004"]


# ---- acts that meet


async def test_an_act_that_commits_later_than_one_that_began_after_it_is_not_missed(
    one: PostgresStore, other: PostgresStore, admin: psycopg.Connection
) -> None:
    seen, _ = await one.audit_changes(None)
    written, go_on = asyncio.Event(), asyncio.Event()

    async def slow(transaction: Transaction) -> None:
        await audit.add(transaction, act(1), 1)
        written.set()
        await go_on.wait()

    first = asyncio.create_task(one._acts.commit(slow))
    await written.wait()
    second = asyncio.create_task(other.record_audit(act(2), 1))
    await asyncio.wait([second], timeout=0.2)
    seen, found = await other.audit_changes(seen)
    go_on.set()
    await asyncio.gather(first, second)
    _, later = await other.audit_changes(seen)
    assert [each.id for each in found + later] == ["act-0001", "act-0002"]


async def test_what_is_being_replayed_is_not_purged_and_nobody_waits_for_it(
    one: PostgresStore, other: PostgresStore, admin: psycopg.Connection, postgres_dsn: str
) -> None:
    dead(admin, 1, 2)
    with psycopg.connect(postgres_dsn) as foreign:
        foreign.execute("select from deliveries where event = (select min(seq) from events) for update")
        replaying = asyncio.create_task(one.replay(Filter(event_ids=("event-1",)), act()))
        await waits_for_a_lock(admin)
        assert await other.purge(Retention(), now=NOON) == {"dead": 1}
        foreign.rollback()
    assert await replaying == 1
    assert await other.purge(Retention(), now=NOON) == {}
    assert await one.count(Filter(states=(State.PENDING,))) == {"bot": 1}


async def test_webhooks_that_cannot_be_deleted_in_one_transaction_are_deleted_in_several(
    one: PostgresStore, admin: psycopg.Connection
) -> None:
    """Each takes 0.1 s, and the connection ends a statement after 0.25 s."""
    dead(admin, *range(10))
    admin.execute(
        "create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.1); return old; end'"
    )
    admin.execute("create trigger slow before delete on webhooks for each row execute function slow()")
    await one._work.run([("select set_config('statement_timeout', '250ms', false)", ())])
    assert await one.purge(Retention(dead=MINUTE), now=NOON) == {"dead": 10}
    assert admin.execute("select count(*) from webhooks").fetchone() == (0,)
    admin.execute("drop function slow cascade")


async def test_of_two_replays_at_once_one_replays(
    one: PostgresStore, other: PostgresStore, admin: psycopg.Connection
) -> None:
    dead(admin, *range(150))
    done = await asyncio.gather(one.replay(DEAD, act(1)), other.replay(DEAD, act(2)))
    assert sum(done) == 150
    assert await one.count(Filter(states=(State.PENDING,))) == {"bot": 150}
    assert {entry.id: entry.count for entry in await one.audit(limit=9)} == {
        name: count for name, count in zip(("act-0001", "act-0002"), done, strict=True) if count
    }


async def test_only_one_of_the_relays_purges_by_itself(
    one: PostgresStore, other: PostgresStore, admin: psycopg.Connection
) -> None:
    for _ in range(3):
        for each in (one, other):
            assert each._membership
            await each._membership.beat()
    assert sorted(each.share("")[0] for each in (one, other)) == [1, 2]


# ---- whose word a status takes


async def test_relays_that_are_gone_are_told_of_while_their_spool_holds_webhooks(
    one: PostgresStore, admin: psycopg.Connection
) -> None:
    admin.execute(
        "insert into relays (name, incarnation, host, pid, version, schema, config, started_at, seen_at, gone_at,"
        " spooled, spooled_at) values ('spooled', 1001, 'm2', 1, '1', 1, 'c', 0, 0, 5000, 37, 1000),"
        " ('emptied', 1002, 'm3', 1, '1', 1, 'c', 0, 0, 5000, 0, null)"
    )
    status = await one.status()
    assert [(each.name, each.gone_at is None, each.spooled) for each in status.relays] == [
        ("one", True, 0),
        ("spooled", False, 37),
    ]
    assert [each.name for each in status.living] == ["one"]


async def test_a_condition_is_the_worst_that_a_living_relay_sees_with_the_attempts_of_all(
    one: PostgresStore, other: PostgresStore, admin: psycopg.Connection
) -> None:
    well = HealthReport(health=Health.OK, since=NOON, as_of=NOON, in_flight=2, slow=frozenset({"a"}))
    held = HealthReport(health=Health.OPEN, since=NOON, as_of=NOON, error="refused", in_flight=1, slow=frozenset({"b"}))
    await one.publish_health({"bot": well})
    await other.publish_health({"bot": held})
    seen = (await one.status()).targets["bot"]
    assert seen.conditions == {"one": well, "other": held}
    whole = replace(held, in_flight=3, slow=frozenset({"a", "b"}))
    assert (seen.condition, await one.published_health()) == (whole, {"bot": whole})
    admin.execute("update relays set gone_at = 0 where name = 'other'")
    assert (await one.status()).targets["bot"].conditions == {"one": well}
    admin.execute("update relays set gone_at = 0")
    assert len((await one.status()).targets["bot"].conditions) == 2, "where none lives, what was seen last"


async def test_of_the_reports_of_a_name_the_newest_of_a_living_relay_is_told(
    one: PostgresStore, other: PostgresStore, admin: psycopg.Connection
) -> None:
    await one.publish("files", ["a"], now=NOON)
    await other.publish("files", ["b"], now=NOON + MINUTE)
    await other.publish("misaddressed", {"count": 1}, now=NOON)
    told = (await one.status()).reports["files"]
    assert (told, told.relay) == (Report(as_of=NOON + MINUTE, value=["b"]), "other")
    admin.execute("update relays set gone_at = 0 where name = 'other'")
    reports = (await one.status()).reports
    assert (reports["files"].value, reports["misaddressed"].value) == (["a"], {"count": 1})


async def test_a_loss_names_the_relay_whose_spool_it_was_and_is_recorded_and_accepted_once(
    one: PostgresStore, other: PostgresStore
) -> None:
    lost = AckGap(count=2, after=None, noticed_at=NOON)
    more = AckGap(count=3, after=NOON, noticed_at=NOON + MINUTE)
    await one.record_losses([lost])
    await other.record_losses([lost, more])
    await other.record_losses([lost, more])
    assert [(each.relay, each.count, each.after) for each in await one.losses()] == [
        ("one", 2, None),
        ("other", 2, None),
        ("other", 3, NOON),
    ]
    assert await one.accept_losses(act(command="verify --accept-loss")) == 7
    await other.record_losses([more])
    assert await one.accept_losses(act(2)) == 0
    assert (await one.losses(), [each.count for each in await one.audit(limit=9)]) == ((), [7])


# ---- text


async def test_what_postgresql_refuses_as_text_is_found_by_what_was_given(
    one: PostgresStore, admin: psycopg.Connection
) -> None:
    dead(admin, 1)
    admin.execute("update events set entity_id = %s, pipeline_id = %s", ("7\ufffd" * 3000, "\ufffd"))
    admin.execute("update deliveries set target = %s", ("b\ufffdt",))
    wanted = Filter(entity_id="7\0" * 3000, pipeline_id="\ud800", target="b\0t")
    assert [each.entity_id for each in await one.find(wanted, limit=9)] == ["7\ufffd" * 3000]
    assert await one.find(replace(wanted, entity_id="7\0" * 2999), limit=9) == []
    assert await one.starting("event\0", limit=9) == []
    assert await one.pause("b\0t", act(reason="a\0")) and not await one.pause("b\ufffdt", act(2))


async def test_a_start_of_an_id_is_no_pattern(one: PostgresStore, admin: psycopg.Connection) -> None:
    dead(admin, 1)
    for start in ("%", "_vent-1", "event-*", "webhook-1x"):
        assert await one.starting(start, limit=9) == []
    assert await one.starting("", limit=9) == ["webhook-1"]
