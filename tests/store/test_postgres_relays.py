"""Two relays on one database: who is dead, whose claims they are, and whose clock it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from relay.errors import StoreBusy, StoreUnsafe
from relay.model import Delivered, Delivery, RetryAt, State
from relay.signals import ClaimsReturned, ClockSet, RelayDeclaredDead, RelayDisowned, RelayJoined, Signal
from relay.store.activity import Activity
from relay.store.postgres import claims
from relay.store.postgres import connection as module
from relay.store.postgres.beats import CONFIRMED, DEAD, EVERY
from relay.store.postgres.lost_claims import AGAIN
from relay.store.postgres.registry import declare_dead
from relay.store.postgres.store import PostgresStore
from relay.store.question_records import ACTIVITY_KEPT
from relay.store.records import Filter
from relay.store.times import to_ms
from tests.postgres import Cluster
from tests.store import kind_postgres
from tests.store.conftest import MINUTE, NOON, OK, REFUSED, act, routed, to, webhook
from tests.store.kind_postgres import beat, set_clock
from tests.store.planted import ask, plant

HOUR = 60 * MINUTE


@pytest.fixture(autouse=True)
def server(postgres: Cluster) -> None:
    kind_postgres.servers.append(postgres)


class Relay:
    """One of them, with a steady clock and a database that say what the test says."""

    def __init__(self, folder: Path, name: str, now: datetime = NOON) -> None:
        self.steady = 1000.0
        self.noticed: list[Signal] = []
        self.disowned: list[int] = []  # of each time: how many of its name lived then
        self.set: list[timedelta] = []
        self.store: PostgresStore = kind_postgres.open_store(
            folder,
            now,
            self.noticed.append,
            name=name,
            steady=lambda: self.steady,
            disowned=self._disowned,
            clock_set=self.set.append,
        )
        self.folder, self.name = folder, name

    def _disowned(self) -> None:
        self.disowned.append(
            len(ask(self.folder, "select 1 from relays where gone_at is null and name = %s", self.name))
        )

    async def claim(self, limit: int = 10, *, now: datetime = NOON, target: str = "bot") -> list[Delivery]:
        return await self.store.claim(target, limit=limit, max_bytes=1_000_000, now=now, lease=10 * MINUTE)

    async def deliver(self, delivery: Delivery) -> bool:
        return await self.store.settle(delivery, OK, Delivered(), now=NOON)

    async def live(self, seconds: float, *others: "Relay") -> None:
        """All of them beat as long; the database's clock stands still."""
        for _ in range(int(seconds / EVERY)):
            for each in (self, *others):
                each.steady += EVERY
                await beat(each.store)

    def those(self, kind: type[Signal]) -> list[Signal]:
        return [each for each in self.noticed if isinstance(each, kind)]


def ids(deliveries: list[Delivery]) -> list[str]:
    return [each.event_id for each in deliveries]


@pytest.fixture
async def a(tmp_path: Path) -> AsyncIterator[Relay]:
    relay = Relay(tmp_path, "a")
    await relay.store.ready()
    yield relay
    await relay.store.close()


@pytest.fixture
async def b(tmp_path: Path, a: Relay) -> AsyncIterator[Relay]:
    relay = Relay(tmp_path, "b")
    await relay.store.ready()
    yield relay
    await relay.store.close()


# ---- dead relays


async def test_a_frozen_relay_is_declared_dead_and_its_claims_are_due_at_once(
    a: Relay, b: Relay, tmp_path: Path
) -> None:
    plant(tmp_path, 1, 2, 3)
    held = await b.claim(2)
    assert ids(await a.claim()) == ["event-0003"]
    await a.live(DEAD + 2 * EVERY)
    assert a.those(RelayJoined) == [RelayJoined(relay="b", incarnation=2)]
    assert a.those(RelayDeclaredDead) == [RelayDeclaredDead(relay="b")]
    assert a.those(ClaimsReturned) == [ClaimsReturned(claims=2, why="abandoned")]
    again = await a.claim()
    assert [(each.event_id, each.attempt) for each in again] == [("event-0001", 2), ("event-0002", 2)]
    assert [await b.deliver(each) for each in held] == [False, False], "they are another's by now"
    assert [await a.deliver(each) for each in again] == [True, True]
    numbers = ask(tmp_path, "select event, number from attempts order by 1, 2")
    assert numbers == [(1, 1), (1, 2), (2, 1), (2, 2)], "what was sent is recorded, whoever sent it"


