"""What `Store.keep` promises of a `window`, held against every store."""

from dataclasses import replace
from datetime import timedelta

import pytest

from relay.model import Delivery, Webhook
from relay.store.contract import Archive, Duplicate, Filter
from tests.store.conftest import MINUTE, NOON, Reopen, claim, routed, to, webhook

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
    assert shown is not None and (shown.webhook.query, shown.webhook.damaged) == ("try=2", False)


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
