"""What is dead or unparsed and understood is dismissed; what is pending for a target that is gone is dropped."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import apsw
import pytest

from relay.model import Dead, Retention, RetryAt, State
from relay.store.contract import Archive
from relay.store.postgres import dismiss as postgres_dismiss
from relay.store.records import Deaths, Filter
from relay.store.sqlite import deaths as sqlite_deaths
from relay.store.sqlite import dismiss as sqlite_dismiss
from tests.store.conftest import MINUTE, NOON, REFUSED, act, claim, deliver, open_sqlite, routed, to, webhook
from tests.store.test_raw import raw

DAY = timedelta(days=1)
DEAD = Filter(states=(State.DEAD,))


async def die(store: Archive, number: int, target: str = "bot", *, now: datetime = NOON) -> None:
    """A delivery of this event is kept and dies."""
    [delivery] = await store.keep(webhook(number), [routed(number, to(target, lease=MINUTE))])
    assert await store.settle(delivery, REFUSED, Dead("no"), now=now)


async def dead(store: Archive) -> dict[str, int]:
    """What the status counts by target."""
    return {name: each.dead for name, each in (await store.status()).targets.items()}


# ---- dead deliveries


async def test_what_is_dismissed_is_counted_no_more_and_stays_dead(store: Archive) -> None:
    for number, target in ((1, "bot"), (2, "bot"), (3, "dwh")):
        await die(store, number, target)
    assert await store.dismiss(Filter(event_ids=("event-0001", "event-0003")), act(at=NOON + MINUTE)) == 2
    assert await dead(store) == {"bot": 1}
    found = {each.event_id: each for each in await store.find(DEAD, limit=9)}
    assert {id_: each.dismissed_at for id_, each in found.items()} == {
        "event-0001": NOON + MINUTE,
        "event-0002": None,
        "event-0003": NOON + MINUTE,
    }
    assert {each.why for each in found.values()} == {"no"}, "why it died is still known"
    assert [(each.id, each.count) for each in await store.audit(limit=9)] == [("act-0001", 2)]


async def test_dismissed_ones_are_listed_and_counted_apart_if_that_is_asked_for(store: Archive) -> None:
    await die(store, 1)
    await die(store, 2)
    await store.dismiss(Filter(event_ids=("event-0001",)), act())
    for dismissed, event in ((True, "event-0001"), (False, "event-0002")):
        wanted = replace(DEAD, dismissed=dismissed)
        assert [each.event_id for each in await store.find(wanted, limit=9)] == [event]
        assert await store.count(wanted) == {"bot": 1}
    assert await store.count(DEAD) == {"bot": 2}


async def test_the_status_says_when_the_first_and_the_last_died_that_count_and_why(store: Archive) -> None:
    for number, hours in ((1, 3), (2, 9), (3, 1), (4, 7)):
        [one] = await store.keep(webhook(number), [routed(number, to(lease=MINUTE))])
        await store.settle(one, REFUSED, Dead(f"no {number}"), now=NOON + timedelta(hours=hours))
    await store.keep(webhook(5), [routed(5, to("dwh"))])
    targets = (await store.status()).targets
    first, last = NOON + timedelta(hours=1), NOON + timedelta(hours=9)
    assert targets["bot"].deaths == Deaths(first_at=first, last_at=last, why="no 2")
    assert targets["dwh"].deaths is None
    await store.dismiss(Filter(event_ids=("event-0002",)), act(1))
    await store.replay(Filter(event_ids=("event-0003",)), act(2))
    first, last = NOON + timedelta(hours=3), NOON + timedelta(hours=7)
    assert (await store.status()).targets["bot"].deaths == Deaths(first_at=first, last_at=last, why="no 4")
    await store.dismiss(Filter(), act(3))
    assert (await store.status()).targets["bot"].deaths is None


async def test_only_what_is_dead_and_wanted_is_dismissed_and_only_once(store: Archive) -> None:
    await die(store, 1)
    [done] = await store.keep(webhook(2), [routed(2, to(lease=MINUTE))])
    await deliver(store, done)
    await store.keep(webhook(3), [routed(3, to())])
    assert await store.dismiss(Filter(target="dwh"), act(1)) == 0
    assert await store.dismiss(Filter(), act(2)) == 1
    assert await store.dismiss(Filter(), act(3)) == 0
    assert [each.count for each in await store.audit(limit=9)] == [1], "what changed nothing is not audited"


async def test_a_large_dismissal_dismisses_all_targets(store: Archive) -> None:
    numbers = range(1, 131)
    await store.keep(webhook(), [routed(number, to("bot"), to("dwh")) for number in numbers])
    for target in ("bot", "dwh"):
        for delivery in await claim(store, target, limit=1000):
            await store.settle(delivery, REFUSED, Dead("no"), now=NOON)
    assert await store.dismiss(Filter(), act()) == 260
    assert await dead(store) == {}


async def test_a_replay_ends_a_dismissal(store: Archive) -> None:
    await die(store, 1)
    await store.dismiss(Filter(), act(1))
    assert await store.replay(replace(DEAD, dismissed=False), act(2)) == 0
    assert await store.replay(DEAD, act(3)) == 1
    [again] = await claim(store)
    await store.settle(again, REFUSED, Dead("no"), now=NOON)
    assert await dead(store) == {"bot": 1}


async def test_a_raw_delivery_that_was_reparsed_is_not_dismissed(store: Archive) -> None:
    [born] = await store.keep(webhook(unparsed="no events"), [raw(1, to(lease=MINUTE))])
    await store.settle(born, REFUSED, Dead("no"), now=NOON)
    await store.keep(webhook(), [routed(2)], now=NOON)
    assert await store.dismiss(Filter(), act()) == 0


# ---- unparsed webhooks


async def test_a_dismissed_webhook_is_unparsed_and_neither_counted_nor_listed_with_the_others(store: Archive) -> None:
    for number in (1, 2, 3):
        await store.keep(webhook(number, unparsed="not UTF-8"), [])
    await store.keep(webhook(4), [routed(4)])
    ids = ["webhook-0001", "webhook-0003", "webhook-0004", "webhook-0009"]
    assert await store.dismiss_unparsed(ids, act(at=NOON + DAY)) == 2
    assert (await store.status()).unparsed == 1
    assert [each.id for each in await store.unparsed(limit=9)] == ["webhook-0002"]
    listed = await store.unparsed(limit=9, dismissed=True)
    assert [(each.id, each.dismissed_at) for each in listed] == [
        ("webhook-0001", NOON + DAY),
        ("webhook-0003", NOON + DAY),
    ]
    assert [each.id for each in await store.unparsed(limit=9, dismissed=True, after=None)][:1] == ["webhook-0001"]
    shown = await store.show("webhook-0001")
    assert shown is not None and (shown.webhook.unparsed, shown.webhook.dismissed_at) == ("not UTF-8", NOON + DAY)
    assert await store.dismiss_unparsed(ids, act(2)) == 0
    assert [each.count for each in await store.audit(limit=9)] == [2]


async def test_reading_a_dismissed_webhook_ends_its_dismissal(store: Archive) -> None:
    await store.keep(webhook(1, unparsed="not UTF-8"), [])
    await store.keep(webhook(2, unparsed="not UTF-8"), [])
    await store.dismiss_unparsed(["webhook-0001"], act())
    assert await store.reparse(webhook(1), [routed(1, to())], act(2, command="reparse"))
    assert (await store.status()).unparsed == 1
    shown = await store.show("webhook-0001")
    assert shown is not None and shown.webhook.dismissed_at is None


async def test_what_is_dismissed_is_purged_by_the_age_that_it_had_before(store: Archive) -> None:
    await die(store, 1)
    await store.keep(webhook(2, unparsed="not UTF-8"), [])
    await store.keep(webhook(3, unparsed="not UTF-8"), [])
    await store.dismiss(Filter(), act(1))
    await store.dismiss_unparsed(["webhook-0002"], act(2))
    young = Retention(delivered=None, dead=2 * DAY, unrouted=None, unparsed=2 * DAY)
    assert await store.purge(young, now=NOON + DAY) == {}
    assert await store.purge(young, now=NOON + 2 * DAY) == {"dead": 1, "unparsed": 2}
    assert (await store.status()).unparsed == 0


# ---- a target that is gone


async def test_what_is_pending_for_a_target_that_is_dropped_is_dead_dismissed_and_purgeable(store: Archive) -> None:
    await store.keep(webhook(1), [routed(1, to("gone"), to("bot")), routed(2, to("gone"))])
    assert await store.drop("gone", act(at=NOON + MINUTE)) == 2
    assert await store.drop("gone", act(2)) == 0
    status = (await store.status()).targets
    assert {name: (each.pending, each.dead) for name, each in status.items()} == {"bot": (1, 0)}
    [first, second] = await store.find(Filter(target="gone"), limit=9)
    for each in (first, second):
        assert (each.state, each.why, each.settled_at) == (State.DEAD, "dropped", NOON + MINUTE)
        assert each.dismissed_at == NOON + MINUTE
    assert (await store.due(["gone"])).at == {}
    assert [(each.id, each.count) for each in await store.audit(limit=9)] == [("act-0001", 2)]
    [left] = await claim(store)
    await deliver(store, left)
    old = Retention(delivered=DAY, dead=DAY, unrouted=None, unparsed=None)
    assert await store.purge(old, now=NOON + 2 * DAY) == {"dead": 1}


async def test_an_attempt_under_way_at_a_dropped_target_is_recorded_and_settles_nothing(store: Archive) -> None:
    [under_way] = await store.keep(webhook(), [routed(1, to("gone", lease=MINUTE))])
    assert await store.drop("gone", act()) == 1
    assert not await store.settle(under_way, REFUSED, RetryAt(NOON), now=NOON)
    shown = await store.show("event-0001")
    assert shown is not None
    [record] = shown.events[0].deliveries
    assert (record.state, record.why, len(record.attempts)) == (State.DEAD, "dropped", 1)


async def test_what_waits_for_another_of_its_key_is_dropped_too_and_a_later_one_is_due(store: Archive) -> None:
    await store.keep(webhook(1), [routed(number, to("gone", key="lead-7")) for number in range(1, 131)])
    assert await store.drop("gone", act()) == 130
    await store.keep(webhook(2), [routed(200, to("gone", key="lead-7"))])
    assert [each.event_id for each in await claim(store, "gone")] == ["event-0200"]


async def test_what_is_kept_while_a_drop_is_under_way_stays_and_is_due_once_what_it_waits_for_is_dropped(
    store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def last(_look: object) -> int:
        return 1  # as if the second one had come after the drop began

    monkeypatch.setattr(sqlite_dismiss, "_last", lambda _cursor: 1)
    monkeypatch.setattr(postgres_dismiss, "_last", last)
    await store.keep(webhook(), [routed(number, to("gone", key="lead-7")) for number in (1, 2)])
    assert await store.drop("gone", act()) == 1
    assert [each.event_id for each in await claim(store, "gone")] == ["event-0002"]


async def test_what_is_dropped_can_be_replayed_when_its_target_is_back(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, to("gone"))])
    await store.drop("gone", act(1))
    assert await store.replay(Filter(target="gone", states=(State.DEAD,)), act(2)) == 1
    [delivery] = await claim(store, "gone")
    assert delivery.event_id == "event-0001"


# ---- what a reroute would do


async def test_what_a_reroute_would_plan_is_what_it_plans(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, to("bot")), routed(2), routed(3, to("dwh"))])
    wanted = [routed(number, to("bot"), to("dwh")) for number in (1, 2, 3, 9)]
    assert await store.reroutable(wanted) == {"bot": 1, "dwh": 1}
    assert await store.reroutable(wanted, missing=True) == {"bot": 2, "dwh": 2}
    assert await store.audit(limit=9) == []
    assert await store.reroute(wanted, act(), missing=True) == 4
    assert await store.reroutable(wanted, missing=True) == {}


# ---- how SQLite finds it


async def test_sqlite_finds_the_first_and_the_last_death_of_a_target_by_an_index(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path, NOON)
    plan = [row[3] for row in store._connection.execute(f"explain query plan {sqlite_deaths.DEATHS}")]
    await store.close()
    assert [line for line in plan if line.startswith("SEARCH")] == [
        "SEARCH deliveries USING INDEX deliveries_deaths (target=?)"
    ] * 3
    assert [line for line in plan if line.startswith("SCAN deliveries ") and "deliveries_dea" not in line] == []
    assert [line for line in plan if "TEMP B-TREE" in line] == [], "it has them in their order"


async def test_sqlite_finds_what_it_dismisses_and_drops_by_partial_indexes(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path, NOON)
    await die(store, 1)
    await store.keep(webhook(2), [routed(2, to())])
    asked: dict[str, object] = {}

    def note(_cursor: apsw.Cursor, sql: str, values: object) -> bool:
        asked[sql] = values
        return True

    for connection in (store._connection, store._reader):
        connection.set_exec_trace(note)
    await store.dismiss(Filter(target="bot"), act(1))
    await store.drop("bot", act(2))
    await store.dismiss_unparsed(["webhook-0001"], act(3))
    plans = [
        row[3]
        for sql, values in list(asked.items())
        if sql.split()[0] in ("select", "update", "insert")
        for row in store._connection.execute("explain query plan " + sql, values)
    ]
    await store.close()
    assert [line for line in plans if line.startswith("SCAN") and "CONSTANT" not in line] == []
    for index in ("deliveries_dead", "deliveries_due"):
        assert any(index in line for line in plans), index