async def test_a_relay_that_lives_is_not_declared_dead(a: Relay, b: Relay) -> None:
    await a.live(10 * DEAD, b)
    assert a.those(RelayDeclaredDead) == b.those(RelayDeclaredDead) == []
    assert a.store.registered and b.store.registered


async def test_a_beat_that_comes_while_others_declare_it_dead_saves_a_relay(a: Relay, b: Relay) -> None:
    """The one that judges has seen an old beat."""
    assert a.store._membership and b.store._membership
    await a.live(EVERY, b)
    before = a.store._membership._beats._seen
    await b.live(EVERY)
    await a.store._work.run([declare_dead(2, before[2][0], to_ms(NOON))])
    await b.live(EVERY)
    assert b.disowned == [] and b.store.registered


async def test_a_relay_that_finds_itself_dead_says_so_before_it_registers_anew(a: Relay, b: Relay) -> None:
    await a.live(DEAD + 2 * EVERY)
    assert b.disowned == []
    await b.live(EVERY)
    assert b.disowned == [0], "it was told before it lived again"
    assert b.those(RelayDisowned) == [RelayDisowned()]
    await b.live(EVERY)
    assert b.store.registered
    await a.live(EVERY)
    assert a.those(RelayJoined) == [RelayJoined(relay="b", incarnation=n) for n in (2, 3)]


async def test_a_relay_that_is_dead_claims_nothing(a: Relay, b: Relay, tmp_path: Path) -> None:
    plant(tmp_path, 1)
    await a.live(DEAD + 2 * EVERY)
    assert await b.claim() == []
    assert len(b.disowned) == 1, "the claim has found out"
    assert ids(await a.claim()) == ["event-0001"]


async def test_what_was_under_way_when_a_relay_was_disowned_counts_if_nobody_claimed_it_since(
    a: Relay, b: Relay, tmp_path: Path
) -> None:
    """Between the declaration and the sweep, here: the relay that declared it has gone."""
    plant(tmp_path, 1)
    [held] = await b.claim()
    ask(tmp_path, "update relays set gone_at = 1 where name = 'b'")
    b.steady += EVERY
    assert b.store._membership
    await b.store._membership.beat()
    assert not b.store.registered
    assert await b.deliver(held)


async def test_nobody_settles_by_a_token_of_another_relay(a: Relay, b: Relay, tmp_path: Path) -> None:
    plant(tmp_path, 1)
    [held] = await a.claim()
    assert not await b.deliver(held)
    assert not await b.store.release([held], now=NOON)
    assert await a.deliver(held)


async def test_a_delivery_is_settled_by_its_present_token_alone(a: Relay, tmp_path: Path) -> None:
    plant(tmp_path, 1)
    [first] = await a.claim()
    await a.store.release([first], now=NOON)
    [second] = await a.claim()
    assert (first.attempt, second.attempt) == (1, 1), "the same number: only the token tells them apart"
    assert not await a.deliver(first)
    assert not await a.store.release([first], now=NOON)
    assert await a.deliver(second)
    assert not await a.deliver(second)


async def test_a_relay_that_stops_leaves_nothing_claimed(a: Relay, b: Relay, tmp_path: Path) -> None:
    plant(tmp_path, 1)
    await b.claim()
    await b.store.close()
    soon = NOON + timedelta(seconds=1)
    assert [(each.event_id, each.attempt) for each in await a.claim(now=soon)] == [("event-0001", 2)]
    assert ask(tmp_path, "select name from relays where gone_at is null") == [("a",)]
    await a.live(DEAD + 2 * EVERY)
    assert a.those(RelayDeclaredDead) == [], "it said so itself"


