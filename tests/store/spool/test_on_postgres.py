"""The spool before PostgreSQL itself, behind a port that may hold up, lose or refuse whatever passes."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from relay.errors import StoreBusy
from relay.model import Delivery, Retention
from relay.signals import Signal, SpoolingBegan, SpoolLeft, SpoolRefused, TailKeptAgain
from relay.store.postgres.registry import declare_dead
from relay.store.postgres.store import PostgresStore
from relay.store.records import KeepResult
from relay.store.requests import KeepRequest
from relay.store.spool.drain import Drained, drain
from relay.store.spool.store import SpoolingStore
from relay.store.sqlite.spool import SqliteSpool
from tests.postgres import Cluster
from tests.store.conftest import MINUTE, NOON, routed, to, webhook
from tests.store.healing import hook
from tests.store.spool.conftest import audit, request, until
from tests.tcp_proxy import TcpProxy, proxying

pytestmark = pytest.mark.timeout(60)


@dataclass
class Relay:
    """A relay beside a PostgreSQL that is reached through a port with faults."""

    folder: Path
    dsn: str
    proxy: TcpProxy
    cluster: Cluster
    database: str
    late: list[Delivery] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    replies: dict[str, KeepResult | Exception] = field(default_factory=dict)

    def open_shared(self, name: str) -> PostgresStore:
        return PostgresStore.open(
            self.dsn,
            name=name,
            emit=self.signals.append,
            disowned=lambda: None,
            clock_set=lambda _by: None,
            durable=False,
        )

    def begin(self) -> None:
        self.spool = SqliteSpool.own(self.folder / "spool.db", emit=self.signals.append, failed=lambda: None)
        self.shared = self.open_shared(self.spool.name)
        self.store = SpoolingStore(
            self.shared, self.spool, emit=self.signals.append, late=self.late.extend, hedge=0.3, hold=0.2
        )
        self.tasks = [asyncio.create_task(each) for each in self.store.background(Retention)]

    def keep(self, *requests: KeepRequest) -> "asyncio.Future[list[KeepResult | Exception]]":
        done: asyncio.Future[list[KeepResult | Exception]] = asyncio.get_running_loop().create_future()

        def note(replies: list[KeepResult | Exception]) -> None:
            self.replies |= {each.webhook.id: reply for each, reply in zip(requests, replies, strict=True)}
            done.set_result(replies)

        self.store.keep_many(requests, note)
        return done

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.store.close()

    async def until_direct(self) -> None:
        """By a connection that has committed since."""
        while True:
            if self.store.spool().direct:
                try:
                    await self.shared.probe()
                except Exception:  # noqa: BLE001  it is not there yet
                    await asyncio.sleep(0.02)
                    continue
                if self.store.spool().direct:
                    return
            await asyncio.sleep(0.02)

    def rows(self, sql: str) -> list[tuple]:
        with self.cluster.admin(self.database) as connection:
            return connection.execute(sql).fetchall()

    def rows_written(self, sql: str) -> None:
        """Run a statement beside the port, as another relay that reaches the server."""
        with self.cluster.admin(self.database) as connection:
            connection.execute(sql)
            connection.commit()

    def stored(self) -> list[str]:
        return [id_ for (id_,) in self.rows("select id from webhooks order by seq")]

    def of(self, kind: type) -> list:
        return [each for each in self.signals if isinstance(each, kind)]


def ids(*numbers: int) -> list[str]:
    return [f"webhook-{number:04}" for number in numbers]


@pytest.fixture
async def relay(tmp_path: Path, postgres: Cluster, postgres_database: str, postgres_dsn: str) -> AsyncIterator[Relay]:
    async with proxying(postgres.port) as proxy:
        dsn = postgres_dsn.replace(f":{postgres.port}/", f":{proxy.port}/")
        assert dsn != postgres_dsn
        made = Relay(tmp_path, dsn, proxy, postgres, postgres_database)
        made.begin()
        await made.until_direct()
        yield made
        proxy.heal()
        await made.stop()


async def test_webhooks_are_kept_and_claimed_by_postgresql(relay: Relay) -> None:
    first, second = await relay.keep(request(1), request(2))
    assert [each.event_id for each in (*first, *second)] == ["event-0001", "event-0002"]
    assert relay.stored() == ids(1, 2)
    assert not relay.of(SpoolingBegan)


async def test_away_they_are_spooled_and_then_forwarded_in_their_order(relay: Relay) -> None:
    relay.proxy.refuse()
    for number in range(1, 300):
        relay.keep(request(number, key=f"lead-{number % 5}"))
    assert await relay.keep(request(300)) == [[]]
    assert relay.store.spool().webhooks == 300
    relay.proxy.heal()
    await relay.until_direct()
    assert relay.stored() == ids(*range(1, 301))
    assert relay.rows("select count(*) from deliveries where state = 'pending' and claim is null") == [(300,)]
    assert relay.rows("select forwarded from relays") == [(300,)]
    [[claimed]] = await relay.keep(request(301))
    assert claimed.event_id == "event-0301"


async def test_a_spooled_webhook_has_its_hooks_and_may_be_late(relay: Relay) -> None:
    """Its event was healed while it lay in the spool: it goes to those alone that took no healed one."""
    relay.proxy.refuse()
    planned = (to("bot", lease=MINUTE), replace(to("drops", lease=MINUTE), if_late=True))
    first = KeepRequest(webhook(2), [routed(2, *planned), routed(3, *planned)], hooks=[hook(), hook("other", item=1)])
    assert await relay.keep(first) == [[]]
    relay.proxy.heal()
    await relay.until_direct()
    assert relay.rows("select key, matched from hook_index order by key") == [("lead 7", None), ("other", None)]
    relay.proxy.refuse()
    again = KeepRequest(webhook(4), [routed(4, *planned), routed(5, *planned)], hooks=[hook("late"), hook("b", item=1)])
    assert await relay.keep(again) == [[]]
    relay.rows_written(HEALED)
    relay.proxy.heal()
    await relay.until_direct()
    assert relay.rows("select key, matched from hook_index where webhook = 'webhook-0004' order by key") == [
        ("b", None),
        ("late", "e1"),
    ]
    made = "select e.id, d.target from deliveries d join events e on e.seq = d.event where e.id > 'event-0003'"
    assert sorted(relay.rows(made)) == [
        ("event-0004", "drops"),
        ("event-0005", "bot"),
        ("event-0005", "drops"),
    ]
    assert not await relay.spool.healing.hooks("crm", since=NOON - MINUTE, until=NOON + MINUTE), "nothing is left in it"


HEALED = """
insert into heal_events (source, channel, event_id, type, action, entity, entity_id, key, at, found_at, state)
select 'crm', 'account', 'e1', '', '', '', '', 'late', (since + until) / 2, 0, 'healed' from hook_index limit 1
"""


async def test_frozen_they_are_hedged_and_what_is_claimed_late_goes_to_its_lane(relay: Relay) -> None:
    relay.proxy.hold()
    kept = [relay.keep(request(1)), relay.keep(request(2))]
    assert await asyncio.gather(*kept) == [[[]], [[]]]
    await relay.keep(request(3))
    relay.proxy.heal()
    await relay.until_direct()
    assert relay.stored() == ids(1, 2, 3)
    held = {
        id_ for (id_,) in relay.rows("select e.id from deliveries d join events e on e.seq = d.event where claim > 0")
    }
    assert held == {each.event_id for each in relay.late}


RAISE = """
create function refuse() returns trigger language plpgsql as $$ begin
  if new.id = 'webhook-0002' then
    raise exception 'not this one' using detail = 'Failing row contains (Anna, 555-0101)', errcode = '{sqlstate}';
  end if;
  return new;
