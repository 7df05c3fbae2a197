"""What `Store.keep` promises of a `window`, held against every store."""

from dataclasses import replace
from datetime import timedelta

import pytest

from relay.amocrm.events import dump
from relay.model import Delivery, Event, RoutedEvent, Webhook
from relay.store.contract import Archive
from relay.store.records import Duplicate, Filter
from tests.store.conftest import MINUTE, NOON, Reopen, act, claim, routed, to, webhook

HOURS = timedelta(hours=1)
WINDOW = 3 * HOURS
MS = timedelta(milliseconds=1)


async def keep(
    store: Archive, number: int, *, after: timedelta = timedelta(), window: timedelta | None = WINDOW, **changes: object
) -> list[Delivery] | Duplicate:
    """A webhook with two events, all of them alike but for their numbers."""
    one = replace(webhook(number), received_at=NOON + after, **changes)
    return await store.keep(one, [routed(2 * number, to()), routed(2 * number + 1)], window=window)


FIRST = Duplicate(webhook="webhook-0001", events=2)


@pytest.mark.parametrize("after", [timedelta(), MS, 95 * MINUTE, WINDOW, -MINUTE], ids=str)
async def test_an_equal_body_within_the_window_is_the_first_webhook_again(store: Archive, after: timedelta) -> None:
    assert await keep(store, 1) == []
    assert await keep(store, 2, after=after) == FIRST
    assert await store.show("webhook-0002") is None
    assert [each.event_id for each in await claim(store)] == ["event-0002"]


async def test_an_equal_body_after_the_window_is_another_webhook(store: Archive) -> None:
    await keep(store, 1)
    assert await keep(store, 2, after=WINDOW + MS) == []


@pytest.mark.parametrize("reparsed", [False, True])
async def test_a_body_that_was_unparsed_is_the_same_once_it_can_be_read(store: Archive, reparsed: bool) -> None:
    one, events = move(1, "A", 600)
    assert await store.keep(replace(one, unparsed="no"), [], window=WINDOW) == []
    if reparsed:
        assert await store.reparse(one, events, act())
    again, its_events = move(2, "A", 600, MINUTE)
    first = Duplicate(webhook="webhook-0001", events=int(reparsed))
    assert await store.keep(again, its_events, window=WINDOW) == first
    assert await store.keep(replace(again, unparsed="no"), [], window=WINDOW) == first


async def test_the_window_does_not_slide(store: Archive) -> None:
    await keep(store, 1)
    assert await keep(store, 2, after=2 * HOURS) == FIRST
    assert await keep(store, 3, after=4 * HOURS) == []


async def test_another_body_or_another_source_is_another_webhook(store: Archive) -> None:
    await keep(store, 1)
    assert await keep(store, 2, body=b"leads[add][0][id]=8") == []
    assert await keep(store, 3, source="shop") == []
    assert await store.count(Filter()) == {"bot": 3}


async def test_an_equal_body_to_an_address_with_another_query_is_another_webhook(store: Archive) -> None:
    await keep(store, 1)
    assert await keep(store, 2, query="try=1") == []
    assert await keep(store, 3, query="try=2") == []
    assert await keep(store, 4, query="try=1") == Duplicate(webhook="webhook-0002", events=2)
    assert await keep(store, 5) == FIRST
    shown = await store.show("webhook-0003")
    assert shown is not None and (shown.webhook.query, shown.webhook.corrupt) == ("try=2", False)


async def test_of_two_queries_that_are_committed_together_both_are_kept(store: Archive) -> None:
    asked = [
        store.keep(replace(webhook(number), query=f"try={number % 2}"), [routed(number, to())], window=WINDOW)
        for number in (1, 2, 3)
    ]
    assert [await each for each in asked] == [[], [], Duplicate(webhook="webhook-0001", events=1)]


async def test_without_a_window_nothing_repeats(store: Archive) -> None:
    await keep(store, 1, window=None)
    assert await keep(store, 2, window=None) == []
    assert await keep(store, 3) == [], "those before were kept without one"
    assert await keep(store, 4, window=None) == []