async def test_a_relay_that_has_not_beaten_for_long_begins_no_attempt(a: Relay) -> None:
    assert a.store.owns()
    a.steady += CONFIRMED  # it stood still, or the database did not reply
    assert not a.store.owns()
    await a.live(EVERY)
    assert a.store.owns()


async def test_a_relay_that_was_declared_dead_begins_no_attempt(a: Relay, b: Relay) -> None:
    await a.live(DEAD + 2 * EVERY)
    await beat(b.store)
    assert (a.store.owns(), b.store.owns()) == (True, False)


async def test_shares_follow_the_relays_that_live(a: Relay, b: Relay) -> None:
    await a.live(4 * EVERY, b)
    assert sorted(each.store.share("bot") for each in (a, b)) == [(1, 2), (2, 2)]
    await a.live(DEAD + 5 * EVERY)
    assert a.store.share("bot") == (1, 1)


async def test_a_number_that_a_fail_over_gives_out_once_more_is_of_one_relay(
    a: Relay, b: Relay, tmp_path: Path
) -> None:
    """The standby that took over never saw that `b` had registered: it has not heard of that number."""
    plant(tmp_path, 1, 2)
    held = await b.claim()
    ask(tmp_path, "delete from relays where name = 'b'")
    ask(tmp_path, "update deliveries set claim = null, due_at = pending_since, attempt = 0")
    ask(tmp_path, "select setval('relay_incarnations', 1)")
    c = Relay(tmp_path, "c")
    await c.store.ready()
    assert ask(tmp_path, "select incarnation from relays where name = 'c'") == [(2,)]
    claimed = await c.claim(1)
    assert await b.claim() == [], "it does not live"
    assert not await b.deliver(held[0]) and not await b.store.release(held, now=NOON)
    await b.store.close()
    assert ask(tmp_path, "select gone_at from relays where name = 'c'") == [(None,)]
    assert await c.deliver(claimed[0])
    await c.store.close()


@pytest.mark.parametrize("table", ["deliveries", "webhooks"])
async def test_what_is_claimed_while_a_relay_begins_anew_is_not_its_to_attempt(
    a: Relay, tmp_path: Path, table: str
) -> None:
    """The reply to a claim, or to a webhook that is claimed at insert, arrives after a fail-over was noticed."""
    membership = a.store._membership
    assert membership
    plant(tmp_path, 1)
    with psycopg.connect(kind_postgres.dsn(tmp_path)) as other:
        other.execute(f"lock table {table} in exclusive mode".encode())
        asked = a.claim() if table == "deliveries" else a.store.keep(webhook(9), [routed(9, to(lease=MINUTE))])
        reply = asyncio.ensure_future(asked)
        await asyncio.sleep(0.3)
        assert not reply.done()
        membership._restart()
    assert await reply == []


async def test_of_two_relays_with_one_spool_the_newer_one_works(a: Relay, b: Relay, tmp_path: Path) -> None:
    """Its file, or its machine, was copied: they would take their claims from each other for ever."""
    copy = Relay(tmp_path, "a")
    await copy.store.ready()
    with pytest.raises(
        StoreUnsafe, match=r"^another relay has registered with the name of this one's spool \(host .*, pid"
    ):
        await a.live(3 * EVERY, b, copy)
    assert a.disowned == [1] and copy.disowned == []
    assert copy.store.registered and not a.store.registered
    await copy.store.close()
    await a.live(EVERY)
    assert a.store.registered


