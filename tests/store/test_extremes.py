"""What bodies may bring: texts that no database likes, ids of any length, thousands of events, many keys at once."""

import asyncio
import random
from dataclasses import replace

import pytest

from relay.model import Dead, Delivered, Delivery, RetryAt, State, Verdict
from relay.store.contract import Archive
from relay.store.records import Filter, Page
from tests.store.conftest import MINUTE, NOON, OK, claim, deliver, routed, to, webhook

ODD = ["nul \0 in it", "lone \ud800 surrogate", "\udfff\0", "\U0001f600 fine"]


def kept(text: str, given: str) -> bool:
    """As it was given, or with U+FFFD for what the store cannot hold."""
    possible = {"\0": {"\0", "\ufffd"}, **{each: {"\ufffd"} for each in given if "\ud800" <= each <= "\udfff"}}
    return len(text) == len(given) and all(a in possible.get(b, {b}) for a, b in zip(text, given, strict=True))


@pytest.mark.parametrize("text", ODD)
async def test_a_text_that_a_database_refuses_costs_no_webhook(store: Archive, text: str) -> None:
    odd = replace(routed(1, to(lease=MINUTE)).event, entity=text, action=text, data={"id": text})
    event = replace(routed(1, to(lease=MINUTE)), event=odd)
    one = replace(webhook(1), content_type=text, request_id=text, query=text, signature=text)
    born = await store.keep(one, [event], window=MINUTE)
    assert len(born) == 1
    await deliver(store, born[0])
    shown = await store.show("webhook-0001")
    assert shown is not None
    for each in (shown.webhook.content_type, shown.webhook.request_id, shown.webhook.query, shown.webhook.signature):
        assert kept(each, text)
    [record] = shown.events[0].deliveries
    assert kept(record.entity, text) and kept(record.action, text) and kept(record.entity_id, text)
    assert [each.event_id for each in await store.find(Filter(entity_id=text), limit=5)] == ["event-0001"]
    assert await store.count(Filter(entity=text, action=text)) == {"bot": 1}


@pytest.mark.parametrize("text", ODD)
async def test_a_text_that_a_database_refuses_costs_no_unparsed_webhook_and_no_attempt(
    store: Archive, text: str
) -> None:
    await store.keep(webhook(1, unparsed=text), [])
    [unparsed] = await store.unparsed(limit=5)
    assert kept(unparsed.unparsed or "", text)
    [delivery] = await store.keep(webhook(2), [routed(2, to(lease=MINUTE))])
    assert await store.settle(delivery, replace(OK, detail=text), Dead(text), now=NOON)
    shown = await store.show("event-0002")
    assert shown is not None
    [record] = shown.events[0].deliveries
    assert kept(record.why, text) and kept(record.attempts[0].detail, text)


async def test_an_entity_id_of_5_kb_is_kept_found_and_ordered(store: Archive) -> None:
    long = "7" * 5_000
    key = f"leads/{long}"
    await store.keep(webhook(1), [routed(1, to(key=key), lead=long), routed(2, to(key=f"{key}8"), lead=f"{long}8")])
    await store.keep(webhook(2), [routed(3, to(key=key), lead=long)])
    assert [each.event_id for each in await claim(store)] == ["event-0001", "event-0002"], "the third waits"
    assert [each.event_id for each in await store.find(Filter(entity_id=long), limit=5)] == ["event-0003", "event-0001"]


@pytest.mark.timeout(180)
async def test_a_webhook_may_bring_20_000_keys(store: Archive) -> None:
    many = 20_000
    assert await store.keep(webhook(1), [routed(n, to(key=f"leads/{n}"), lead=n) for n in range(many)]) == []
    assert await store.count(Filter()) == {"bot": many}
    await store.keep(webhook(2), [routed(many, to(key="leads/7"))])
    claimed = await store.claim("bot", limit=2 * many, max_bytes=1 << 30, now=NOON, lease=MINUTE)
    assert len(claimed) == many, "each key has its oldest one due"
    [seventh] = [each for each in claimed if each.event_id == "event-0007"]
    await deliver(store, seventh)
    assert [each.event_id for each in await claim(store)] == [f"event-{many}"]


@pytest.mark.parametrize("seed", range(8))
async def test_of_a_key_only_the_oldest_pending_one_is_ever_due_whoever_inserts_at_once(
    store: Archive, seed: int
) -> None:
    chance = random.Random(seed)
    number, pending = 0, dict[str, int]()
    order: dict[str, list[int]] = {f"leads/{n}": [] for n in range(3)}
    inserts: list[object] = []
    for _turn in range(30):
        for _ in range(chance.randrange(4)):
            key = chance.choice(list(order))
            order[key].append(number)
            lease = chance.choice([None, 60 * MINUTE])
            inserts.append(store.keep(webhook(number), [routed(number, to(key=key, lease=lease), lead=number)]))
            number += 1
        claims = [claim(store, limit=chance.randrange(1, 4)) for _ in range(2)]
        results = await asyncio.gather(*inserts, *claims)
        inserts = []
        for delivery in (each for result in results for each in result):
            at = int(delivery.event_id.removeprefix("event-"))
            [key] = [key for key, numbers in order.items() if at in numbers]
            assert key not in pending, "two of one key are claimed"
            assert order[key][0] == at, "one was overtaken"
            pending[key] = at
            verdict = chance.choice([Delivered(), Dead("no"), RetryAt(NOON)])
            inserts.append(settled(store, delivery, verdict))
            pending.pop(key)
            if not isinstance(verdict, RetryAt):
                order[key].remove(at)
    await asyncio.gather(*inserts)
    left = sorted(number for numbers in order.values() for number in numbers)
    found = await store.find(Filter(states=(State.PENDING,)), limit=1_000)
    assert sorted(int(each.event_id.removeprefix("event-")) for each in found) == left


async def settled(store: Archive, delivery: Delivery, verdict: Verdict) -> list[Delivery]:
    assert await store.settle(delivery, OK, verdict, now=NOON)
    return []


async def test_an_entity_is_looked_up_by_one_verb_also_what_was_kept_just_now(store: Archive) -> None:
    for number in range(1, 6):
        await store.keep(webhook(number), [routed(number, to(), lead=number % 2)])
    page: Page = await store.find(Filter(entity="leads", entity_id="1"), limit=2)
    rest = await store.find(Filter(entity="leads", entity_id="1"), limit=2, before=page.next)
    assert [each.event_id for each in (*page, *rest)] == ["event-0005", "event-0003", "event-0001"]
    await store.keep(webhook(7), [routed(7, to(), lead=1)])
    assert (await store.find(Filter(entity="leads", entity_id="1"), limit=1))[0].event_id == "event-0007"
    assert [each.id for each in await store.events(Filter(entity="leads", entity_id="1"), limit=9)] == [
        "event-0001",
        "event-0003",
        "event-0005",
        "event-0007",
    ]
