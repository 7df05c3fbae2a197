"""Raw deliveries: an unparsed webhook that goes to targets as it came hangs on an event row of its own kind."""

from dataclasses import replace
from datetime import timedelta

import pytest

from relay.model import Dead, Delivered, Delivery, Event, PlannedDelivery, Retention, RetryAt, RoutedEvent, State
from relay.store.contract import Archive
from relay.store.records import Duplicate, Filter
from tests.store.conftest import MINUTE, NOON, OK, REFUSED, act, claim, deliver, routed, to, webhook

DAY = timedelta(days=1)
KEEP = Retention(delivered=None, dead=None, unrouted=None, unparsed=None)
SIGNED = replace(
    webhook(1, unparsed="no events"), body=b'{"token":"t"}', content_type="x/y", query="a=1", signature="0af1"
)


def raw(number: int, *planned: PlannedDelivery) -> RoutedEvent:
    event = Event(id=f"event-{number:04}", source="crm", received_at=NOON, account={}, entity="", action="", data={})
    return RoutedEvent(event=event, payload=b"", planned=planned)


async def keep(store: Archive, number: int, *planned: PlannedDelivery) -> list[Delivery]:
    return await store.keep(webhook(number, unparsed="no events"), [raw(number, *planned)])


async def reparse(store: Archive, number: int, *events: RoutedEvent) -> None:
    await store.keep(webhook(number), events or [routed(100 + number, to())], now=NOON + MINUTE)


async def test_it_is_claimed_attempted_and_settled_like_any_other(store: Archive) -> None:
    [born] = await store.keep(SIGNED, [raw(1, to(lease=MINUTE))])
    assert (born.raw, born.payload, born.event_id, born.attempt) == (True, b"", "event-0001", 1)
    await store.settle(born, REFUSED, RetryAt(NOON), now=NOON)
    [again] = await claim(store)
    assert (again.raw, again.corrupt, again.attempt) == (True, False, 2)
    assert await deliver(store, again)


async def test_all_that_came_with_the_webhook_is_there_when_it_is_sent(store: Archive) -> None:
    await store.keep(SIGNED, [raw(1, to())])
    shown = await store.show("event-0001")
    assert shown is not None and shown.webhook == SIGNED
    assert shown.events == () and shown.raw is not None
    assert [(each.target, each.state) for each in shown.raw.deliveries] == [("bot", State.PENDING)]


async def test_it_is_listed_and_counted_as_a_delivery_and_is_no_event(store: Archive) -> None:
    await keep(store, 1, to())
    await store.keep(webhook(2), [routed(2, to())])
    listed = await store.find(Filter(), limit=10)
    assert [(each.type, each.raw, each.entity_id) for each in listed] == [
        ("leads.add", False, "7"),
        ("unparsed", True, ""),
    ]
    assert await store.count(Filter()) == {"bot": 2}
    assert await store.count(Filter(entity="leads")) == {"bot": 1}
    assert [each.id for each in await store.events(Filter(), limit=10)] == ["event-0002"]
    assert await store.events(Filter(), limit=10, unrouted=True) == []
    assert (await store.status()).unparsed == 1


async def test_those_of_one_key_go_one_at_a_time(store: Archive) -> None:
    for number in (1, 2):
        await keep(store, number, to(key="unparsed/crm"))
    [first] = await claim(store)
    assert await claim(store) == []
    await deliver(store, first)
    assert [each.event_id for each in await claim(store)] == ["event-0002"]


async def test_an_equal_one_within_the_window_repeats_a_webhook_without_events(store: Archive) -> None:
    await store.keep(SIGNED, [raw(1, to())], window=MINUTE)
    again = await store.keep(replace(SIGNED, id="webhook-0002"), [raw(2, to())], window=MINUTE)
    assert again == Duplicate(webhook="webhook-0001", events=0)


# ---- once it can be read


