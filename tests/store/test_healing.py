"""What `heal_contract` promises, and what `keep` does with hooks: on every kind of store."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from relay.errors import StoreBusy, StoreFailed
from relay.model import PlannedDelivery, Retention
from relay.model.heal import APPROVED, HORIZON, Exactness, HealRecord, HealRequest, HealState, Hook, Span
from relay.store.contract import Archive
from relay.store.postgres import healing as postgres_healing
from relay.store.records import Filter
from relay.store.requests import KeepRequest
from relay.store.sqlite import healing as sqlite_healing
from tests.store.conftest import MINUTE, NOON, Kind, Reopen, act, claim, deliver, routed, to, webhook
from tests.store.healing import LATE, SECOND, healed, healing_webhook, hook, record
from tests.store.kind_sqlite_many import replies_of


async def heal(store: Archive, number: int = 1, *planned: PlannedDelivery, **how: Any) -> HealRecord:
    [done] = await store.healing.record_heal(
        "crm", [healed(f"e{number}", number, **how)], healed=[healing_webhook(number, *planned)]
    )
    return done


async def keep(store: Archive, number: int, *hooks: Hook, planned: tuple[PlannedDelivery, ...] = ()) -> None:
    await store.keep(webhook(number), [routed(number, *(planned or (to(),)))], hooks=hooks)


async def sent(store: Archive) -> list[tuple[str, str]]:
    """The deliveries that there are: event and target."""
    return sorted((each.event_id, each.target) for each in await store.find(Filter(), limit=100))


async def states(store: Archive) -> dict[str, HealState]:
    return {each.event_id: each.state for each in await store.healing.heal_records("crm", since=NOON - HORIZON)}


# ---- records and marks


async def test_records_come_back_as_they_were_found(store: Archive) -> None:
    found = [
        record("e2", at=NOON + 2 * SECOND, before=[{"lead_status": {"id": 1}}], after=[{"x": "\ud800Ж"}])
        if n == 2
        else record(f"e{n}", at=NOON + n * SECOND)
        for n in (1, 2, 3)
    ]
    assert await store.healing.record_heal("crm", [found[2], found[0], found[1]]) == [found[2], found[0], found[1]]
    assert await store.healing.heal_records("crm", since=NOON) == found
    assert await store.healing.heal_records("crm", since=NOON + 2 * SECOND) == found[1:]
    assert await store.healing.heal_records("crm", since=NOON, states=[HealState.MATCHED]) == []
    assert await store.healing.heal_records("crm", since=NOON, states=[]) == []
    assert await store.healing.heal_records("other", since=NOON) == []


async def test_what_a_scan_reads_is_made_beside_the_event_loop(store: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day of a large account has tens of thousands of records, and webhooks have two seconds."""
    await store.healing.record_heal("crm", [record("e1")])
    await keep(store, 1, hook())
    threads = []

    def noted(make: Callable[[Any], Any], row: Any) -> Any:
        threads.append(threading.current_thread())
        return make(row)

    for stored in (sqlite_healing, postgres_healing):
        for name in ("record_of", "hook_of"):
            monkeypatch.setattr(stored, name, partial(noted, getattr(stored, name)))
    assert len(await store.healing.heal_records("crm", since=NOON)) == 1
    assert len(await store.healing.hooks("crm", since=NOON, until=NOON)) == 1
    assert len(threads) == 2
    assert threading.current_thread() not in threads


async def test_an_event_is_recorded_once_for_each_channel(store: Archive) -> None:
    both = [record(channel="account"), record(channel="dp:status:5:")]
    await store.healing.record_heal("crm", both)
    await store.healing.record_heal("crm", [replace(each, found_at=NOON + 9 * MINUTE) for each in both])
    assert await store.healing.heal_records("crm", since=NOON) == both, "found when it was seen first"


@pytest.mark.parametrize("state", [HealState.MATCHED, HealState.HEALED])
async def test_what_is_decided_is_not_taken_back(store: Archive, state: HealState) -> None:
    if state is HealState.HEALED:
        await heal(store)
    else:
        await store.healing.record_heal("crm", [record(state=HealState.MATCHED)])
    before = await store.healing.heal_records("crm", since=NOON)
    for again in (HealState.SEEN, HealState.WOULD_HEAL, HealState.WAITING, HealState.UNHEALABLE, HealState.MATCHED):
        assert await store.healing.record_heal("crm", [record(state=again)]) == before
    assert await store.healing.heal_records("crm", since=NOON) == before