async def test_the_same_id_again_is_no_duplicate_but_the_same_webhook(store: Archive) -> None:
    assert await keep(store, 1) == []
    assert await keep(store, 1) == []


async def test_of_two_that_are_committed_together_one_is_kept(store: Archive) -> None:
    first, second = (
        store.keep(replace(webhook(number), body=b"twin"), [routed(number, to(lease=MINUTE))], window=WINDOW)
        for number in (1, 2)
    )
    born = await first
    assert isinstance(born, list) and [each.event_id for each in born] == ["event-0001"]
    assert await second == Duplicate(webhook="webhook-0001", events=1)


async def test_a_restart_makes_no_difference(opener: Reopen) -> None:
    store = opener(NOON)
    await keep(store, 1)
    await store.close()
    store = opener(NOON + 95 * MINUTE)
    assert await keep(store, 2, after=95 * MINUTE) == FIRST
    await store.close()


async def test_an_unparsed_webhook_repeats_too(store: Archive) -> None:
    broken: Webhook = webhook(1, unparsed="not UTF-8")
    await store.keep(broken, [], window=WINDOW)
    assert await store.keep(replace(broken, id="webhook-0002"), [], window=WINDOW) == replace(FIRST, events=0)
    assert (await store.status()).unparsed == 1


# ---- bodies that carry times, which are whole seconds

SECOND = timedelta(seconds=1)


async def moved(
    store: Archive,
    number: int,
    body: str,
    at: int,
    *,
    after: timedelta = timedelta(),
    lead: int = 7,
    source: str = "crm",
    action: str = "status",
    window: timedelta | None = None,
) -> str:
    """A lead changed at the second `at`; `kept`, or the number of the webhook that it repeats."""
    asked = store.keep(*move(number, body, at, after, lead, source, action), window=window, dated=WINDOW)
    return said(await asked)


def move(
    number: int,
    body: str,
    at: int,
    after: timedelta = timedelta(),
    lead: int = 7,
    source: str = "crm",
    action: str = "status",
) -> tuple[Webhook, list[RoutedEvent]]:
    one = replace(webhook(number), body=body.encode(), received_at=NOON + after, source=source)
    event = Event(
        id=f"event-{number:04}",
        source=source,
        received_at=one.received_at,
        account={"id": 1},
        entity="leads",
        action=action,
        data={"id": lead, "last_modified": at},
    )
    return one, [RoutedEvent(event=event, payload=dump(event), planned=(to(),))]


def said(reply: list[Delivery] | Duplicate) -> str:
    return str(int(reply.webhook[-4:])) if isinstance(reply, Duplicate) else "kept"


async def test_a_b_and_a_within_a_second_are_three_and_so_on(store: Archive) -> None:
    there_and_back = [await moved(store, number, "BA"[number % 2], 600) for number in range(1, 8)]
    assert there_and_back == ["kept"] * 7
    assert await moved(store, 8, "B", 600, after=5 * MINUTE) == "kept", "A came after it"
    assert await moved(store, 9, "B", 600, after=10 * MINUTE) == "8", "nothing came after that"
    assert await store.count(Filter()) == {"bot": 8}


async def test_a_body_that_is_dated_later_does_not_make_the_old_one_new(store: Archive) -> None:
    assert await moved(store, 1, "A", 600) == "kept"
    assert await moved(store, 2, "B", 630, after=30 * SECOND) == "kept"
    assert await moved(store, 3, "update", 601, after=31 * SECOND, action="update") == "kept"
    assert await moved(store, 4, "A", 600, after=5 * MINUTE) == "1"


async def test_what_came_before_the_last_equal_one_makes_it_not_new(store: Archive) -> None:
    assert await moved(store, 1, "B", 600) == "kept"
    assert await moved(store, 2, "A", 600) == "kept"
    assert await moved(store, 3, "A", 600, after=5 * MINUTE) == "2"


