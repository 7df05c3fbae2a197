"""Relays that keep webhooks in one database: what each of them commits, and in which order deliveries go."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from relay.errors import StoreBusy
from relay.model import Dead, Delivered, Delivery, RetryAt
from relay.store.postgres import claims
from relay.store.postgres.connection import Connection, Transaction
from relay.store.postgres.store import PostgresStore
from relay.store.records import Duplicate, KeepResult
from relay.store.requests import KeepRequest, Settlement, Windows
from relay.store.times import to_ms
from tests.e2e.processes import until
from tests.postgres import Cluster
from tests.store.conftest import MINUTE, OK, REFUSED, routed, to, webhook
from tests.store.kind_sqlite_many import replies_of
from tests.store.test_duplicates import WINDOW, move, said
from tests.store.test_together import many

KEYS = 5
EACH = 120


async def opened(dsn: str, name: str) -> PostgresStore:
    store = PostgresStore(dsn, name=name, emit=lambda _signal: None, durable=False)
    await store.ready()
    return store


@pytest.fixture
async def a(postgres_dsn: str) -> AsyncIterator[PostgresStore]:
    store = await opened(postgres_dsn, "a")
    yield store
    await store.close()


@pytest.fixture
async def b(postgres_dsn: str, a: PostgresStore) -> AsyncIterator[PostgresStore]:
    store = await opened(postgres_dsn, "b")
    yield store
    await store.close()


def ask(dsn: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


# ---- several relays keep and settle deliveries of few keys at once


class Race:
    """What all relays together have under way, and have settled."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.keys: dict[str, str] = {}  # event -> key
        self.under_way: set[str] = set()
        self.newest: dict[str, int] = {}  # key -> row of the delivery attempted last
        self.left = 0
        self.handed_over = 0
        self.last: dict[str, str] = {}  # key -> the relay that attempted last

    async def run(self, relay: PostgresStore, name: str, first: int) -> None:
        """Keep webhooks of one relay, and attempt what it claims, until nothing is left of any."""
        await asyncio.gather(self._keep(relay, name, first), self._claim(relay, name))

    async def _keep(self, relay: PostgresStore, name: str, first: int) -> None:
        numbers = list(range(first, first + EACH))
        while numbers:
            size = self.chance.randrange(1, 5)
            together, numbers = numbers[:size], numbers[size:]
            kept = await asyncio.gather(*(self._keep_one(relay, number) for number in together))
            await asyncio.gather(*(self._attempt(relay, name, each) for its in kept for each in its))

    async def _keep_one(self, relay: PostgresStore, number: int) -> list[Delivery]:
        key = self.keys[f"event-{number:04}"] = f"1/leads/{self.chance.randrange(KEYS)}"
        lease = self.chance.choice([None, MINUTE])
        kept = await relay.keep(webhook(number), [routed(number, to(key=key, lease=lease))], now=relay.clock())
        assert isinstance(kept, list)
        return kept

    async def _claim(self, relay: PostgresStore, name: str) -> None:
        while self.left:
            now = relay.clock() + timedelta(seconds=1)
            claimed = await relay.claim("bot", limit=3, max_bytes=10**6, now=now, lease=MINUTE)
            await asyncio.gather(*(self._attempt(relay, name, each) for each in claimed))
            await asyncio.sleep(0.001)

    async def _attempt(self, relay: PostgresStore, name: str, delivery: Delivery) -> None:
        key = self.keys[delivery.event_id]
        assert key not in self.under_way, "two of one key are under way"
        assert self.newest.get(key, 0) <= delivery.row, "one was overtaken"
        self.under_way.add(key)
        self.newest[key] = delivery.row
        self.handed_over += self.last.get(key, name) != name
        self.last[key] = name
        await asyncio.sleep(0)
        verdict = self.chance.choice([Delivered(), Delivered(), Dead("no"), RetryAt(relay.clock())])
        self.under_way.remove(key)  # first: another relay may have the next one before this call has returned
        outcome = OK if isinstance(verdict, Delivered) else REFUSED
        assert await relay.settle(delivery, outcome, verdict, now=relay.clock())
        self.left -= not isinstance(verdict, RetryAt)


STRANDED = """
select count(*) from deliveries d where state = 'pending' and due_at is null and not exists (
  select from deliveries o where o.target = d.target and o.key = d.key and o.state = 'pending' and o.event < d.event)
"""