async def test_what_was_only_counted_or_waits_may_be_healed(store: Archive) -> None:
    for state in (HealState.WOULD_HEAL, HealState.WAITING, HealState.UNHEALABLE):
        await store.healing.record_heal("crm", [record(state=state)])
        await store.healing.record_heal("crm", [record(state=HealState.SEEN)])
        assert await states(store) == {"e1": state}, "to be seen again says nothing new"
    assert (await heal(store)).state is HealState.HEALED


async def test_what_changed_is_kept_only_until_it_is_decided(store: Archive) -> None:
    changed = {"before": [{"a": 1}], "after": [{"a": 2}]}
    await store.healing.record_heal("crm", [record(**changed), record("e2", HealState.WAITING, **changed)])
    assert [each.before for each in await store.healing.heal_records("crm", since=NOON)] == [[{"a": 1}]] * 2
    await store.healing.record_heal(
        "crm", [record(state=HealState.MATCHED, **changed), record("e2", HealState.WOULD_HEAL, **changed)]
    )
    found = await store.healing.heal_records("crm", since=NOON)
    assert [(each.before, each.after) for each in found] == [(None, None)] * 2


async def test_a_mark_is_set_with_the_last_page_and_never_moves_back(store: Archive) -> None:
    assert await store.healing.heal_marks("crm") == {}
    await store.healing.record_heal("crm", [record()], marks={"core": NOON, "chat": NOON + MINUTE})
    await store.healing.record_heal("crm", [], marks={"core": NOON + MINUTE, "chat": NOON})
    assert await store.healing.heal_marks("crm") == {"core": NOON + MINUTE, "chat": NOON + MINUTE}
    assert await store.healing.heal_marks("other") == {}


async def test_what_cannot_be_recorded_sets_no_mark(store: Archive) -> None:
    with pytest.raises(ValueError, match="e1 is healed by webhook-0001, which is not given"):
        await store.healing.record_heal("crm", [record("e2"), healed()], marks={"core": NOON})
    assert (await states(store), await store.healing.heal_marks("crm")) == ({}, {})


# ---- hooks


async def test_hooks_are_found_by_the_span_that_they_can_tell_of(store: Archive) -> None:
    early, late = hook(at=NOON), hook("lead 8", NOON + 10 * MINUTE)._replace(arrived=NOON + 11 * MINUTE)
    await keep(store, 2, late)
    await keep(store, 1, early, hook("lead 7", NOON, channel="dp:status:5:try=1"))
    every = await store.healing.hooks("crm", since=NOON - 9 * MINUTE, until=NOON + 99 * MINUTE)
    assert [(each.webhook, each.hook.channel) for each in every] == [
        ("webhook-0001", "account"),
        ("webhook-0001", "dp:status:5:try=1"),
        ("webhook-0002", "account"),
    ]
    assert (every[0].hook, every[2].hook) == (early, late)
    edge = await store.healing.hooks("crm", since=NOON + MINUTE, until=NOON + 9 * MINUTE - SECOND)
    assert {each.webhook for each in edge} == {"webhook-0001"}, "the end of a span is part of it"
    assert not await store.healing.hooks("crm", since=NOON + 2 * MINUTE, until=NOON + 8 * MINUTE)
    assert not await store.healing.hooks("other", since=NOON, until=NOON + 99 * MINUTE)


async def test_hooks_are_found_by_channel_and_key(store: Archive) -> None:
    await keep(store, 1, hook("a"), hook("a", channel="dp:status:5:"), hook("b"))
    wide: dict[str, Any] = {"since": NOON - MINUTE, "until": NOON}
    found = await store.healing.hooks("crm", keys=[("account", "a"), ("dp:status:5:", "b")], **wide)
    assert [(each.hook.channel, each.hook.key) for each in found] == [("account", "a")]
    assert not await store.healing.hooks("crm", keys=[], **wide)


async def test_records_are_found_by_the_webhook_that_tells_of_them(store: Archive) -> None:
    keys = {"a": "leads.add:2", "b": "leads.add:10", "c": "leads.added:1", "d": "leads.ad:1", "e": "leads.add"}
    found = [record(event, key=key) for event, key in keys.items()]
    other = replace(record("f", key="leads.add:3"), channel="dp:add:1/2:")
    await store.healing.record_heal("crm", [*found, other])
    assert [each.event_id for each in await store.healing.records_of_webhook_type("crm", "leads.add")] == ["b", "a"]
    assert await store.healing.records_of_webhook_type("other", "leads.add") == []