async def test_another_lead_or_source_of_the_same_second_makes_no_difference(store: Archive) -> None:
    assert await moved(store, 1, "A", 600) == "kept"
    assert await moved(store, 2, "other lead", 600, lead=8) == "kept"
    assert await moved(store, 3, "other source", 600, source="shop") == "kept"
    assert await moved(store, 4, "A", 600, after=5 * MINUTE) == "1"


async def test_the_same_body_to_an_address_with_another_query_is_no_different_body(store: Archive) -> None:
    """An account that has two web hooks, which differ in the query alone, tells each of everything."""
    first, second = move(1, "A", 600), move(2, "A", 600)
    assert said(await store.keep(*first, dated=WINDOW)) == "kept"
    assert said(await store.keep(replace(second[0], query="to=2"), second[1], dated=WINDOW)) == "kept"
    assert await moved(store, 3, "A", 600, after=5 * MINUTE) == "1"


async def test_in_a_window_for_all_an_equal_one_is_a_duplicate_whatever_came_between(store: Archive) -> None:
    for number, body in enumerate("AB", 1):
        assert await moved(store, number, body, 600, window=MINUTE) == "kept"
    assert await moved(store, 3, "A", 600, after=SECOND, window=MINUTE) == "1"
    assert await moved(store, 4, "A", 600, after=2 * MINUTE, window=MINUTE) == "kept"


async def test_a_b_and_a_that_are_committed_together_are_three(store: Archive) -> None:
    asked = [store.keep(*move(number, body, 600), dated=WINDOW) for number, body in enumerate("ABAA", 1)]
    assert [said(await each) for each in asked] == ["kept", "kept", "kept", "3"]


async def test_one_that_is_asked_for_again_repeats_none_that_came_later(store: Archive) -> None:
    """Its first commit was taken for failed, and the others went through before it was repeated."""
    for number, body in enumerate("ABA", 1):
        assert await moved(store, number, body, 600) == "kept"
    assert await moved(store, 1, "A", 600) == "kept"
    assert await store.count(Filter()) == {"bot": 3}


async def test_what_a_disk_has_changed_is_no_different_body_and_no_error(store: Archive) -> None:
    assert await moved(store, 1, "A", 600) == "kept"
    one, [routed_] = move(2, "B", 600)
    await store.keep(one, [replace(routed_, payload=b"[1]")], dated=WINDOW)
    assert await moved(store, 3, "A", 600) == "1"


async def test_another_entity_of_the_same_id_and_second_makes_no_difference(store: Archive) -> None:
    assert await moved(store, 1, "A", 600) == "kept"
    one, [other] = move(2, "contact 7", 600)
    contact = replace(other.event, entity="contacts")
    await store.keep(one, [replace(other, event=contact, payload=dump(contact))], dated=WINDOW)
    assert await moved(store, 3, "A", 600, after=5 * MINUTE) == "1"


async def test_after_a_window_for_all_the_longer_one_of_dated_bodies_goes_on(store: Archive) -> None:
    assert await moved(store, 1, "A", 600, window=MINUTE) == "kept"
    assert await moved(store, 2, "A", 600, after=5 * MINUTE, window=MINUTE) == "1"
    assert await moved(store, 3, "A", 600, after=WINDOW + MS, window=MINUTE) == "kept"


ODD_TIMES = ["2026-11-22 10:53:00", "0", "007", "9" * 18, "9" * 19, "12" * 500, "nul \0", "\ud800", "-5", "٣", 1.5, {}]


@pytest.mark.parametrize("at", ODD_TIMES, ids=lambda at: ascii(at)[:20])
@pytest.mark.parametrize("together", [False, True])
async def test_whatever_stands_for_the_time_an_equal_body_is_recognised(
    store: Archive, at: object, together: bool
) -> None:
    def odd(number: int) -> tuple[Webhook, list[RoutedEvent]]:
        one, [event] = move(number, "A", 600)
        return one, [replace(event, event=replace(event.event, data={"id": 7, "last_modified": at}))]

    asked = []
    for number in (1, 2, 3):
        asked.append(store.keep(*odd(number), dated=WINDOW))
        if not together:
            await asked[-1]
    assert [said(await each) for each in asked] == ["kept", "1", "1"]