async def test_of_two_relays_with_one_spool_the_older_one_works_once_the_newer_one_is_dead(
    a: Relay, tmp_path: Path
) -> None:
    copy = Relay(tmp_path, "a")
    await copy.store.ready()
    for _ in range(int(DEAD / EVERY)):
        with suppress(StoreUnsafe):
            await a.live(EVERY)
        assert not a.store.registered
    for _ in range(3):
        with suppress(StoreUnsafe):
            await a.live(EVERY)
    assert a.store.registered
    await copy.live(EVERY)
    assert copy.disowned == [1]
    await copy.store.close()


async def test_a_registration_whose_answer_is_lost_is_of_no_other_relay(
    a: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(tmp_path, "update relays set gone_at = 1 where name = 'a'")
    await a.live(EVERY)
    kind_postgres.lose_answer(a.store, monkeypatch)
    while True:
        try:
            await a.store.ready()
        except StoreBusy:
            break
    await a.live(EVERY)
    assert a.store.registered


async def test_a_backlog_is_moved_by_a_set_back_clock_however_long_it_takes_to_register(
    a: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, 1)
    await a.store.close()
    monkeypatch.setattr(module, "DEADLINE", 0.5)
    monkeypatch.setattr(claims, "set_back", lambda _by, _now: ("select pg_sleep(1)", ()))
    successor = Relay(tmp_path, "a", NOON - HOUR)
    await successor.store.ready()
    assert successor.store.registered
    await successor.store.close()


# ---- claims that nobody was given


async def test_what_a_lost_answer_has_claimed_is_given_back_by_the_next_beat(
    a: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, 1, 2)
    [other] = await a.claim(1)
    kind_postgres.lose_answer(a.store, monkeypatch)
    with pytest.raises(StoreBusy):
        await a.claim()
    await a.live(EVERY)
    assert a.those(ClaimsReturned) == [ClaimsReturned(claims=1, why="lost")]
    assert ask(tmp_path, "select attempt, claim is null from deliveries order by event") == [(1, False), (0, True)]
    assert await a.deliver(other)


async def test_a_lost_transaction_that_is_committed_late_is_given_back_a_minute_later(
    a: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, 1)
    run = a.store._work.run

    async def lose(_statements: object) -> list[list[tuple[int, ...]]]:
        monkeypatch.setattr(a.store._work, "run", run)
        raise StoreBusy("under way")

    monkeypatch.setattr(a.store._work, "run", lose)
    with pytest.raises(StoreBusy):
        await a.claim()
    await a.live(2 * EVERY)
    first, _end, _when = a.store._membership.lost._spans[0]  # type: ignore[union-attr]
    ask(tmp_path, "update deliveries set claim = %s, attempt = 1, due_at = %s", first, to_ms(NOON + HOUR))
    await a.live(AGAIN - 2 * EVERY)
    assert await a.claim() == []
    await a.live(2 * EVERY)
    assert [each.attempt for each in await a.claim()] == [1]


# ---- the clock


async def test_a_claim_goes_by_the_clock_of_the_database_alone(a: Relay, tmp_path: Path) -> None:
    """This process was suspended, or the server's clock was set: what it believes is wrong by an hour."""
    plant(tmp_path, 1)
    set_clock(tmp_path, NOON + HOUR)
    assert await a.claim(now=a.store.clock()) == []
    assert a.store.clock() == NOON + HOUR
    assert ids(await a.claim(now=a.store.clock())) == ["event-0001"]


@pytest.mark.parametrize("who_first", [0, 1])
async def test_a_clock_that_is_set_back_moves_what_waits_once_whoever_notices(
    a: Relay, b: Relay, tmp_path: Path, who_first: int
) -> None:
    plant(tmp_path, 1, 2, 3)
    [waits] = await a.claim(1)
    await a.store.settle(waits, REFUSED, RetryAt(NOON + 2 * MINUTE), now=NOON)
    await b.claim(1)
    set_clock(tmp_path, NOON - HOUR)
    for each in (a, b) if who_first == 0 else (b, a):
        await beat(each.store)
        await beat(each.store)
        assert each.store.clock() == NOON - HOUR
    due = ask(tmp_path, "select due_at, pending_since from deliveries order by event")
    assert [at for at, _since in due] == [
        to_ms(NOON - HOUR + 2 * MINUTE),
        to_ms(NOON + 10 * MINUTE),  # a lease ends no sooner
        to_ms(NOON - HOUR),
    ]
    assert [since for _at, since in due] == [to_ms(NOON - HOUR)] * 3
    assert [each.those(ClockSet) for each in (a, b)] == [[ClockSet(by=-HOUR)]] * 2
    assert a.set == b.set == [-HOUR]
    set_clock(tmp_path, NOON - 2 * HOUR)
    await beat(b.store)
    await beat(a.store)
    assert ask(tmp_path, "select due_at from deliveries order by event")[2] == (to_ms(NOON - 2 * HOUR),)


async def test_a_clock_that_is_set_back_while_no_relay_runs_moves_what_waits(a: Relay, tmp_path: Path) -> None:
    plant(tmp_path, 1)
    await a.store.close()
    for now in (NOON - HOUR, NOON - HOUR):
        successor = Relay(tmp_path, "a", now)
        assert await successor.claim(now=now - MINUTE) == []
        assert ids(await successor.claim(now=now + timedelta(seconds=1))) == ["event-0001"]
        await successor.store.close()


async def test_a_clock_that_is_set_forward_ends_no_claim_of_a_relay_that_lives(
    a: Relay, b: Relay, tmp_path: Path
) -> None:
    plant(tmp_path, 1)
    [held] = await b.claim()
    set_clock(tmp_path, NOON + 5 * MINUTE)
    await a.live(DEAD, b)
    assert await a.claim(now=a.store.clock()) == []
    assert await b.deliver(held)


async def test_a_lease_that_ran_out_is_the_backstop(a: Relay, b: Relay, tmp_path: Path) -> None:
    plant(tmp_path, 1)
    [held] = await b.claim()
    assert await a.claim(now=NOON + 9 * MINUTE) == []
    assert [each.attempt for each in await a.claim(now=NOON + 10 * MINUTE)] == [2]
    assert not await b.deliver(held)


# ---- settle


async def test_an_attempt_of_a_delivery_that_is_purged_is_no_fault(a: Relay, tmp_path: Path) -> None:
    plant(tmp_path, 1, 2)
    first, second = await a.claim()
    ask(tmp_path, "delete from deliveries where event = 1")
    assert [await a.deliver(each) for each in (first, second)] == [False, True]
    assert ask(tmp_path, "select event, number from attempts") == [(2, 1)]


async def test_of_one_key_the_next_is_due_when_the_one_before_is_settled(a: Relay, b: Relay, tmp_path: Path) -> None:
    plant(tmp_path, 1, 2, 3, key="leads/7")
    plant(tmp_path, 4, key="leads/8")
    one = await a.claim()
    assert ids(one) == ["event-0001", "event-0004"]
    assert await b.claim() == []
    await a.store.settle(one[0], REFUSED, RetryAt(NOON + MINUTE), now=NOON)
    assert await b.claim() == []
    [again] = await b.claim(now=NOON + MINUTE)
    assert await b.deliver(again)
    assert ids(await a.claim(now=NOON + MINUTE)) == ["event-0002"]


async def test_a_request_for_a_probe_reaches_every_relay_and_is_gone_after_a_minute(
    a: Relay, b: Relay, tmp_path: Path
) -> None:
    """Each has a circuit of its own."""
    plant(tmp_path, 1)
    pending = Filter(states=(State.PENDING,))
    await a.store.replay(pending, act(1))
    for relay in (a, b):
        requested = (await relay.store.due(["bot"])).probes
        assert requested == {"bot": NOON}
        await relay.store.fulfil_probes(requested)
        assert (await relay.store.due(["bot"])).probes == {}
    await b.store.replay(pending, act(2))
    assert len((await a.store.due(["bot"])).probes) == 1, "another request"
    a.steady += 61
    await a.store.fulfil_probes({})
    assert ask(tmp_path, "select target from probes") == []


async def test_a_target_whose_name_the_database_refuses_is_served(a: Relay, tmp_path: Path) -> None:
    plant(tmp_path, 1, target="b\ufffdt")
    assert list((await a.store.due(["b\ud800t"])).at) == ["b\ud800t"]
    [claimed] = await a.claim(target="b\ud800t")
    assert await a.deliver(replace(claimed, target="b\ud800t"))


async def test_a_claim_of_a_caller_that_leaves_is_released(a: Relay, tmp_path: Path) -> None:
    plant(tmp_path, 1)
    asked = asyncio.ensure_future(a.claim())
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    async with asyncio.timeout(30):
        while not (again := await a.claim()):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert [each.attempt for each in again] == [1]


async def test_rows_that_another_claims_are_passed_over(a: Relay, tmp_path: Path) -> None:
    plant(tmp_path, 1, 2)
    with psycopg.connect(kind_postgres.dsn(tmp_path)) as other:
        other.execute("select 1 from deliveries where event = 1 for update")
        assert ids(await a.claim()) == ["event-0002"]


# ---- spools of relays that are gone


async def listed(relay: Relay) -> dict[str, int | None]:
    """Those that are gone, and the webhooks in their spools."""
    status = await relay.store.status()
    assert status.gone == len(status.relays) - len(status.living)
    return {each.name: each.spooled for each in status.relays if each.gone_at}


async def test_a_dead_relay_is_listed_for_it_may_have_spooled_since_its_last_beat(a: Relay, b: Relay) -> None:
    await a.live(EVERY, b)
    await a.live(DEAD + 2 * EVERY)
    assert await listed(a) == {"b": None}
    await b.live(2 * EVERY)
    assert await listed(a) == {}, "it is back, and reports"


async def test_a_dead_relay_keeps_the_count_that_it_reported(a: Relay, b: Relay) -> None:
    b.store.publish_spool(37, NOON)
    await a.live(EVERY, b)
    await a.live(DEAD + 2 * EVERY)
    assert (await listed(a), (await a.store.status()).stranded) == ({"b": 37}, 37)


@pytest.mark.parametrize(("webhooks", "after"), [(0, {}), (3, {"b": 3}), (None, {"b": None})])
async def test_a_relay_that_leaves_is_listed_unless_its_spool_is_empty(
    a: Relay, b: Relay, webhooks: int | None, after: dict[str, int | None]
) -> None:
    b.store.publish_spool(5, NOON)
    await a.live(EVERY, b)
    b.store.publish_spool(webhooks, None)
    await b.store.close()
    assert await listed(a) == after


async def test_an_unknown_spool_is_listed_for_thirty_days(a: Relay, b: Relay, tmp_path: Path) -> None:
    await a.live(DEAD + 2 * EVERY)
    ago = "update relays set gone_at = (extract(epoch from clock_timestamp()) * 1000)::bigint - %s where name = 'b'"
    ask(tmp_path, f"{ago} returning 1", 30 * 86_400_000 - 60_000)
    assert await listed(a) == {"b": None}
    ask(tmp_path, f"{ago} returning 1", 30 * 86_400_000 + 60_000)
    assert await listed(a) == {}


# ---- what they did lately


async def test_what_each_relay_did_is_told_until_it_is_too_old(tmp_path: Path) -> None:
    first, second = Relay(tmp_path, "a"), Relay(tmp_path, "b")
    one, other = Activity(since=1.0, delivered={"bot": {7: 3}}), Activity(since=2.0)
    await first.store.questions.record_activity(one, now=NOON)
    await second.store.questions.record_activity(other, now=NOON + MINUTE)
    assert await first.store.questions.activity() == [other, one]
    assert await first.store.questions.own_activity() == one
    await second.store.questions.record_activity(other, now=NOON + ACTIVITY_KEPT + MINUTE)
    assert await second.store.questions.activity() == [other]
    await first.store.close()
    await second.store.close()