async def test_the_requests_of_webhooks_are_known_by_their_ids(store: Archive) -> None:
    for number, request in ((1, "a"), (2, "a"), (3, "")):
        await store.keep(replace(webhook(number), request_id=request), [routed(number)])
    ids = [webhook(number).id for number in (1, 2, 3, 4)]
    assert await store.healing.request_ids(ids) == {ids[0]: "a", ids[1]: "a"}
    assert await store.healing.request_ids([]) == {}


async def test_a_repeat_that_tells_of_nothing_more_does_not_stop_a_heal(store: Archive) -> None:
    await keep(store, 1, hook())
    [stored] = await store.healing.hooks("crm", since=NOON, until=NOON)
    lost = [healed("e2", 2)]
    request = [healing_webhook(2)]
    [done] = await store.healing.record_heal("crm", lost, healed=request, repeats=[stored])
    assert done.state is HealState.HEALED
    [done] = await store.healing.record_heal("crm", [healed("e3", 3)], healed=[healing_webhook(3)])
    assert done.state is HealState.MATCHED


async def test_channels_are_listed_once(store: Archive) -> None:
    assert await store.healing.channels("crm") == []
    await keep(store, 1, hook("a"), hook("b", channel="dp:status:5:try=1"))
    await keep(store, 2, hook("c"), hook("b", channel="dp:call_in:5:"))
    assert await store.healing.channels("crm") == ["account", "dp:call_in:5:", "dp:status:5:try=1"]
    assert await store.healing.channels("other") == []


async def test_the_first_hook_is_that_of_the_oldest_webhook(store: Archive) -> None:
    assert await store.healing.first_hook("crm") is None
    for number, after in ((2, MINUTE), (1, timedelta())):
        await store.keep(replace(webhook(number), received_at=NOON + after), [routed(number)], hooks=[hook()])
    assert await store.healing.first_hook("crm") == NOON
    assert await store.healing.first_hook("other") is None


async def test_a_webhook_that_is_kept_twice_or_repeats_another_has_its_hooks_once(store: Archive) -> None:
    for _ in range(2):
        await keep(store, 1, hook())
    for number in (2, 3):
        await store.keep(replace(webhook(number), query="q"), [routed(number)], window=MINUTE, hooks=[hook()])
    found = await store.healing.hooks("crm", since=NOON, until=NOON)
    assert [each.webhook for each in found] == ["webhook-0001", "webhook-0002"]


# ---- matching


async def test_a_hook_is_spent_on_one_event(store: Archive) -> None:
    await keep(store, 1, hook())
    matched = {"webhook": "webhook-0001", "item": 0}
    done = await store.healing.record_heal(
        "crm", [record("e1", HealState.MATCHED, **matched), record("e2", HealState.MATCHED, **matched)]
    )
    assert [each.state for each in done] == [HealState.MATCHED, HealState.SEEN]
    assert done[1].webhook is None
    again = await store.healing.record_heal("crm", [record("e2", HealState.MATCHED, **matched)])
    assert [each.state for each in again] == [HealState.SEEN]
    [spent] = await store.healing.hooks("crm", since=NOON, until=NOON)
    assert spent.matched == "e1"


async def test_a_healed_event_is_a_webhook_with_events_and_deliveries_that_are_due(store: Archive) -> None:
    done = await heal(store, 1, to(lease=MINUTE))
    assert (done.state, done.webhook) == (HealState.HEALED, "webhook-0001")
    shown = await store.show("webhook-0001")
    assert shown
    assert (shown.webhook.kind, [each.id for each in shown.events]) == ("heal", ["event-0001"])
    [delivery] = await claim(store)
    assert delivery.event_id == "event-0001", "no lease was spent on it"
    await keep(store, 2)
    came = await store.show("webhook-0002")
    assert came
    assert came.webhook.kind == "webhook"


async def test_a_healed_event_keeps_its_place_among_those_of_its_key(store: Archive) -> None:
    await keep(store, 1, planned=(to(key="k"),))
    await heal(store, 2, to(key="k"))
    assert [each.event_id for each in await claim(store)] == ["event-0001"]