async def test_what_is_pending_raw_when_the_webhook_is_read_is_dead_as_reparsed(store: Archive) -> None:
    await store.keep(webhook(1, unparsed="no events"), [raw(1, to("bot"), to("dwh"), to("erp"))])
    [bot] = await claim(store, "bot")
    await deliver(store, bot)
    [dwh] = await claim(store, "dwh")
    await reparse(store, 1)
    shown = await store.show("webhook-0001")
    assert shown is not None and shown.raw is not None and shown.webhook.unparsed is None
    assert [(each.target, each.state, each.why, each.due_at) for each in shown.raw.deliveries] == [
        ("bot", State.DELIVERED, "", None),
        ("dwh", State.DEAD, "reparsed", None),
        ("erp", State.DEAD, "reparsed", None),
    ]
    assert shown.raw.deliveries[1].settled_at == NOON + MINUTE
    assert not await store.settle(dwh, REFUSED, RetryAt(NOON), now=NOON), "an attempt that ends later changes nothing"
    assert await claim(store, "erp", now=NOON + DAY) == []
    assert [each.id for each in shown.events] == ["event-0101"], "the events that were made"
    assert [each.event_id for each in await claim(store, now=NOON + MINUTE)] == ["event-0101"]


async def test_what_was_dead_raw_before_is_reparsed_too_and_none_of_it_is_counted_as_dead(store: Archive) -> None:
    await store.keep(webhook(1, unparsed="no events"), [raw(1, to("bot"), to("dwh"))])
    await keep(store, 2, to("bot"))
    for each in await claim(store, "bot"):
        await store.settle(each, REFUSED, Dead("answered 400"), now=NOON)
    assert (await store.status()).targets["bot"].dead == 2
    await reparse(store, 1, routed(101))
    assert {name: each.dead for name, each in (await store.status()).targets.items()} == {"bot": 1}
    dead = await store.find(Filter(states=(State.DEAD,)), limit=9)
    assert [(each.event_id, each.target, each.why) for each in dead] == [
        ("event-0002", "bot", "answered 400"),
        ("event-0001", "bot", "reparsed"),
        ("event-0001", "dwh", "reparsed"),
    ]


async def test_the_next_of_its_key_goes_on(store: Archive) -> None:
    for number in (1, 2):
        await keep(store, number, to(key="unparsed/crm"))
    await reparse(store, 1, routed(101))
    assert [each.event_id for each in await claim(store, now=NOON + MINUTE)] == ["event-0002"]


async def test_it_is_not_replayed_then_for_its_events_have_taken_its_place(store: Archive) -> None:
    await store.keep(webhook(1, unparsed="no events"), [raw(1, to("bot"), to("dwh"))])
    [delivery] = await claim(store, "dwh")
    await deliver(store, delivery)
    await keep(store, 2, to())
    [other] = await claim(store, limit=1, now=NOON)
    await store.settle(other, REFUSED, Dead("no"), now=NOON)
    [other] = await claim(store)
    await store.settle(other, REFUSED, Dead("no"), now=NOON)
    over = Filter(states=(State.DEAD, State.DELIVERED))
    assert await store.count(over, replayable=True) == {"bot": 2, "dwh": 1}
    await reparse(store, 1, routed(101))
    assert await store.count(over) == {"bot": 2, "dwh": 1}
    assert await store.count(over, replayable=True) == {"bot": 1}
    assert await store.replay(over, act()) == 1
    [again] = await claim(store, now=NOON)
    assert (again.event_id, again.raw, again.replay) == ("event-0002", True, True)


# ---- how long it is kept


@pytest.mark.parametrize(
    ("state", "retention", "goes"),
    [
        (State.PENDING, replace(KEEP, unparsed=DAY, delivered=DAY, dead=DAY), False),
        (State.DELIVERED, replace(KEEP, unparsed=DAY), False),
        (State.DELIVERED, replace(KEEP, delivered=DAY), False),
        (State.DELIVERED, replace(KEEP, unparsed=DAY, delivered=DAY), True),
        (State.DEAD, replace(KEEP, unparsed=DAY, delivered=DAY), False),
        (State.DEAD, replace(KEEP, unparsed=DAY, dead=DAY), True),
    ],
)
async def test_it_goes_once_both_the_webhook_and_each_delivery_may(
    store: Archive, state: State, retention: Retention, goes: bool
) -> None:
    await keep(store, 1, to())
    [delivery] = await claim(store)
    if state is not State.PENDING:
        verdict = Delivered() if state is State.DELIVERED else Dead("no")
        await store.settle(delivery, OK, verdict, now=NOON)
    assert await store.purge(retention, now=NOON + 2 * DAY) == ({"unparsed": 1} if goes else {})
    assert (await store.show("webhook-0001") is None) == goes
