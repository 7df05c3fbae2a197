"""`keep_many` and `settle_many`: what is promised beside the promises of `keep` and `settle`.

Those are held by the whole suite, on `kind_sqlite_many`, and by test_together.py.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from relay.errors import StoreBusy
from relay.model import Dead, Delivered, Retention
from relay.signals import Committed, Signal
from relay.store import likeness
from relay.store.checksum import checksum
from relay.store.contract import Archive
from relay.store.postgres import ingest_rows
from relay.store.records import Duplicate, Filter
from relay.store.requests import KeepRequest, Settlement, Windows
from relay.store.sqlite import ingest
from tests.store.conftest import MINUTE, NOON, OK, Kind, claim, routed, to, webhook
from tests.store.kind_sqlite_many import replies_of
from tests.store.test_duplicates import move


def ask(number: int, *, lead: int = 7, windows: Windows = Windows(), **how: Any) -> KeepRequest:  # noqa: B008  it is a value
    body = b"leads[add][0][id]=%d" % lead
    return KeepRequest(replace(webhook(number), body=body), [routed(number, to(lease=MINUTE, **how))], None, windows)


async def keep(store: Archive, *requests: KeepRequest) -> list[Any]:
    return await asyncio.gather(*replies_of(store.keep_many, requests), return_exceptions=True)


async def settle(store: Archive, *made: Settlement) -> list[Any]:
    return await asyncio.gather(*replies_of(store.settle_many, made), return_exceptions=True)


async def test_what_is_kept_together_is_one_commit_in_its_order(store: Archive, signals: list[Signal]) -> None:
    before = len([each for each in signals if isinstance(each, Committed)])
    claimed = await keep(store, *(ask(number) for number in (3, 1, 2)))
    assert [[each.event_id for each in its] for its in claimed] == [["event-0003"], ["event-0001"], ["event-0002"]]
    assert [each.writes for each in signals if isinstance(each, Committed)][before:] == [3]
    assert [each.id for each in await store.events(Filter(), limit=9)] == ["event-0003", "event-0001", "event-0002"]


async def test_one_id_twice_in_one_batch_is_kept_once_and_claims_nothing_again(store: Archive) -> None:
    [first, second, other] = await keep(store, ask(1), ask(1), ask(2))
    assert ([each.event_id for each in first], second, [each.event_id for each in other]) == (
        ["event-0001"],
        [],
        ["event-0002"],
    )
    assert await store.count(Filter()) == {"bot": 2}


async def test_equal_webhooks_of_one_batch_are_duplicates_within_their_window(store: Archive) -> None:
    replies = await keep(store, *(ask(number, windows=Windows(MINUTE)) for number in (1, 2, 3)), ask(4))
    assert replies[1:3] == [Duplicate(webhook="webhook-0001", events=1)] * 2
    assert [each.event_id for each in (*replies[0], *replies[3])] == ["event-0001", "event-0004"]


async def test_a_body_that_is_unparsed_and_then_read_in_one_batch_is_a_duplicate(store: Archive) -> None:
    (one, _events), (again, events) = move(1, "A", 600), move(2, "A", 600)
    raw = KeepRequest(replace(one, unparsed="no"), [], None, Windows(MINUTE))
    replies = await keep(store, raw, KeepRequest(again, events, None, Windows(MINUTE)))
    assert replies == [[], Duplicate(webhook="webhook-0001", events=0)]


async def test_of_one_key_only_the_oldest_of_a_batch_is_claimed(store: Archive) -> None:
    replies = await keep(store, *(ask(number, key="lead-7") for number in (1, 2)), ask(3, key="lead-8"))
    assert [[each.event_id for each in its] for its in replies] == [["event-0001"], [], ["event-0003"]]


@pytest.mark.parametrize("at_insert", [True, False])
async def test_a_batch_with_and_without_keys_makes_the_next_of_each_key_due(store: Archive, at_insert: bool) -> None:
    keys = {1: None, 2: "lead-7", 3: "lead-7", 4: None}
    lease = MINUTE if at_insert else None
    asked = [ask(n)._replace(routed=[routed(n, to(key=key, lease=lease))]) for n, key in keys.items()]
    kept = [each for its in await keep(store, *asked) for each in its]
    held = kept if at_insert else await claim(store)
    assert [each.event_id for each in held] == ["event-0001", "event-0002", "event-0004"]
    assert await settle(store, *(Settlement(each, OK, Delivered(), NOON) for each in held)) == [True, True, True]
    assert [each.event_id for each in await claim(store)] == ["event-0003"]


async def test_a_fault_over_one_is_not_the_others(store: Archive) -> None:
    bad = ask(2)._replace(routed=[routed(2, to(lease=MINUTE), to())])  # one event, twice to one target
    first, fault, third = await keep(store, ask(1), bad, ask(3))
    assert [each.event_id for each in (*first, *third)] == ["event-0001", "event-0003"]
    assert isinstance(fault, Exception)
    assert await store.show("webhook-0002") is None
    assert len(await claim(store, now=NOON + MINUTE)) == 2, "what they claim is theirs all the same"


async def test_after_a_lost_answer_a_batch_may_be_repeated(
    store: Archive, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind.lose_answer(store, monkeypatch)
    asked = [ask(number) for number in (1, 2)]
    assert {type(each) for each in await keep(store, *asked)} == {StoreBusy}
    first, second, third = await keep(store, *asked, ask(3))
    assert (first, second, [each.event_id for each in third]) == ([], [], ["event-0003"])
    assert [each.attempt for each in await claim(store)] == [1, 1], "claimed for nobody, so they are due"


async def test_a_batch_settles_each_by_its_own_token(store: Archive) -> None:
    claimed = [each for its in await keep(store, *(ask(number) for number in (1, 2, 3))) for each in its]
    stale = replace(claimed[1], token=claimed[1].token + 1_000_000)
    made = [
        Settlement(claimed[0], OK, Delivered(), NOON),
        Settlement(stale, OK, Delivered(), NOON),
        Settlement(claimed[2], OK, Dead("no"), NOON),
        Settlement(claimed[0], OK, Dead("no"), NOON),
    ]
    assert await settle(store, *made) == [True, False, True, False]
    states = {each.event_id: each.state for each in await store.find(Filter(), limit=9)}
    assert states == {"event-0001": "delivered", "event-0002": "pending", "event-0003": "dead"}


async def test_an_attempt_whose_delivery_was_purged_is_no_fault_of_its_batch(
    store: Archive, signals: list[Signal]
) -> None:
    [[stale], [other]] = await keep(store, ask(1), ask(2))
    [present] = await claim(store, now=NOON + MINUTE, limit=1)
    assert await settle(store, Settlement(present, OK, Delivered(), NOON)) == [True]
    await store.purge(Retention(delivered=timedelta(0)), now=NOON + MINUTE)
    signals.clear()
    made = [Settlement(each, OK, Delivered(), NOON) for each in (stale, other)]
    assert await settle(store, *made) == [False, True]
    assert [each.writes for each in signals if isinstance(each, Committed)] == [2]
    shown = await store.show("event-0002")
    assert shown and [each.number for each in shown.events[0].deliveries[0].attempts] == [1]


async def test_replies_come_once_after_the_call_has_returned(store: Archive) -> None:
    replies: list[Any] = []
    store.keep_many([ask(1), ask(2)], replies.append)
    store.settle_many([], replies.append)
    assert not replies
    async with asyncio.timeout(30):
        while len(replies) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    await store.probe()
    assert sorted(len(each) for each in replies) == [0, 2]


async def test_a_caller_that_fails_over_its_replies_holds_up_no_other(store: Archive) -> None:
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, fault: faults.append(fault["exception"]))

    def fail(_replies: object) -> None:
        raise ZeroDivisionError

    store.keep_many([ask(1)], fail)
    assert len(await keep(store, ask(2))) == 1
    assert [type(each) for each in faults] == [ZeroDivisionError]


@pytest.mark.parametrize("numbers", [(1,), (1, 2, 3)])
async def test_each_body_is_hashed_once(
    numbers: tuple[int, ...], store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[bytes] = []

    def noting(content: bytes, id_: bytes = b"") -> bytes:
        hashed.append(content)
        return checksum(content, id_)

    for module in (likeness, ingest, ingest_rows):
        monkeypatch.setattr(module, "checksum", noting)
    asked = [ask(number, lead=number, windows=Windows(MINUTE)) for number in numbers]
    assert [len(claimed) for claimed in await keep(store, *asked)] == [1] * len(numbers)
    assert sorted(each for each in hashed if b"leads" in each) == [each.webhook.body for each in asked]