async def test_an_event_is_healed_once(store: Archive) -> None:
    await heal(store)
    [again] = await store.healing.record_heal("crm", [healed(number=2)], healed=[healing_webhook(2)])
    assert again.webhook == "webhook-0001"
    assert await sent(store) == [("event-0001", "bot")]


async def test_a_hook_that_was_kept_while_the_scan_thought_stops_the_heal(store: Archive) -> None:
    await keep(store, 1, hook())
    done = await heal(store, 2)
    assert (done.state, done.webhook, done.item) == (HealState.MATCHED, "webhook-0001", 0)
    assert await sent(store) == [("event-0001", "bot")]
    assert await store.show("webhook-0002") is None
    [spent] = await store.healing.hooks("crm", since=NOON, until=NOON)
    assert spent.matched == "e2"


@pytest.mark.parametrize(
    "other",
    [hook("lead 8"), hook(channel="dp:status:5:"), hook(at=NOON + 2 * MINUTE), hook(at=NOON - 2 * MINUTE)],
    ids=["another key", "another channel", "a later event", "an earlier event"],
)
async def test_a_hook_of_something_else_stops_no_heal_and_is_not_late(store: Archive, other: Hook) -> None:
    await keep(store, 1, other)
    assert (await heal(store, 2)).state is HealState.HEALED
    await keep(store, 3, other)
    assert await sent(store) == [(f"event-000{n}", "bot") for n in (1, 2, 3)]


async def test_of_two_events_that_are_alike_one_is_healed_if_one_hook_came(store: Archive) -> None:
    await keep(store, 1, hook())
    done = await store.healing.record_heal(
        "crm", [healed("e3", 3, at=NOON + SECOND), healed("e2", 2)], healed=[healing_webhook(2), healing_webhook(3)]
    )
    assert [(each.event_id, each.state) for each in done] == [("e3", HealState.HEALED), ("e2", HealState.MATCHED)]
    assert await sent(store) == [("event-0001", "bot"), ("event-0003", "bot")]


async def test_a_hook_that_matches_in_the_same_call_stops_no_other_heal(store: Archive) -> None:
    await keep(store, 1, hook())
    matched = record("e9", HealState.MATCHED, webhook="webhook-0001", at=NOON + SECOND)
    done = await store.healing.record_heal("crm", [healed("e2", 2), matched], healed=[healing_webhook(2)])
    assert [each.state for each in done] == [HealState.HEALED, HealState.MATCHED]


# ---- late hooks


async def test_a_late_hook_goes_to_those_alone_that_took_no_healed_event(store: Archive) -> None:
    await heal(store)
    await keep(store, 2, hook(), planned=LATE)
    assert await sent(store) == [("event-0001", "bot"), ("event-0002", "drops")]
    [late] = await store.healing.heal_records("crm", since=NOON)
    assert (late.state, late.webhook) == (HealState.LATE_HOOK, "webhook-0002")
    [spent] = await store.healing.hooks("crm", since=NOON, until=NOON)
    assert spent.matched == "e1"


async def test_what_came_late_is_not_unrouted(store: Archive) -> None:
    await heal(store)
    await store.keep(webhook(2), [routed(2), routed(3)], hooks=[hook(), hook("lead 8", item=1)])
    assert await sent(store) == [("event-0001", "bot")]
    assert [each.id for each in await store.events(Filter(), limit=9, unrouted=True)] == ["event-0003"]
    assert len(await store.events(Filter(), limit=9)) == 3


@pytest.mark.parametrize("missing", [False, True])
async def test_what_came_late_is_rerouted_to_those_alone_that_took_no_healed_event(
    store: Archive, missing: bool
) -> None:
    await heal(store)
    events = [routed(2, to()), routed(3, to())]
    await store.keep(webhook(2), events, hooks=[hook("lead 8"), hook(item=1)])
    assert await sent(store) == [("event-0001", "bot"), ("event-0002", "bot")]
    never = Retention(delivered=None, dead=None, unrouted=None, unparsed=None)
    await store.purge(never, now=NOON + 2 * HORIZON)  # however long ago it came
    assert set((await states(store)).values()) == {HealState.LATE_HOOK}
    new = [routed(number, to("new"), *LATE) for number in (2, 3)]
    assert await store.reroute(new, act(), missing=missing) == (3 if missing else 1)
    assert (await sent(store))[-1] == ("event-0003", "drops")
    assert [each for each in await sent(store) if each[0] == "event-0003"] == [("event-0003", "drops")]