@pytest.mark.parametrize("seed", range(3))
async def test_of_one_key_none_is_overtaken_and_none_is_left_behind_whichever_relay_keeps_and_settles(
    a: PostgresStore, b: PostgresStore, seed: int, postgres_dsn: str
) -> None:
    race = Race(seed)
    race.left = 2 * EACH
    try:
        async with asyncio.timeout(30):
            await asyncio.gather(race.run(a, "a", 0), race.run(b, "b", EACH))
    except TimeoutError:
        assert ask(postgres_dsn, STRANDED) == [(0,)], "some wait behind none"
        raise
    assert ask(postgres_dsn, "select count(*) from deliveries where state = 'pending'") == [(0,)]
    assert race.handed_over > KEYS, "both had some of each key"


async def test_what_is_kept_while_the_one_before_it_is_settled_is_not_left_behind(
    a: PostgresStore, b: PostgresStore, postgres_dsn: str
) -> None:
    [first] = await a.keep(webhook(1), [routed(1, to(key=KEY, lease=MINUTE))], now=a.clock())
    settled, go_on = asyncio.Event(), asyncio.Event()

    async def settle(transaction: Transaction) -> None:
        for statement in claims.settle([Settlement(first, OK, Delivered(), a.clock())], [True], to_ms(a.clock())):
            await transaction.rows(*statement)
        settled.set()
        await go_on.wait()

    other = Connection(postgres_dsn, name="other")
    settling = asyncio.create_task(other.transact(settle))
    await settled.wait()
    kept = b.keep(webhook(2), [routed(2, to(key=KEY, lease=MINUTE))], now=b.clock())
    async with asyncio.timeout(30):
        while not kept.done() and ask(postgres_dsn, WAITING) == [(0,)]:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    go_on.set()
    await settling
    await other.close()
    assert [each.event_id for each in await kept] == ["event-0002"], "it saw that nothing is before it any more"
    assert ask(postgres_dsn, STRANDED) == [(0,)]


KEY = "1/leads/7"
WAITING = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


async def test_a_relay_that_was_declared_dead_claims_nothing_at_insert(
    a: PostgresStore, b: PostgresStore, postgres_dsn: str
) -> None:
    """It has not noticed yet: nobody would give its claim back before the lease ends."""
    ask(postgres_dsn, "update relays set gone_at = 1 where name = 'a'")
    assert await a.keep(webhook(1), [routed(1, to(lease=60 * MINUTE))], now=a.clock()) == []
    assert [each.event_id for each in await claimed(b)] == ["event-0001"]


async def claimed(relay: PostgresStore) -> list[Delivery]:
    now = relay.clock() + timedelta(seconds=1)
    return await relay.claim("bot", limit=10, max_bytes=10**6, now=now, lease=MINUTE)


# ---- equal webhooks


async def test_of_equal_webhooks_that_two_relays_keep_at_once_one_is_stored(
    a: PostgresStore, b: PostgresStore, postgres_dsn: str
) -> None:
    for number in range(60):
        asked = []
        for relay, id_ in ((a, 2 * number), (b, 2 * number + 1)):
            one, events = move(id_, f"body {number}", 600, lead=number)
            asked.append(relay.keep(one, events, dated=WINDOW))
        said_ = sorted(said(each) == "kept" for each in await asyncio.gather(*asked))
        assert said_ == [False, True], number
    assert ask(postgres_dsn, "select count(*) from webhooks") == [(60,)]


async def test_a_b_and_a_are_three_whichever_relays_they_come_to(a: PostgresStore, b: PostgresStore) -> None:
    for number, (relay, body) in enumerate([(a, "A"), (b, "B"), (a, "A"), (b, "B"), (b, "A")]):
        one, events = move(number, body, 600)
        assert said(await relay.keep(one, events, dated=WINDOW)) == "kept"


# ---- together as one by one