end $$;
create trigger refuse before insert on webhooks for each row execute function refuse();
"""


@pytest.mark.parametrize("sqlstate", ["P0001", "23514", "45000"])
async def test_a_trigger_that_refuses_one_webhook_holds_up_no_other(relay: Relay, sqlstate: str) -> None:
    with relay.cluster.admin(relay.database) as connection:
        connection.execute(RAISE.format(sqlstate=sqlstate).encode())
    await relay.keep(request(1), request(2), request(3))
    await relay.until_direct()
    await relay.keep(request(4))
    assert sorted(relay.stored()) == ids(1, 3, 4)
    assert (relay.store.spool().webhooks, relay.store.spool().refused) == (0, 1)
    [refused] = relay.of(SpoolRefused)
    assert refused.webhook == "webhook-0002" and "not this one" in refused.error
    said = f"{relay.signals} {relay.store.spool()}"
    assert "555-0101" not in said and "is away" not in said


@pytest.mark.parametrize(
    ("breaks", "mends", "why"),
    [
        (
            "revoke insert on events from relay",
            "grant insert on events to relay",
            "PostgreSQL refuses: permission denied for table events",
        ),
        (
            "alter table events rename to away",
            "alter table away rename to events",
            'PostgreSQL refuses: relation "events" does not exist',
        ),
        (
            "alter table events rename column payload to away",
            "alter table events rename column away to payload",
            'PostgreSQL refuses: column "payload" of relation "events" does not exist',
        ),
    ],
)
async def test_a_schema_that_does_not_take_them_is_named_and_none_is_lost(
    relay: Relay, breaks: str, mends: str, why: str
) -> None:
    relay.rows_written(breaks)
    assert await relay.keep(request(1)) == [[]]
    assert await relay.keep(request(2)) == [[]]
    assert {each.why for each in relay.of(SpoolingBegan)} == {why}
    await until(lambda: relay.store.spool().why == why)
    assert (relay.store.spool().webhooks, relay.store.spool().refused, relay.stored()) == (2, 0, [])
    relay.rows_written(mends)
    await relay.until_direct()
    assert relay.stored() == ids(1, 2)


STAMP = """
create function stamp() returns trigger language plpgsql as $$ begin perform gone(new.id); return new; end $$;
create trigger stamp before insert on {} for each row execute function stamp();
"""
GONE = "function gone(text) does not exist"
MENDS = "create function gone(text) returns text language sql as 'select $1'"


async def test_a_function_that_is_gone_sets_webhooks_apart_until_it_is_mended_and_loses_none(relay: Relay) -> None:
    relay.rows_written(STAMP.format("webhooks"))
    assert await relay.keep(request(1), request(2)) == [[], []]
    await relay.until_direct()
    assert await relay.keep(request(3)) == [[]]
    await until(lambda: relay.store.spool().refused == 3)
    assert (relay.store.spool().webhooks, relay.stored()) == (0, [])
    assert {each.why for each in relay.of(SpoolingBegan)} == {GONE}
    assert all(GONE in each.error for each in relay.of(SpoolRefused))
    assert [each.webhook for each in relay.of(SpoolRefused)] == ids(1, 2, 3)
    relay.rows_written(MENDS)
    await relay.stop()
    relay.begin()
    await relay.until_direct()
    assert (relay.stored(), relay.store.spool().refused) == (ids(1, 2, 3), 0)


async def test_a_function_that_is_gone_under_events_leaves_webhooks_to_be_parsed_again(relay: Relay) -> None:
    relay.rows_written(STAMP.format("events"))
    assert await relay.keep(request(1)) == [[]]
    await relay.until_direct()
    assert await relay.keep(request(2)) == [[]]
    await relay.until_direct()
    assert (relay.stored(), relay.store.spool().refused) == (ids(1, 2), 0)
    why = f"refused by the shared store: UndefinedFunction('{GONE}')"
    assert relay.rows("select distinct unparsed from webhooks") == [(why,)]
    relay.rows_written(MENDS)
    await relay.keep(request(3))
    assert relay.rows("select id from events") == [("event-0003",)]


async def test_a_lost_answer_is_known_by_its_id(relay: Relay) -> None:
    relay.proxy.lose_answer(b"webhook-0001")
    assert await relay.keep(request(1), request(2)) == [[], []]
    await relay.until_direct()
    assert relay.proxy.lost == 1
    assert relay.stored() == ids(1, 2)
    assert relay.rows("select count(*) from deliveries") == [(2,)]


async def test_what_a_fail_over_lost_is_kept_again_before_anything_else(relay: Relay) -> None:
    for number in range(1, 11):
        await relay.keep(request(number, key="lead-1"))
    relay.proxy.cut()
    lost = "(select seq from webhooks order by seq desc limit 4)"
    with relay.cluster.admin(relay.database) as connection:
        connection.execute(f"delete from deliveries where event in (select seq from events where webhook in {lost})")
        connection.execute(f"delete from events where webhook in {lost}")
        connection.execute(f"delete from webhooks where seq in {lost}")
    await relay.keep(request(11, key="lead-1"))
    await relay.until_direct()
    assert relay.stored() == ids(*range(1, 12))
    assert [each.webhooks for each in relay.of(TailKeptAgain)] == [4]


async def test_no_verb_of_intake_connects_by_itself(relay: Relay) -> None:
    """The server of a new connection may lack webhooks of the tail: those must go first."""
    for task in relay.tasks:
        task.cancel()
    made = relay.shared.connections
    relay.proxy.cut()
    for verb in 3 * [
        relay.shared.probe,
        lambda: relay.shared.missing(ids(1)),
        lambda: relay.shared.forward([request(1)]),
    ]:
        with pytest.raises(StoreBusy):
            await verb()
    assert relay.shared.connections == made
    await relay.shared.ready()
    assert relay.shared.connections == made + 1
    assert relay.stored() == []


async def test_a_stranded_spool_is_drained(relay: Relay) -> None:
    relay.proxy.refuse()
    await relay.keep(*(request(number) for number in range(1, 200)))
    await relay.stop()
    relay.proxy.heal()
    assert await drain(relay.folder / "spool.db", relay.open_shared, audit=audit, emit=relay.signals.append) == Drained(
        forwarded=199, refused=0
    )
    assert await drain(relay.folder / "spool.db", relay.open_shared, audit=audit, emit=relay.signals.append) == Drained(
        forwarded=0, refused=0
    )
    assert relay.stored() == ids(*range(1, 200))
    relay.begin()
    await relay.until_direct()


async def test_a_stop_that_postgresql_does_not_see_is_found_and_a_drain_clears_it(relay: Relay) -> None:
    name = relay.spool.name
    await relay.keep(request(1))
    relay.proxy.refuse()
    await relay.keep(request(2))
    await relay.stop()
    assert relay.of(SpoolLeft) == [SpoolLeft(webhooks=1, file=str(relay.folder / "spool.db"))]
    relay.proxy.heal()
    other = relay.open_shared("other")
    await other.ready()
    [(incarnation, seen)] = relay.rows(f"select incarnation, beat from relays where name = '{name}'")
    await other._work.run([declare_dead(incarnation, seen, 1)])
    relay.rows("update relays set gone_at = seen_at where gone_at = 1 returning 1")
    assert [(each.name, each.spooled) for each in (await other.status()).relays if each.gone_at] == [(name, None)]
    await drain(relay.folder / "spool.db", relay.open_shared, audit=audit, emit=relay.signals.append)
    assert (await other.status()).gone == 0
    await other.close()
    relay.begin()


async def test_a_stop_reports_what_the_spool_keeps(relay: Relay) -> None:
    """As set apart: the store takes the others."""
    with relay.cluster.admin(relay.database) as connection:
        connection.execute("alter table webhooks add check (id <> 'webhook-0001')")
    await relay.keep(request(1), request(2))
    await until(lambda: relay.store.spool().refused == 1)
    await relay.until_direct()
    await relay.stop()
    assert relay.rows("select spooled from relays where gone_at is not null") == [(1,)]
    [left] = relay.of(SpoolLeft)
    assert left.webhooks == 1
    await drain(relay.folder / "spool.db", relay.open_shared, audit=audit, emit=relay.signals.append)
    assert relay.rows("select spooled from relays where gone_at is not null") == [(1,)], "it is refused again"
    relay.begin()


async def test_a_stop_with_an_empty_spool_warns_of_nothing(relay: Relay) -> None:
    await relay.keep(request(1))
    await relay.stop()
    assert not relay.of(SpoolLeft)
    assert relay.rows("select spooled from relays where gone_at is not null") == [(0,)]
    relay.begin()


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_fails_all_is_stored_once_and_in_its_order(relay: Relay, seed: int) -> None:
    dice, number = random.Random(seed), 0
    for _ in range(60):
        match dice.choice(["keep"] * 6 + ["hold", "refuse", "cut", "lose answer", "heal", "heal", "turn"]):
            case "keep":
                many = dice.randint(1, 6)
                relay.keep(*(request(each, key=f"k{each % 3}") for each in range(number + 1, number + many + 1)))
                number += many
            case "hold":
                relay.proxy.hold()
            case "refuse":
                relay.proxy.refuse()
            case "cut":
                relay.proxy.cut()
            case "lose answer":
                relay.proxy.lose_answer(b"webhook-%04d" % (number + 1))
            case "heal":
                relay.proxy.heal()
            case "turn":
                await asyncio.sleep(dice.choice([0.0, 0.05, 0.2, 0.4]))
        await asyncio.sleep(dice.choice([0.0, 0.0, 0.01]))
    relay.proxy.heal()
    await until(lambda: len(relay.replies) == number)
    await relay.until_direct()
    assert not [each for each in relay.replies.values() if isinstance(each, Exception)]
    assert relay.stored() == ids(*range(1, number + 1))
    assert relay.rows("select count(*) from deliveries") == [(number,)]