async def test_what_came_late_is_known_as_long_as_its_webhook(store: Archive) -> None:
    await heal(store)
    await keep(store, 2, hook(), planned=LATE)
    for delivery in [*await claim(store), *await claim(store, "drops")]:
        await deliver(store, delivery)
    await store.purge(Retention(delivered=MINUTE, dead=MINUTE, unrouted=MINUTE, unparsed=None), now=NOON + 2 * HORIZON)
    assert await states(store) == {}


async def test_only_one_hook_is_late_for_an_event(store: Archive) -> None:
    await heal(store)
    for number in (2, 3):
        await keep(store, number, hook(), planned=LATE)
    assert await sent(store) == [
        ("event-0001", "bot"),
        ("event-0002", "drops"),
        ("event-0003", "bot"),
        ("event-0003", "drops"),
    ]


async def test_of_one_webhook_only_the_item_that_is_late_is_left_out(store: Archive) -> None:
    await heal(store)
    events = [routed(2, *LATE), routed(3, *LATE)]
    await store.keep(webhook(2), events, hooks=[hook("lead 8"), hook(item=1)])
    assert await sent(store) == [
        ("event-0001", "bot"),
        ("event-0002", "bot"),
        ("event-0002", "drops"),
        ("event-0003", "drops"),
    ]


async def test_late_hooks_among_webhooks_that_are_kept_at_once(store: Archive) -> None:
    await heal(store)
    requests = [
        KeepRequest(webhook(number), [routed(number, *LATE)], None, hooks=[hook(key)])
        for number, key in ((2, "lead 8"), (3, "lead 7"), (4, "lead 7"), (5, "lead 9"))
    ]
    await asyncio.gather(*replies_of(store.keep_many, requests))
    late = [event for event, target in await sent(store) if target == "bot"]
    assert late == ["event-0001", "event-0002", "event-0004", "event-0005"], "the first one of the two is late"
    assert len([event for event, target in await sent(store) if target == "drops"]) == 4
    found = await store.healing.hooks("crm", since=NOON, until=NOON)
    assert {each.webhook: each.matched for each in found} == {
        "webhook-0002": None,
        "webhook-0003": "e1",
        "webhook-0004": None,
        "webhook-0005": None,
    }


async def test_a_late_hook_with_a_lease_and_a_key(store: Archive) -> None:
    await heal(store, 1, to("drops", key="k"))
    late = (to("bot", lease=MINUTE, key="k"), replace(to("drops", lease=MINUTE, key="k"), if_late=True))
    claimed = await store.keep(webhook(2), [routed(2, *late)], hooks=[hook()])
    assert claimed == [], "one of its key is pending"
    [first] = await claim(store, "drops")
    assert first.event_id == "event-0001"


async def test_a_late_hook_is_claimed_at_insert(store: Archive) -> None:
    await heal(store)
    late = (to("bot", lease=MINUTE), replace(to("drops", lease=MINUTE), if_late=True))
    claimed = await store.keep(webhook(2), [routed(2, *late)], hooks=[hook()])
    assert [(each.event_id, each.target) for each in claimed if each] == [("event-0002", "drops")]


@pytest.mark.parametrize("state", [HealState.SEEN, HealState.WOULD_HEAL, HealState.WAITING, HealState.UNHEALABLE])
async def test_a_hook_of_what_was_not_sent_is_not_late(store: Archive, state: HealState) -> None:
    await store.healing.record_heal("crm", [record(state=state)])
    await keep(store, 2, hook())
    assert await sent(store) == [("event-0002", "bot")]
    matched = record(state=HealState.MATCHED, webhook="webhook-0002")
    [done] = await store.healing.record_heal("crm", [matched])
    assert done.state is HealState.MATCHED, "it simply matches"