WEBHOOKS = "select id, source, received_at, body, unparsed, digest, dated from webhooks order by seq"
EVENTS = """
select e.id, w.id, e.kind, e.entity, e.entity_id, e.payload from events e join webhooks w on w.seq = e.webhook
order by e.seq
"""
DELIVERIES = """
select e.id, d.target, d.routes, d.state, d.claim is not null, d.attempt, d.pending_since, d.due_at, d.why, d.key
from deliveries d join events e on e.seq = d.event order by e.seq, d.target
"""


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("seed", range(4))
async def test_webhooks_are_kept_together_as_they_are_one_by_one(seed: int, repeats: bool, postgres: Cluster) -> None:
    asked = many(random.Random(seed), 120, repeats=repeats)
    ends = []
    for together in (True, False):
        dsn = postgres.dsn(postgres.new_database())
        store = await opened(dsn, "a")
        requests = [KeepRequest(one, events, None, Windows(window)) for one, events, window in asked]
        batches = [requests] if together else [[each] for each in requests]
        kept = [reply for batch in batches for reply in await asyncio.gather(*replies_of(store.keep_many, batch))]
        ends.append(
            ([without_row(each) for each in kept], [ask(dsn, query) for query in (WEBHOOKS, EVENTS, DELIVERIES)])
        )
        await store.close()
    assert ends[0] == ends[1]
    if repeats:
        assert any(isinstance(each, Duplicate) for each in ends[0][0])


def without_row(kept: KeepResult) -> KeepResult:
    """Without what differs: numbers that sequences gave, and claim tokens."""
    return kept if isinstance(kept, Duplicate) else [replace(each, row=0, token=0) for each in kept]


# ---- what a spool forwards


async def test_what_is_forwarded_is_counted_in_the_transaction_also_if_all_of_it_is_stored(
    a: PostgresStore, postgres_dsn: str
) -> None:
    some = [KeepRequest(webhook(number), [routed(number, to())]) for number in (1, 2, 3)]
    assert await a.forward(some) == [[], [], []]
    assert await a.forward(some) == [[], [], []]
    assert ask(postgres_dsn, "select forwarded from relays") == [(6,)]
    assert ask(postgres_dsn, "select count(*) from deliveries") == [(3,)]


async def test_one_that_is_refused_alone_holds_up_none_that_is_forwarded_with_it(
    a: PostgresStore, postgres_dsn: str
) -> None:
    some = [KeepRequest(webhook(number), [routed(number, to())]) for number in (1, 2, 3)]
    some[1] = some[1]._replace(routed=[routed(2, to(), to())])  # one event, twice to one target
    first, fault, third = await a.forward(some)
    assert (first, third) == ([], [])
    assert isinstance(fault, Exception) and not isinstance(fault, StoreBusy)
    assert ask(postgres_dsn, "select id from webhooks order by seq") == [("webhook-0001",), ("webhook-0003",)]


async def test_missing_are_those_that_are_not_stored(a: PostgresStore) -> None:
    await a.keep(webhook(1), [])
    assert await a.missing(["webhook-0001", "webhook-0002", "webhook-0003"]) == {"webhook-0002", "webhook-0003"}
    assert await a.missing([]) == set()


async def test_without_registration_nothing_is_kept(a: PostgresStore) -> None:
    member = a._membership
    assert member
    member.registry.disown()
    with pytest.raises(StoreBusy, match="not registered"):
        await a.keep(webhook(1), [])


async def test_a_webhook_that_a_lost_transaction_commits_only_now_is_not_refused(
    a: PostgresStore, postgres_dsn: str
) -> None:
    """Its server was frozen: the relay has forwarded it again meanwhile."""
    insert = (
        "insert into webhooks (id, source, received_at, content_type, request_id, body, query, signature, dated,"
        " checksum) values (%s, 'crm', 0, '', '', '', '', '', '', '')"
    )
    with psycopg.connect(postgres_dsn) as late, psycopg.connect(postgres_dsn, autocommit=True) as admin:
        late.execute(insert, (webhook().id,))
        kept = asyncio.ensure_future(a.keep(webhook(), []))
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        await until(lambda: admin.execute(waiting).fetchone() == (1,))
        late.commit()
        with pytest.raises(StoreBusy):
            await kept
    assert await a.keep(webhook(), []) == []


@pytest.mark.parametrize("forwarded", [False, True])
async def test_a_webhook_of_thousands_of_events_has_the_time_that_it_takes(
    postgres_dsn: str, a: PostgresStore, forwarded: bool
) -> None:
    """It would be refused each time, and hold up the spool for ever."""
    events = [routed(n, to(), to("dwh"), lead=n) for n in range(1500)]
    await a._intake.run([("select set_config('statement_timeout', '20ms', false)", ())])
    with pytest.raises(StoreBusy, match="statement timeout"):
        await a._intake.run([("select pg_sleep(0.1)", ())])
    kept = await (a.forward([KeepRequest(webhook(), events)]) if forwarded else a.keep(webhook(), events))
    assert kept == ([[]] if forwarded else [])
    assert ask(postgres_dsn, "select count(*) from deliveries") == [(3000,)]
