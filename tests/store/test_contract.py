"""The promises of `relay.store.contract.Store`, held against every store. Time is passed, nothing sleeps.

What is promised of a `window` is in test_duplicates.py, of `purge` in test_retention.py.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from relay.model import Dead, Delivered, Retention, RetryAt, RoutedEvent, State, Webhook
from relay.signals import Committed, Signal
from relay.store.contract import Archive
from relay.store.records import Deaths, Filter, TargetStatus
from tests.store.conftest import (
    MINUTE,
    NOON,
    OK,
    REFUSED,
    TRACEPARENT,
    Reopen,
    act,
    claim,
    deliver,
    routed,
    to,
    webhook,
)


async def test_what_was_kept_can_be_shown(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, to("bot")), routed(2, to("bot"), to("dwh"))])
    shown = await store.show("webhook-0001")
    assert shown is not None
    assert shown.webhook == webhook()
    assert [event.id for event in shown.events] == ["event-0001", "event-0002"]
    assert shown.events[0].payload == routed(1).payload
    assert [d.target for d in shown.events[1].deliveries] == ["bot", "dwh"]
    assert shown.events[0].deliveries[0].routes == ("all",)


async def test_a_webhook_is_shown_by_the_id_of_its_event_or_the_start_of_it(store: Archive) -> None:
    await store.keep(webhook(1), [routed(1)])
    await store.keep(webhook(2), [routed(2)])
    shown = await store.show("event-0002")
    assert shown is not None and shown.webhook.id == "webhook-0002"
    assert await store.show("event-000") is None, "two events start like this"
    assert await store.show("nothing") is None


async def test_kept_twice_is_kept_once_and_claims_nothing(store: Archive) -> None:
    assert len(await store.keep(webhook(), [routed(1, to(lease=MINUTE))])) == 1
    assert await store.keep(webhook(), [routed(1, to(lease=MINUTE))]) == []
    assert await store.count(Filter()) == {"bot": 1}


async def test_an_unparsed_webhook_is_listed_until_it_is_kept_with_events(store: Archive) -> None:
    await store.keep(webhook(1, unparsed="not UTF-8"), [])
    await store.keep(webhook(2, unparsed="empty body"), [])
    assert [w.unparsed for w in await store.unparsed(limit=10)] == ["not UTF-8", "empty body"]
    assert [w.id for w in await store.unparsed(limit=1, after=(await store.unparsed(limit=1)).next)] == ["webhook-0002"]
    await store.keep(webhook(1), [routed(1, to())])
    assert [w.id for w in await store.unparsed(limit=10)] == ["webhook-0002"]
    assert [d.event_id for d in await claim(store)] == ["event-0001"]


async def test_the_status_knows_the_newest_webhook_and_how_many_are_unparsed(store: Archive) -> None:
    assert ((await store.status()).last_at, (await store.status()).unparsed) == (None, 0)
    await store.keep(webhook(1, unparsed="empty body"), [])
    await store.keep(replace(webhook(2), received_at=NOON + MINUTE), [])
    assert ((await store.status()).last_at, (await store.status()).unparsed) == (NOON + MINUTE, 1)


async def test_what_is_read_late_is_due_now_and_its_policy_begins_now(store: Archive) -> None:
    await store.keep(webhook(unparsed="not UTF-8"), [])
    later = NOON + timedelta(days=4)
    await store.keep(webhook(), [routed(1, to())], now=later)
    assert await claim(store, now=later - timedelta(milliseconds=1)) == []
    [delivery] = await claim(store, now=later)
    assert (delivery.pending_since, delivery.received_at) == (later, NOON)


async def test_a_webhook_with_events_never_becomes_unparsed(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, to())])
    await store.keep(webhook(unparsed="late"), [])
    assert await store.unparsed(limit=10) == []


async def test_born_claimed_means_attempt_1_is_ours_and_nobody_elses(store: Archive) -> None:
    [delivery] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    assert (delivery.attempt, delivery.policy_attempt, delivery.replay) == (1, 1, False)
    assert delivery.payload == routed(1).payload
    assert await claim(store, now=NOON + MINUTE - timedelta(milliseconds=1)) == []
    assert await deliver(store, delivery)


async def test_claims_go_to_one_and_come_longest_due_first(store: Archive) -> None:
    await store.keep(webhook(), [routed(n, to()) for n in range(1, 6)])
    first = await claim(store, limit=3)
    second = await claim(store, limit=3)
    assert [d.event_id[-1] for d in first + second] == ["1", "2", "3", "4", "5"]
    assert await claim(store) == []


async def test_what_is_not_due_is_not_claimed(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, to())])
    assert await claim(store, now=NOON - timedelta(milliseconds=1)) == []
    assert len(await claim(store)) == 1


async def test_a_claim_stays_within_its_bytes_but_gives_one(store: Archive) -> None:
    await store.keep(webhook(), [routed(n, to()) for n in range(1, 4)])
    size = len(routed(1).payload)
    several = await store.claim("bot", limit=10, max_bytes=size + 1, now=NOON, lease=MINUTE)
    one = await store.claim("bot", limit=10, max_bytes=1, now=NOON, lease=MINUTE)
    assert (len(several), len(one)) == (2, 1)


async def test_an_expired_lease_is_claimed_again_with_the_next_number(store: Archive) -> None:
    [late] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    [again] = await claim(store, now=NOON + MINUTE)
    assert (late.attempt, again.attempt) == (1, 2)


async def test_a_stale_owner_cannot_settle_first(store: Archive) -> None:
    [stale] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    [present] = await claim(store, now=NOON + MINUTE)
    assert not await store.settle(stale, REFUSED, Dead("stale"), now=NOON)
    assert await deliver(store, present)
    [record] = await store.find(Filter(), limit=1)
    assert (record.state, record.why) == (State.DELIVERED, "")


async def test_what_is_settled_stays_settled(store: Archive) -> None:
    [delivery] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    assert await deliver(store, delivery)
    assert not await store.settle(delivery, REFUSED, Dead("again"), now=NOON)
    assert (await store.find(Filter(), limit=1))[0].state == State.DELIVERED


async def test_a_retry_is_due_at_its_time_with_the_next_number(store: Archive) -> None:
    [delivery] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    due_at = NOON + timedelta(seconds=30)
    assert await store.settle(delivery, REFUSED, RetryAt(due_at), now=NOON)
    assert (await store.due(["bot", "dwh"])).at == {"bot": due_at}
    assert await claim(store, now=due_at - timedelta(milliseconds=1)) == []
    [again] = await claim(store, now=due_at)
    assert (again.attempt, again.policy_attempt) == (2, 2)


async def test_an_attempt_that_does_not_count_is_overlooked_by_the_policy_and_keeps_its_number(store: Archive) -> None:
    [delivery] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    assert await store.settle(delivery, REFUSED, RetryAt(NOON, counted=False), now=NOON)
    [again] = await claim(store)
    assert (again.attempt, again.policy_attempt) == (2, 1)
    assert await store.settle(again, REFUSED, RetryAt(NOON), now=NOON)
    [third] = await claim(store)
    assert (third.attempt, third.policy_attempt) == (3, 2)


async def test_every_attempt_is_remembered(store: Archive) -> None:
    [delivery] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    await store.settle(delivery, REFUSED, RetryAt(NOON), now=NOON)
    [again] = await claim(store)
    await deliver(store, again)
    shown = await store.show("event-0001")
    assert shown is not None
    [record] = shown.events[0].deliveries
    assert [(a.number, a.verdict, a.reason, a.status, a.detail) for a in record.attempts] == [
        (1, "retry", "5xx", 503, "busy"),
        (2, "delivered", "2xx", 200, ""),
    ]
    assert record.attempts[1].took == OK.took


async def test_released_is_due_at_once_and_its_attempt_was_none(store: Archive) -> None:
    [delivery] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    await store.release([delivery], now=NOON)
    [again] = await claim(store)
    assert again.attempt == 1
    await deliver(store, again)
    await store.release([again], now=NOON)
    assert await claim(store) == [], "what is settled is not given back"


async def test_a_release_that_is_repeated_leaves_the_next_claim_alone(store: Archive) -> None:
    [first] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    assert await store.release([first], now=NOON) == 1
    [second] = await claim(store)
    assert await store.release([first], now=NOON) == 0, "the answer to the first call may have been lost"
    assert await claim(store) == [], "it is still claimed"
    assert not await store.settle(first, REFUSED, Dead("stale"), now=NOON)
    assert await deliver(store, second)
    assert (first.attempt, second.attempt) == (1, 1)


async def test_no_claim_token_is_used_twice(opener: Reopen) -> None:
    tokens: list[int] = []
    for start in range(3):
        store = opener(NOON)
        kept = await asyncio.gather(
            *(store.keep(webhook(10 * start + n), [routed(10 * start + n, to(lease=MINUTE))]) for n in range(3))
        )
        tokens += [each.token for born in kept for each in born]
        tokens += [
            each.token
            for each in await store.keep(webhook(10 * start + 3), [routed(10 * start + 3, to(lease=MINUTE, key="k"))])
        ]
        await store.release([each for born in kept for each in born], now=NOON)
        tokens += [each.token for each in await claim(store, limit=2)]
        tokens += [each.token for each in await claim(store, limit=9, now=NOON + 2 * MINUTE)]
        await store.close()
    assert len(tokens) > 20
    assert len(set(tokens)) == len(tokens)
    assert 0 not in tokens


async def test_what_a_dead_owner_had_claimed_is_due_after_a_restart(opener: Reopen) -> None:
    store = opener(NOON)
    await store.keep(webhook(), [routed(1, to(lease=MINUTE)), routed(2, to())])
    await store.close()
    store = opener(NOON + timedelta(seconds=1))
    again = await claim(store, now=NOON + timedelta(seconds=1))
    await store.close()
    assert [(d.event_id, d.attempt) for d in again] == [("event-0002", 1), ("event-0001", 2)]


async def test_with_a_key_they_go_one_at_a_time_in_order_of_arrival(store: Archive) -> None:
    born = await store.keep(webhook(), [routed(n, to(lease=MINUTE, key="lead-7")) for n in (1, 2, 3)])
    assert [d.event_id for d in born] == ["event-0001"]
    assert await claim(store) == []
    await deliver(store, born[0])
    [second] = await claim(store)
    assert second.event_id == "event-0002"
    await store.settle(second, REFUSED, RetryAt(NOON + MINUTE), now=NOON)
    assert await claim(store) == [], "a failing head blocks those behind it"
    [second] = await claim(store, now=NOON + MINUTE)
    await store.settle(second, REFUSED, Dead("given up"), now=NOON)
    assert [d.event_id for d in await claim(store)] == ["event-0003"]


async def test_a_key_blocks_only_its_own_and_only_at_its_target(store: Archive) -> None:
    await store.keep(webhook(1), [routed(1, to(key="lead-7"), to("dwh", key="lead-7"))])
    await store.keep(webhook(2), [routed(2, to(key="lead-8"), to("dwh", key="lead-7"))])
    assert [d.event_id for d in await claim(store)] == ["event-0001", "event-0002"]
    assert [d.event_id for d in await claim(store, "dwh")] == ["event-0001"]


async def test_the_status_counts_by_target_also_claimed_ones(store: Archive) -> None:
    [dead] = await store.keep(webhook(1), [routed(1, to("dwh", lease=MINUTE))])
    await store.settle(dead, REFUSED, Dead("no"), now=NOON)
    await store.keep(webhook(2), [routed(2, to(lease=MINUTE), after=-MINUTE), routed(3, to())])
    assert (await store.status()).targets == {
        "bot": TargetStatus(pending=2, oldest_at=NOON - MINUTE),
        "dwh": TargetStatus(dead=1, deaths=Deaths(first_at=NOON, last_at=NOON, why="no")),
    }


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), {1, 2, 3}),
        (Filter(target="dwh"), {2}),
        (Filter(route="all"), {1, 2, 3}),
        (Filter(route="none"), set()),
        (Filter(event_ids=("event-0001", "event-0003")), {1, 3}),
        (Filter(states=(State.DELIVERED,)), {3}),
        (Filter(states=(State.PENDING, State.DEAD)), {1, 2}),
        (Filter(entity="leads", action="add"), {1, 2, 3}),
        (Filter(entity="contacts"), set()),
        (Filter(entity_id="8"), {2}),
        (Filter(pipeline_id="3"), {1, 2, 3}),
        (Filter(pipeline_id="4"), set()),
        (Filter(since=NOON + MINUTE), {2, 3}),
        (Filter(since=NOON + MINUTE, until=NOON + 2 * MINUTE), {2}),
    ],
)
async def test_a_filter_finds_what_fits_it_and_counts_the_same(store: Archive, wanted: Filter, found: set[int]) -> None:
    await store.keep(webhook(1), [routed(1, to())])
    await store.keep(webhook(2, after=MINUTE), [routed(2, to("dwh"), lead=8, after=MINUTE)])
    [last] = await store.keep(webhook(3, after=2 * MINUTE), [routed(3, to(lease=MINUTE), after=2 * MINUTE)])
    await deliver(store, last)
    assert {int(record.event_id[-1]) for record in await store.find(wanted, limit=10)} == found
    assert sum((await store.count(wanted)).values()) == len(found)


async def test_find_pages_from_the_newest(store: Archive) -> None:
    await store.keep(webhook(), [routed(n, to()) for n in range(1, 6)])
    first = await store.find(Filter(), limit=2)
    then = await store.find(Filter(), limit=2, before=first.next)
    assert [record.event_id[-1] for record in first + then] == ["5", "4", "3", "2"]


async def test_a_replay_starts_the_policy_anew_and_keeps_counting_attempts(store: Archive) -> None:
    [delivery] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    await store.settle(delivery, REFUSED, Dead("400"), now=NOON)
    later = NOON + timedelta(days=1)
    assert await store.replay(Filter(states=(State.DEAD,)), act(at=later)) == 1
    [again] = await claim(store, now=later)
    assert (again.attempt, again.policy_attempt, again.replay) == (2, 1, True)
    assert (again.pending_since, again.received_at) == (later, NOON)


async def test_a_replay_leaves_pending_deliveries_alone(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, to()), routed(2, to(lease=MINUTE))])
    assert await store.replay(Filter(), act()) == 0


async def test_a_replay_leaves_one_of_a_key_due_if_a_later_one_waits_for_its_next_attempt(store: Archive) -> None:
    [first] = await store.keep(webhook(), [routed(1, to(lease=MINUTE, key="k")), routed(2, to(lease=MINUTE, key="k"))])
    await store.settle(first, REFUSED, Dead("refused"), now=NOON)
    [second] = await claim(store)
    await store.settle(second, REFUSED, RetryAt(NOON + 60 * MINUTE), now=NOON)
    assert await store.replay(Filter(states=(State.DEAD, State.PENDING)), act(at=NOON + MINUTE)) == 2
    seen = []
    while found := await claim(store, now=NOON + MINUTE):
        [one] = found
        seen.append(one.event_id)
        await deliver(store, one, now=NOON + MINUTE)
    assert sorted(seen) == ["event-0001", "event-0002"]


async def test_replays_with_a_key_wait_for_each_other(store: Archive) -> None:
    born = await store.keep(webhook(), [routed(1, to(lease=MINUTE, key="k")), routed(2, to(lease=MINUTE, key="k"))])
    await store.settle(born[0], REFUSED, Dead("no"), now=NOON)
    [second] = await claim(store)
    await store.settle(second, REFUSED, Dead("no"), now=NOON)
    assert await store.replay(Filter(), act()) == 2
    [first] = await claim(store)
    assert first.event_id == "event-0001"
    await store.settle(first, OK, Delivered(), now=NOON)
    assert [d.event_id for d in await claim(store)] == ["event-0002"]


async def test_a_replayed_delivery_waits_behind_a_later_one_of_its_key_that_is_retried(store: Archive) -> None:
    [first] = await store.keep(webhook(), [routed(1, to(lease=MINUTE, key="k")), routed(2, to(lease=MINUTE, key="k"))])
    await store.settle(first, REFUSED, Dead("refused"), now=NOON)
    [second] = await claim(store)
    assert await store.replay(Filter(states=(State.DEAD,)), act()) == 1
    assert await store.settle(second, REFUSED, RetryAt(NOON + MINUTE), now=NOON)
    assert await claim(store) == []
    [again] = await claim(store, now=NOON + MINUTE)
    assert again.event_id == "event-0002"
    assert await deliver(store, again, now=NOON + MINUTE)
    assert [each.event_id for each in await claim(store, now=NOON + MINUTE)] == ["event-0001"]


async def test_the_clock_is_aware_utc_and_goes_on(store: Archive) -> None:
    seen = [store.clock() for _ in range(3)]
    assert seen == sorted(seen)
    assert {each.utcoffset() for each in seen} == {timedelta()}


async def test_an_owner_that_is_alone_has_the_whole_of_every_target(store: Archive) -> None:
    assert store.share("bot") == (1, 1)


async def test_a_probe_commits(store: Archive, signals: list[Signal]) -> None:
    signals.clear()
    await store.probe()
    assert [signal.writes for signal in signals if isinstance(signal, Committed)] == [1]


async def test_a_claimed_delivery_says_what_its_event_is_about(store: Archive) -> None:
    born = await store.keep(webhook(1), [routed(1, to(lease=MINUTE), to("dwh"))])
    together = await asyncio.gather(*(store.keep(webhook(n), [routed(n, to(lease=MINUTE))]) for n in (2, 3)))
    for delivery in (*born, *together[0], *together[1], *await claim(store, "dwh")):
        assert (delivery.entity, delivery.entity_id) == ("leads", "7")


@pytest.mark.parametrize("traceparent", ["", TRACEPARENT])
async def test_a_delivery_has_the_trace_of_its_webhook_whoever_claims_it(store: Archive, traceparent: str) -> None:
    one, two = replace(webhook(1), traceparent=traceparent), webhook(2)
    planned = to("bot", lease=MINUTE), to("dwh"), to("bot-2", lease=MINUTE, key="lead-7")
    at_insert = await store.keep(one, [routed(1, *planned)])
    await store.keep(two, [routed(2, to("dwh"))])
    assert {each.target: each.trace for each in at_insert} == {"bot": one.trace, "bot-2": one.trace}
    assert [each.trace for each in await claim(store, "dwh")] == [one.trace, two.trace]
    assert [each.trace for each in await claim(store, "bot", now=NOON + MINUTE)] == [one.trace]
    assert one.trace.startswith(traceparent[:35]) and one.trace.endswith("-00" if traceparent else "-01")
    shown = await store.show("webhook-0001")
    assert shown is not None and shown.webhook == one


async def test_a_limited_claim_takes_the_longest_due_of_those_that_wait_and_those_whose_lease_ended(
    store: Archive,
) -> None:
    """Event 1 was kept first and is due last; the leases of 3 and 4 end before it is."""
    await store.keep(webhook(1), [routed(1, to(), after=3 * MINUTE), routed(2, to(), after=MINUTE)])
    await store.keep(webhook(2), [routed(3, to(lease=2 * MINUTE)), routed(4, to(lease=MINUTE / 2))])
    claims = [await claim(store, limit=1, now=NOON + 3 * MINUTE) for _ in range(5)]
    assert [[each.event_id[-1] for each in some] for some in claims] == [["4"], ["2"], ["3"], ["1"], []]


async def test_nobody_else_gets_what_is_claimed_until_its_whole_lease_is_over(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, to())])
    assert len(await claim(store)) == 1
    assert await claim(store, now=NOON + MINUTE - timedelta(milliseconds=1)) == []
    assert len(await claim(store, now=NOON + MINUTE)) == 1


async def test_a_pause_does_not_prevent_a_claim(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, to())])
    await store.pause("bot", act(command="pause"))
    due = await store.due(["bot"])
    assert (due.at, due.paused) == ({"bot": NOON}, {"bot"})
    assert len(await claim(store)) == 1


async def test_the_attempt_of_a_stale_owner_is_recorded_all_the_same(store: Archive) -> None:
    [stale] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    [present] = await claim(store, now=NOON + MINUTE)
    assert not await store.settle(stale, REFUSED, RetryAt(NOON), now=NOON)
    assert await deliver(store, present)
    shown = await store.show("event-0001")
    assert shown is not None
    [record] = shown.events[0].deliveries
    assert [(each.number, each.verdict) for each in record.attempts] == [(1, "retry"), (2, "delivered")]


async def test_the_attempt_of_a_stale_owner_is_dropped_if_its_delivery_was_purged(store: Archive) -> None:
    [stale] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    [present] = await claim(store, now=NOON + MINUTE)
    assert await deliver(store, present)
    await store.purge(Retention(delivered=timedelta(0)), now=NOON + 2 * MINUTE)
    assert not await store.settle(stale, REFUSED, RetryAt(NOON), now=NOON + 2 * MINUTE)
    assert await store.show("event-0001") is None


async def test_a_release_says_how_many_it_gave_back(store: Archive) -> None:
    born = await store.keep(webhook(), [routed(n, to(lease=MINUTE)) for n in (1, 2, 3)])
    await deliver(store, born[0])
    assert await store.release(born, now=NOON) == 2
    assert await store.release([], now=NOON) == 0


async def test_what_is_due_is_the_earliest_of_those_that_nobody_has_claimed(store: Archive) -> None:
    await store.keep(webhook(1), [routed(1, to(lease=MINUTE))])
    await store.keep(webhook(2), [routed(2, to(), after=4 * MINUTE), routed(3, to(), after=3 * MINUTE)])
    assert (await store.due(["bot"])).at == {"bot": NOON + 3 * MINUTE}
    await claim(store, limit=9, now=NOON + 5 * MINUTE)
    assert (await store.due(["bot"])).at == {}


async def test_the_status_counts_dead_ones_beside_pending_ones(store: Archive) -> None:
    [dead] = await store.keep(webhook(1), [routed(1, to(lease=MINUTE))])
    await store.settle(dead, REFUSED, Dead("no"), now=NOON)
    await store.keep(webhook(2), [routed(2, to())])
    died = Deaths(first_at=NOON, last_at=NOON, why="no")
    assert (await store.status()).targets == {"bot": TargetStatus(pending=1, dead=1, deaths=died, oldest_at=NOON)}


async def test_a_close_commits_what_was_asked_for_before(opener: Reopen) -> None:
    store = opener(NOON)
    kept = [store.keep(webhook(n), [routed(n, to())]) for n in range(1, 4)]
    await store.close()
    assert [await each for each in kept] == [[], [], []]
    store = opener(NOON)
    assert await store.count(Filter()) == {"bot": 3}
    await store.close()


# ---- ids: UUIDs from the relay itself, any text from an earlier version or from somebody else

UUID = "0193a5f0-7c1e-7abc-8def-0123456789ab"
IDS = [
    UUID,
    UUID.upper(),
    UUID.replace("-", ""),
    f"{{{UUID}}}",
    UUID[:-1],
    f"{UUID}0",
    f"{UUID[:-1]}g",
    f" {UUID}",
    "7",
    "Лид-7",
    "x" * 300,
    "sixteen bytes id",
    "50%_of\\'it\"",
]


def named(id_: str, event_id: str) -> tuple[Webhook, list[RoutedEvent]]:
    """A webhook with one event, of these ids."""
    event = routed(1, to(lease=MINUTE))
    return replace(webhook(), id=id_), [replace(event, event=replace(event.event, id=event_id))]


@pytest.mark.parametrize("id_", IDS, ids=repr)
async def test_an_id_comes_back_as_it_was_given_whatever_it_looks_like(store: Archive, id_: str) -> None:
    [claimed] = await store.keep(*named(id_, id_))
    assert claimed.event_id == id_
    assert await store.keep(*named(id_, id_)) == [], "kept twice"
    await store.release([claimed], now=NOON)
    [claimed] = await claim(store)
    assert claimed.event_id == id_
    assert not claimed.corrupt
    assert await deliver(store, claimed)
    shown = await store.show(id_)
    assert shown is not None
    assert (shown.webhook.id, [each.id for each in shown.events]) == (id_, [id_])
    assert [each.event_id for each in await store.find(Filter(event_ids=(id_,)), limit=9)] == [id_]
    assert [each.id for each in await store.events(Filter(event_ids=(id_,)), limit=9)] == [id_]
    assert await store.replay(Filter(event_ids=(id_,)), act()) == 1


@pytest.mark.parametrize("id_", [UUID, UUID.upper(), "lead-a"], ids=repr)
async def test_ids_that_differ_in_case_are_two(store: Archive, id_: str) -> None:
    other = id_.swapcase()
    await store.keep(*named("webhook-1", id_))
    assert await store.show(other) is None
    assert await store.find(Filter(event_ids=(other,)), limit=9) == []
    await store.keep(*named("webhook-2", other))
    for given, webhook_id in ((id_, "webhook-1"), (other, "webhook-2")):
        shown = await store.show(given)
        assert shown is not None and shown.webhook.id == webhook_id
        assert [each.event_id for each in await store.find(Filter(event_ids=(given,)), limit=9)] == [given]


@pytest.mark.parametrize("length", range(1, len(UUID) + 1))
async def test_a_start_of_a_uuid_of_any_length_finds_it(store: Archive, length: int) -> None:
    other = "f" + UUID[1:]
    await store.keep(*named(UUID, other))
    assert await store.starting(UUID[:length], limit=9) == [UUID]
    assert await store.starting(other[:length], limit=9) == [UUID]
    shown = await store.show(UUID[:length])
    assert shown is not None and shown.webhook.id == UUID


@pytest.mark.parametrize("start", [UUID[:8].upper() + "A", UUID.replace("-", "")[:12], UUID[:9] + "-", UUID + "0"])
async def test_another_spelling_is_no_start_of_a_uuid(store: Archive, start: str) -> None:
    await store.keep(*named(UUID, "f" + UUID[1:]))
    assert await store.starting(start, limit=9) == []


async def test_of_unparsed_webhooks_only_the_starts_are_read(store: Archive) -> None:
    bodies = [b"\xff" * 3_000_000, b"", b"0123456789", b"0123456789a"]
    for number, body in enumerate(bodies, 1):
        await store.keep(replace(webhook(number, unparsed="odd"), body=body), [])
    found = await store.unparsed(limit=3, most=10)
    assert [(each.body, each.cut_from, each.size) for each in found] == [
        (b"\xff" * 10, 3_000_000, 3_000_000),
        (b"", 0, 0),
        (b"0123456789", 0, 10),
    ]
    [last] = await store.unparsed(limit=3, most=10, after=found.next)
    assert (last.body, last.size, last.corrupt) == (b"0123456789", 11, False)
    assert [each.size for each in await store.unparsed(limit=9, most=0)] == [3_000_000, 0, 10, 11]
    for most in (2**31 + 1, 10**20):
        assert await store.unparsed(limit=9, most=most) == await store.unparsed(limit=9)
    assert [each.body for each in await store.unparsed(limit=9)] == bodies


async def test_unparsed_webhooks_are_listed_by_arrival_under_any_ids(store: Archive) -> None:
    for id_ in (UUID, "0193a5f0-7c1e-7abd-8def-0123456789ab", "0193a5f0-7c1e-7abe", "zz"):
        await store.keep(replace(webhook(unparsed="odd"), id=id_), [])
    first = await store.unparsed(limit=2)
    assert [each.id for each in first] == [UUID, "0193a5f0-7c1e-7abd-8def-0123456789ab"]
    assert [each.id for each in await store.unparsed(limit=9, after=first.next)] == ["0193a5f0-7c1e-7abe", "zz"]