async def test_an_unparsed_webhook_that_is_read_later_may_be_late(store: Archive) -> None:
    await store.keep(webhook(2, unparsed="no"), [])
    await store.keep(webhook(3, unparsed="no"), [])
    await heal(store)
    assert await store.reparse(webhook(2, unparsed="no"), [routed(2, *LATE)], act(), [hook()])
    await heal(store, 4, at=NOON + MINUTE)
    await keep(store, 3, hook(), planned=LATE)
    assert [each for each in await sent(store) if each[1] == "drops"] == [
        ("event-0002", "drops"),
        ("event-0003", "drops"),
    ]
    assert set((await states(store)).values()) == {HealState.LATE_HOOK}
    assert len(await store.healing.hooks("crm", since=NOON, until=NOON)) == 2


# ---- repeats


REPEATED: dict[str, Callable[[Archive], Awaitable[object]]] = {
    "record": lambda store: store.healing.record_heal("crm", [record()], marks={"core": NOON}),
    "heal": heal,
    "match": lambda store: store.healing.record_heal("crm", [record("e9", HealState.MATCHED, webhook="webhook-0009")]),
    "keep a late hook": lambda store: keep(store, 2, hook("late"), planned=LATE),
    "keep a hook": lambda store: keep(store, 2, hook("new"), planned=LATE),
    "reparse a late hook": lambda store: store.reparse(
        webhook(5, unparsed="no"), [routed(5, *LATE)], act(4), [hook("late")]
    ),
    "approve": lambda store: store.healing.approve("crm", act(command="heal approve")),
    "request": lambda store: store.healing.request_heal(request(), act(2, command="heal run")),
    "answer": lambda store: store.healing.answer_heal("act-0003", {"n": 1}),
    "beat": lambda store: store.healing.beat(NOON),
}


def request(id_: str = "act-0002", **how: Any) -> HealRequest:
    return HealRequest(id=id_, source="crm", since=NOON, dry_run=True, asked_at=NOON, **how)


async def everything(store: Archive) -> dict[str, Any]:
    return {
        "sent": await sent(store),
        "records": await store.healing.heal_records("crm", since=NOON - HORIZON),
        "hooks": await store.healing.hooks("crm", since=NOON - HORIZON, until=NOON + HORIZON),
        "marks": await store.healing.heal_marks("crm"),
        "asked": await store.healing.heal_requests(),
        "answered": await store.healing.heal_requests(answered=True),
        "counts": await store.healing.heal_counts(),
        "audit": await store.audit(limit=9),
        "outages": await store.healing.outages(NOON - HORIZON),
    }


@pytest.mark.parametrize("name", REPEATED)
async def test_a_verb_repeated_after_a_lost_answer_is_done_once(
    name: str, kind: Kind, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []
    for lost in (False, True):
        store = kind.open_store(tmp_path_factory.mktemp("store"), NOON)
        await heal(store, 8, key="late")
        await keep(store, 9, hook("waits"))
        await store.keep(webhook(5, unparsed="no"), [])
        await store.healing.record_heal("crm", [record("e7", HealState.WAITING, key="waits")])
        await store.healing.request_heal(request("act-0003"), act(3, command="heal run"))
        if lost:
            kind.lose_answer(store, monkeypatch)
            with pytest.raises(StoreBusy):
                await REPEATED[name](store)
        await REPEATED[name](store)
        ends.append(await everything(store))
        await store.close()
    assert ends[0] == ends[1]


@pytest.mark.parametrize("name", REPEATED)
async def test_a_closed_store_does_nothing(name: str, opener: Reopen) -> None:
    store = opener(NOON)
    await store.close()
    with pytest.raises(StoreFailed, match="closed"):
        async with asyncio.timeout(5):
            await REPEATED[name](store)


# ---- what operators ask and do


async def test_records_are_counted(store: Archive) -> None:
    await heal(store)
    await store.healing.record_heal(
        "crm", [record("e2", HealState.WOULD_HEAL, at=NOON), record("e3", HealState.WOULD_HEAL, at=NOON + SECOND)]
    )
    counts = await store.healing.heal_counts()
    assert [(each.state, each.number, each.newest_at, each.exactness, each.reason) for each in counts] == [
        (HealState.HEALED, 1, NOON, Exactness.EXACT, "outage"),
        (HealState.WOULD_HEAL, 2, NOON + SECOND, None, ""),
    ]
    assert {(each.source, each.action) for each in counts} == {("crm", "leads.status")}


async def test_what_waits_is_approved_and_audited(store: Archive) -> None:
    await store.healing.record_heal(
        "crm", [record("e1", HealState.WAITING), record("e2", HealState.WAITING), record("e3")]
    )
    assert await store.healing.approve("crm", act(command="heal approve", at=NOON + MINUTE)) == 2
    found = await store.healing.heal_records("crm", since=NOON)
    assert [each.approved for each in found] == [True, True, False]
    assert await store.healing.heal_marks("crm") == {APPROVED: NOON + MINUTE}
    [entry] = await store.audit(limit=9)
    assert (entry.command, entry.count) == ("heal approve", 2)
    [again] = await store.healing.record_heal("crm", [record("e1", HealState.WAITING)])
    assert again.approved, "a scan does not take it back"


async def test_a_request_is_asked_once_and_answered_once(store: Archive) -> None:
    for _ in range(2):
        await store.healing.request_heal(request(), act(2, command="heal run"))
    assert await store.healing.heal_requests() == [request()]
    await store.healing.answer_heal("act-0002", {"would_heal": 3})
    await store.healing.answer_heal("act-0002", {"would_heal": 4})
    assert await store.healing.heal_requests() == []
    assert await store.healing.heal_requests(answered=True) == [request(answer={"would_heal": 3})]
    assert [each.command for each in await store.audit(limit=9)] == ["heal run"]


# ---- outages


async def test_an_outage_is_from_the_last_beat_to_the_next_start(opener: Reopen) -> None:
    store = opener(NOON)
    assert await store.healing.outages(NOON - HORIZON) == []
    for seconds in (0, 10, 20):
        await store.healing.beat(NOON + seconds * SECOND)
    assert await store.healing.outages(NOON - HORIZON) == []
    await store.close()
    store = opener(NOON + 25 * SECOND)
    await store.healing.beat(NOON + 25 * SECOND)
    down = Span(NOON + 20 * SECOND, NOON + 25 * SECOND)
    assert await store.healing.outages(NOON - HORIZON) == [down], "a start is one, however short"
    for seconds in (35, 65, 96, 106):
        await store.healing.beat(NOON + seconds * SECOND)
    stood = Span(NOON + 65 * SECOND, NOON + 96 * SECOND)
    assert await store.healing.outages(NOON - HORIZON) == [down, stood], "a process that stood still is one"
    assert await store.healing.outages(NOON + 25 * SECOND) == [stood]
    await store.close()


async def test_where_relays_share_a_store_it_is_an_outage_when_none_ran(
    kind: Kind, tmp_path: Path, opener: Reopen
) -> None:
    first = opener(NOON)
    second = await kind.join(tmp_path, NOON)
    if second is None:
        await first.close()
        return
    for store, seconds in ((first, 0), (first, 10), (second, 5), (second, 15), (first, 100), (second, 200)):
        await store.healing.beat(NOON + seconds * SECOND)
    spans = [(15, 100), (100, 200)]
    expected = [Span(NOON + since * SECOND, NOON + until * SECOND) for since, until in spans]
    assert await first.healing.outages(NOON - HORIZON) == expected
    await first.close()
    await second.close()


# ---- retention


async def test_what_healing_knows_is_purged_after_its_horizon(store: Archive) -> None:
    later = NOON + HORIZON + 2 * MINUTE
    await heal(store)
    await keep(store, 2, hook("old"))
    await keep(store, 3, hook("new", NOON + 2 * MINUTE))
    await store.healing.record_heal("crm", [record("e3", at=NOON + 2 * MINUTE)], marks={"core": NOON})
    await store.healing.request_heal(request(), act(2, command="heal run"))
    await store.healing.beat(NOON)
    await store.healing.beat(NOON + MINUTE)
    never = Retention(delivered=None, dead=None, unrouted=None, unparsed=None)
    await store.purge(never, now=later, dry_run=True)
    assert len(await states(store)) == 2
    assert await store.purge(never, now=later) == {}
    assert await states(store) == {"e3": HealState.SEEN}
    wide: dict[str, Any] = {"since": NOON - HORIZON, "until": NOON + HORIZON}
    assert [each.hook.key for each in await store.healing.hooks("crm", **wide)] == ["new"]
    assert await store.healing.heal_requests() == []
    assert await store.healing.heal_marks("crm") == {"core": NOON}
    await store.healing.beat(later)
    assert await store.healing.outages(NOON) == [Span(NOON + MINUTE, later)], "an outage of a week is known"
    assert len(await sent(store)) == 3, "webhooks have a retention of their own"
