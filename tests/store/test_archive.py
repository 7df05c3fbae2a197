"""The promises of `relay.store.contract.Archive`, held against every store. Time is passed, nothing sleeps."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import pytest

from relay.errors import BadCursor
from relay.model import Dead, Health, Retention, RetryAt, State
from relay.signals import Committed, Signal
from relay.store.contract import Archive
from relay.store.records import Filter, HealthReport, Page, Pause, Report, TargetStatus
from tests.store.conftest import MINUTE, NOON, REFUSED, Reopen, act, claim, deliver, routed, to, webhook

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)

T = TypeVar("T")


async def die(store: Archive, *numbers: int, key: str | None = None, targets: Sequence[str] = ("bot",)) -> None:
    """Deliveries of these events are kept, and die one by one."""
    await store.keep(webhook(), [routed(number, *(to(target, key=key) for target in targets)) for number in numbers])
    for target in tuple(targets) * len(numbers):
        [delivery] = await claim(store, target, limit=1)
        await store.settle(delivery, REFUSED, Dead("no"), now=NOON)


async def due(store: Archive, at: datetime, target: str = "bot") -> list[int]:
    """Numbers of the events that are claimed at that time."""
    return [int(each.event_id[-4:]) for each in await claim(store, target, limit=1000, now=at)]


# ---- starts of ids


async def test_a_start_of_an_id_finds_every_webhook_that_it_could_mean(store: Archive) -> None:
    await store.keep(webhook(1), [routed(1), routed(2)])
    await store.keep(webhook(2), [routed(13)])
    assert sorted(await store.starting("webhook-", limit=9)) == ["webhook-0001", "webhook-0002"]
    assert sorted(await store.starting("event-00", limit=9)) == ["webhook-0001", "webhook-0002"]
    assert await store.starting("event-000", limit=9) == ["webhook-0001"]
    assert len(await store.starting("webhook-", limit=1)) == 1
    assert await store.starting("nothing", limit=9) == []


# ---- replay


async def test_a_replay_at_a_rate_is_due_one_after_another_the_oldest_first(store: Archive) -> None:
    await die(store, 1, 2, 3)
    assert await store.replay(Filter(), act(), rate=2.0) == 3
    assert [await due(store, NOON + at * SECOND) for at in (0, 0.499, 0.5, 0.999, 1.0)] == [[1], [], [2], [], [3]]


async def test_a_rate_holds_for_those_that_wait_for_each_other_too(store: Archive) -> None:
    await die(store, 1, 2, key="lead-7")
    await store.replay(Filter(), act(), rate=1.0)
    [first] = await claim(store)
    await deliver(store, first)
    assert await due(store, NOON + 0.999 * SECOND) == []
    assert await due(store, NOON + SECOND) == [2]


async def test_a_policy_begins_when_the_replay_is_due(store: Archive) -> None:
    await die(store, 1, 2)
    await store.replay(Filter(), act(), rate=0.01)
    claimed = await claim(store, now=NOON + 100 * SECOND)
    assert [each.pending_since - NOON for each in claimed] == [0 * SECOND, 100 * SECOND]


async def test_a_large_replay_replays_all_in_order(store: Archive) -> None:
    numbers = list(range(1, 101))
    await die(store, *numbers, targets=("bot", "crm", "dwh"))
    assert await store.replay(Filter(), act(), rate=1000.0) == 300
    assert await due(store, NOON + 0.149 * SECOND) == numbers[:50]
    for target, left in (("bot", 50), ("crm", 0), ("dwh", 0)):
        assert await due(store, NOON + SECOND, target) == numbers[left:]
    assert [each.count for each in await store.audit(limit=9)] == [300]


async def test_what_is_replayed_fits_the_filter(store: Archive) -> None:
    await die(store, 1, 2)
    await store.replay(Filter(event_ids=("event-0002",)), act())
    assert await due(store, NOON) == [2]


async def put_off(store: Archive, *numbers: int, key: str | None = None) -> None:
    """Attempted once each, and to be attempted again in a day."""
    for number in numbers:
        await store.keep(webhook(number), [routed(number, to(key=key))])
        [claimed] = await claim(store)
        assert await store.settle(claimed, REFUSED, RetryAt(NOON + DAY), now=NOON)


PENDING = Filter(states=(State.PENDING,))


async def test_what_waits_for_a_later_attempt_is_due_at_once_if_it_is_asked_for(store: Archive) -> None:
    await put_off(store, 1, 2)
    assert await store.replay(Filter(), act()) == 0
    assert await store.replay(PENDING, act(), rate=1.0) == 2
    assert await due(store, NOON) == [1]
    [second] = await claim(store, now=NOON + SECOND)
    assert (second.attempt, second.policy_attempt, second.replay) == (2, 1, True)


async def test_what_is_under_way_or_due_or_waits_for_another_is_left_alone(store: Archive) -> None:
    await put_off(store, 1, key="lead-7")
    await store.keep(webhook(2), [routed(2, to(key="lead-7"))])
    await store.keep(webhook(3), [routed(3, to(lease=MINUTE))])
    await store.keep(webhook(4), [routed(4, to())])
    assert await store.replay(PENDING, act()) == 1
    assert sorted(await due(store, NOON)) == [1, 4]


# ---- what no route took


async def test_events_without_deliveries_are_listed_oldest_first_page_by_page(store: Archive) -> None:
    await store.keep(webhook(1), [routed(1), routed(2, to()), routed(3)])
    await store.keep(webhook(2, after=MINUTE), [routed(4, lead=8, after=MINUTE)])
    every = await store.events(Filter(), limit=3)
    assert [each.id for each in every] == ["event-0001", "event-0002", "event-0003"], "routed or not"
    assert [each.id for each in await store.events(Filter(), limit=3, after=every.next)] == ["event-0004"]
    first = await store.events(Filter(), limit=2, unrouted=True)
    assert [(each.id, each.payload) for each in first] == [
        ("event-0001", routed(1).payload),
        ("event-0003", routed(3).payload),
    ]
    assert [each.id for each in await store.events(Filter(), limit=2, after=first.next, unrouted=True)] == [
        "event-0004"
    ]
    for wanted in (Filter(entity_id="8"), Filter(since=NOON + MINUTE), Filter(entity_id="8", target="bot")):
        assert [each.id for each in await store.events(wanted, limit=9, unrouted=True)] == ["event-0004"]
    assert await store.events(Filter(entity="contacts"), limit=9, unrouted=True) == []


async def test_events_without_deliveries_get_theirs_as_a_replay(store: Archive) -> None:
    await store.keep(webhook(), [routed(1), routed(2)])
    later = NOON + MINUTE
    assert await store.reroute([routed(1, to("bot"), to("dwh")), routed(2)], act(at=later)) == 2
    assert await claim(store, now=later - SECOND) == []
    [delivery] = await claim(store, now=later)
    assert (delivery.event_id, delivery.attempt, delivery.policy_attempt, delivery.replay) == ("event-0001", 1, 1, True)
    assert (delivery.pending_since, delivery.received_at, delivery.payload) == (later, NOON, routed(1).payload)
    assert [each.id for each in await store.events(Filter(), limit=9, unrouted=True)] == ["event-0002"]


async def test_an_event_that_has_deliveries_or_is_not_there_gets_none(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, to())])
    assert await store.reroute([routed(1, to("dwh")), routed(9, to())], act()) == 0
    assert await store.count(Filter()) == {"bot": 1}


async def test_an_event_gets_the_deliveries_that_it_lacks_if_those_are_asked_for(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, to("bot")), routed(2), routed(3, to("dwh"))])
    wanted = [routed(number, to("bot"), to("dwh")) for number in (1, 2, 3)]
    assert await store.reroute(wanted, act(), missing=True) == 4
    assert await store.reroute(wanted, act(2), missing=True) == 0
    assert await store.count(Filter()) == {"bot": 3, "dwh": 3}


async def test_rerouted_page_by_page_an_act_keeps_to_its_rate(store: Archive) -> None:
    await store.keep(webhook(), [routed(number) for number in (1, 2, 3)])
    for number in (1, 2, 3):
        await store.reroute([routed(number, to())], act(), rate=1.0)
    assert [await due(store, NOON + at * SECOND) for at in (0, 1, 2)] == [[1], [2], [3]]


async def test_a_rerouted_delivery_waits_for_those_of_its_key(store: Archive) -> None:
    await store.keep(webhook(), [routed(1), routed(2, to(key="lead-7"))])
    [younger] = await claim(store)
    await store.reroute([routed(1, to(key="lead-7"))], act())
    assert await claim(store) == []
    await deliver(store, younger)
    assert await due(store, NOON) == [1]


# ---- pauses


async def test_a_paused_target_is_told_with_what_is_due_until_it_is_resumed(store: Archive) -> None:
    assert await store.pause("bot", act(1, reason="upgrade"))
    assert (await store.due([])).paused == {"bot"}
    assert await store.resume("bot", act(2))
    assert (await store.due([])).paused == frozenset()


async def test_a_pause_tells_who_when_and_why_and_the_first_one_counts(store: Archive) -> None:
    assert await store.pause("bot", act(1, reason="upgrade"))
    assert not await store.pause("bot", act(2, at=NOON + MINUTE, reason="again"))
    pause = Pause(at=NOON, who="olga@host", reason="upgrade")
    assert (await store.status()).targets == {"bot": TargetStatus(pause=pause)}


async def test_what_is_not_paused_is_not_resumed(store: Archive) -> None:
    assert not await store.resume("bot", act())


async def test_a_pause_survives_a_restart(opener: Reopen) -> None:
    store = opener(NOON)
    await store.pause("bot", act())
    await store.close()
    store = opener(NOON + MINUTE)
    paused = (await store.due([])).paused
    await store.close()
    assert paused == {"bot"}


async def test_a_report_replaces_the_one_before(store: Archive) -> None:
    held = HealthReport(health=Health.OPEN, since=NOON, as_of=NOON + MINUTE, error="5xx 503 busy")
    await store.publish_health({"bot": held, "old": held})
    await store.publish_health({"bot": replace(held, health=Health.OK, error=""), "dwh": held})
    assert {name: each.condition for name, each in (await store.status()).targets.items()} == {
        "bot": HealthReport(health=Health.OK, since=NOON, as_of=NOON + MINUTE),
        "dwh": held,
    }


async def test_what_was_reported_last_is_known_after_a_restart(opener: Reopen) -> None:
    held = HealthReport(health=Health.OPEN, since=NOON, as_of=NOON + MINUTE, error="5xx 503 busy")
    store = opener(NOON)
    assert await store.published_health() == {}
    await store.publish_health({"bot": held, "old": held})
    await store.publish_health({"bot": held, "dwh": replace(held, health=Health.OK)})
    await store.close()
    after = opener(NOON + 2 * MINUTE)
    assert await after.published_health() == {"bot": held, "dwh": replace(held, health=Health.OK)}
    await after.close()


async def test_what_a_daemon_says_of_itself_is_told_by_name_until_it_says_something_else(opener: Reopen) -> None:
    store = opener(NOON)
    await store.publish("files", ["routes.yaml"], now=NOON)
    await store.publish("misaddressed", {"crm": 1}, now=NOON)
    await store.publish("files", [], now=NOON + MINUTE)
    await store.close()
    after = opener(NOON + 2 * MINUTE)
    assert (await after.status()).reports == {
        "files": Report(as_of=NOON + MINUTE, value=[]),
        "misaddressed": Report(as_of=NOON, value={"crm": 1}),
    }
    await after.close()


# ---- the audit


async def test_the_audit_has_every_act_newest_first(store: Archive) -> None:
    await die(store, 1, 2)
    acts = [
        act(1, target="bot"),
        act(2, at=NOON + MINUTE, command="pause", target="bot", reason="upgrade"),
        act(3, at=NOON + 2 * MINUTE, command="resume", target="bot"),
    ]
    await store.replay(Filter(target="bot"), acts[0])
    await store.pause("bot", acts[1])
    await store.resume("bot", acts[2])
    assert await store.audit(limit=9) == [
        replace(acts[2], count=1),
        replace(acts[1], count=1),
        replace(acts[0], count=2),
    ]
    assert len(await store.audit(limit=1)) == 1


@pytest.mark.parametrize("wanted", [Filter(target="nobody"), Filter(states=(State.PENDING,))])
async def test_what_changed_nothing_is_not_audited(store: Archive, wanted: Filter) -> None:
    await die(store, 1)
    await store.replay(wanted, act(1))
    await store.resume("bot", act(2))
    await store.reroute([routed(1, to())], act(3))
    assert await store.audit(limit=9) == []


async def test_each_listing_is_paged_by_opaque_cursors_and_ends_without_one(store: Archive) -> None:
    for n in (1, 2, 3):
        await store.keep(webhook(n), [routed(n, to("bot"), to("dwh"))])
        await store.keep(webhook(n + 3, unparsed="not UTF-8"), [])
    deliveries = [(f"event-000{n}", target) for n in (3, 2, 1) for target in ("bot", "dwh")]
    found = await paged(lambda before: store.find(Filter(), limit=1, before=before))
    assert [(each.event_id, each.target) for each in found] == deliveries
    found_events = await paged(lambda after: store.events(Filter(), limit=1, after=after))
    assert [each.id for each in found_events] == ["event-0001", "event-0002", "event-0003"]
    found_unparsed = await paged(lambda after: store.unparsed(limit=1, after=after))
    assert [each.id for each in found_unparsed] == ["webhook-0004", "webhook-0005", "webhook-0006"]


async def paged(ask: Callable[[str | None], Awaitable[Page[T]]]) -> list[T]:
    """All pages, each of one row."""
    page = await ask(None)
    found = [*page]
    while page.next is not None:
        page = await ask(page.next)
        assert len(page) == 1
        found += page
    return found


async def test_a_cursor_of_another_listing_is_refused(store: Archive) -> None:
    await store.keep(webhook(1), [routed(1, to("bot"), to("dwh"))])
    other = (await store.find(Filter(), limit=1)).next
    for ask in (store.unparsed(limit=1, after=other), store.events(Filter(), limit=1, after=other)):
        with pytest.raises(BadCursor, match="not a cursor of this listing"):
            await ask


async def test_a_listing_goes_on_after_a_row_that_was_purged_meanwhile(store: Archive) -> None:
    await store.keep(webhook(1), [routed(1)])
    await store.keep(replace(webhook(2), received_at=NOON + MINUTE), [routed(2, after=MINUTE)])
    first = await store.events(Filter(), limit=1)
    await store.purge(Retention(unrouted=timedelta(seconds=1)), now=NOON + timedelta(seconds=30))
    assert [each.id for each in await store.events(Filter(), limit=1, after=first.next)] == ["event-0002"]


async def test_acts_that_are_new_or_have_grown_are_told_whatever_the_clock_of_who_did_them_says(store: Archive) -> None:
    await die(store, 1, 2)
    await store.pause("bot", act(7, command="pause", target="bot"))
    begin, found = await store.audit_changes(None)
    assert found == []
    assert await store.audit_changes(begin) == (begin, [])
    early = act(3, at=NOON - DAY, command="resume", target="bot")  # its id and its time come before those of the first
    await store.resume("bot", early)
    seen, found = await store.audit_changes(begin)
    assert found == [replace(early, count=1)]
    await store.record_audit(act(5, command="backup"), 4)
    await store.record_audit(early, 3)
    later, found = await store.audit_changes(seen)
    assert [(each.id, each.count) for each in found] == [("act-0005", 4), ("act-0003", 3)]
    assert await store.audit_changes(later) == (later, [])


async def test_the_audit_is_paged_by_time_and_asked_for_an_act_a_person_or_a_command(store: Archive) -> None:
    done = [
        act(3, at=NOON, command="pause"),
        replace(act(1, at=NOON + MINUTE, command="replay"), who="ivan"),
        act(2, at=NOON + MINUTE, command="resume"),
        replace(act(4, at=NOON + DAY, command="pause"), who="ivan"),
    ]
    for each in done:
        await store.record_audit(each, 1)
    newest = ["act-0004", "act-0002", "act-0001", "act-0003"]
    assert [each.id for each in await paged(lambda before: store.audit(limit=1, before=before))] == newest
    assert [each.id for each in await store.audit(limit=9, id_="act-0002")] == ["act-0002"]
    assert [each.id for each in await store.audit(limit=9, who="ivan")] == ["act-0004", "act-0001"]
    assert [each.id for each in await store.audit(limit=9, command="pause")] == ["act-0004", "act-0003"]
    assert [each.id for each in await store.audit(limit=9, who="ivan", command="pause")] == ["act-0004"]
    assert await store.audit(limit=9, who="iva") == []
    late, early = ["act-0004", "act-0002", "act-0001"], ["act-0002", "act-0001", "act-0003"]
    assert [each.id for each in await store.audit(limit=9, since=NOON + MINUTE)] == late
    assert [each.id for each in await store.audit(limit=9, until=NOON + DAY)] == early
    of_ivan = await store.audit(limit=9, who="ivan", since=NOON + MINUTE, until=NOON + DAY)
    assert [each.id for each in of_ivan] == ["act-0001"]
    within = await paged(lambda before: store.audit(limit=1, before=before, since=NOON, until=NOON + DAY))
    assert [each.id for each in within] == early


async def test_what_a_reparse_reads_is_due_at_the_time_of_the_act(store: Archive) -> None:
    await store.keep(webhook(unparsed="not UTF-8"), [])
    assert await store.reparse(webhook(), [routed(1, to())], act(at=NOON + DAY, command="reparse"))
    assert await due(store, NOON + DAY - SECOND) == []
    [delivery] = await claim(store, now=NOON + DAY)
    assert (delivery.event_id, delivery.pending_since) == ("event-0001", NOON + DAY)


async def test_a_reparse_is_in_the_audit_once_with_the_webhooks_it_read(store: Archive) -> None:
    for number in (1, 2):
        await store.keep(webhook(number, unparsed="not UTF-8"), [])
    done = act(command="reparse")
    assert await store.reparse(webhook(1), [routed(1, to())], done)
    assert await store.reparse(webhook(2), [routed(2, to())], done)
    assert not await store.reparse(webhook(1), [routed(3, to())], done), "it is unparsed no more"
    assert await due(store, NOON) == [1, 2]
    assert await store.audit(limit=9) == [replace(done, count=2)]


async def test_each_listing_refuses_the_cursors_of_all_others(store: Archive) -> None:
    for n in (1, 2):
        await store.keep(webhook(n), [routed(n, to())])
        await store.keep(webhook(n + 2, unparsed="not UTF-8"), [])
        await store.record_audit(act(n), 1)
    cursors = {
        "find": (await store.find(Filter(), limit=1)).next,
        "events": (await store.events(Filter(), limit=1)).next,
        "unparsed": (await store.unparsed(limit=1)).next,
        "audit": (await store.audit(limit=1)).next,
        "audit_changes": (await store.audit_changes(None))[0],
    }
    ask: dict[str, Callable[[str | None], Awaitable[object]]] = {
        "find": lambda cursor: store.find(Filter(), limit=1, before=cursor),
        "events": lambda cursor: store.events(Filter(), limit=1, after=cursor),
        "unparsed": lambda cursor: store.unparsed(limit=1, after=cursor),
        "audit": lambda cursor: store.audit(limit=1, before=cursor),
        "audit_changes": store.audit_changes,
    }
    assert None not in cursors.values()
    for name, listing in ask.items():
        await listing(cursors[name])
        for other in cursors.keys() - {name}:
            with pytest.raises(BadCursor):
                await listing(cursors[other])


async def test_deliveries_are_listed_without_their_attempts(store: Archive) -> None:
    await die(store, 1)
    shown = await store.show("event-0001")
    assert shown is not None and len(shown.events[0].deliveries[0].attempts) == 1
    assert [each.attempts for each in await store.find(Filter(), limit=9)] == [()]


async def test_events_are_listed_whatever_became_of_them(store: Archive) -> None:
    await die(store, 1)
    await store.keep(webhook(2), [routed(2)])
    for wanted in (Filter(states=(State.DELIVERED,)), Filter(route="none"), Filter(target="nobody")):
        assert [each.id for each in await store.events(wanted, limit=9)] == ["event-0001", "event-0002"]


async def test_acts_are_told_page_by_page_and_each_of_them_once(store: Archive) -> None:
    cursor, _ = await store.audit_changes(None)
    wanted = [f"act-{n:04}" for n in range(1, 301)]
    for n in range(1, 301):
        await store.record_audit(act(n, command="backup"), n)
    pages: list[list[str]] = []
    while not pages or pages[-1]:
        cursor, found = await store.audit_changes(cursor)
        pages.append([each.id for each in found])
    assert len(pages[0]) < len(wanted)
    assert [each for page in pages for each in page] == wanted


async def test_an_act_that_goes_on_is_told_again_with_its_whole_count(store: Archive) -> None:
    await store.keep(webhook(), [routed(1), routed(2), routed(3)])
    cursor, _ = await store.audit_changes(None)
    await store.reroute([routed(1, to())], act())
    cursor, found = await store.audit_changes(cursor)
    assert [each.count for each in found] == [1]
    await store.reroute([routed(2, to()), routed(3, to())], act())
    _, found = await store.audit_changes(cursor)
    assert [each.count for each in found] == [3]


# ---- requests for a probe


async def test_a_replay_of_pending_ones_requests_a_probe_of_the_target_of_each_until_it_is_fulfilled(
    store: Archive,
) -> None:
    await die(store, 1, targets=("over",))
    await store.keep(webhook(2), [routed(2, to("dwh"))])
    await store.keep(webhook(3), [routed(3, to("other"), lead=8)])
    await put_off(store, 4)
    wanted = Filter(states=(State.PENDING, State.DEAD), entity_id="7")
    assert await store.replay(wanted, act(at=NOON + MINUTE)) == 2
    probes = (await store.due([])).probes
    assert probes == dict.fromkeys(("bot", "dwh", "over"), NOON + MINUTE), "one that is due already too"
    await store.fulfil_probes({"bot": probes["bot"], "nobody": NOON})
    assert (await store.due([])).probes.keys() == {"dwh", "over"}


async def test_a_probe_is_requested_where_everything_is_due_already(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, to())])
    assert await store.replay(PENDING, act()) == 0
    assert (await store.due([])).probes == {"bot": NOON}


async def test_no_probe_is_requested_by_a_replay_of_what_is_over(store: Archive) -> None:
    await die(store, 1)
    await store.replay(Filter(states=(State.DEAD,)), act())
    assert (await store.due([])).probes == {}


async def test_a_request_that_was_made_after_the_one_that_is_fulfilled_stays(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, to())])
    await store.replay(PENDING, act(1))
    first = (await store.due([])).probes
    await store.replay(PENDING, act(2, at=NOON + SECOND))
    await store.fulfil_probes(first)
    assert (await store.due([])).probes == {"bot": NOON + SECOND}


# ---- an act and its audit entry


@pytest.mark.parametrize("name", ["pause", "resume", "reparse", "replay", "reroute", "purge"])
async def test_an_act_whose_audit_entry_cannot_be_written_is_not_done(store: Archive, name: str) -> None:
    await die(store, 1)
    await store.keep(webhook(2), [routed(2)])
    await store.keep(webhook(3, unparsed="not UTF-8"), [])
    await store.pause("held", act(1, command="pause"))
    bad = act(2, reason="moves", unwritable=object())
    acts: dict[str, Callable[[], Awaitable[object]]] = {
        "pause": lambda: store.pause("bot", bad),
        "resume": lambda: store.resume("held", bad),
        "reparse": lambda: store.reparse(webhook(3), [routed(3, to())], bad),
        "replay": lambda: store.replay(Filter(states=(State.DEAD,)), bad),
        "reroute": lambda: store.reroute([routed(2, to())], bad),
        "purge": lambda: store.purge(Retention(unrouted=DAY), now=NOON + DAY, act=bad),
    }
    before = await state(store)
    with pytest.raises(TypeError):
        await acts[name]()
    assert await state(store) == before


async def state(store: Archive) -> tuple[object, ...]:
    status = await store.status()
    events, deliveries = await store.events(Filter(), limit=9), await store.find(Filter(), limit=9)
    return status.targets, status.unparsed, events, deliveries, await store.audit(limit=9)


async def test_an_act_that_fails_after_its_audit_entry_leaves_none(store: Archive) -> None:
    await store.keep(webhook(), [routed(1)])
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        await store.reroute([routed(1, to(), to())], act())
    assert await store.audit(limit=9) == []


@pytest.mark.parametrize("name", ["pause", "resume", "reparse", "replay", "reroute", "purge"])
async def test_an_act_and_its_audit_entry_are_one_commit(store: Archive, signals: list[Signal], name: str) -> None:
    await die(store, 1)
    await store.keep(webhook(2), [routed(2)])
    await store.keep(webhook(3, unparsed="not UTF-8"), [])
    await store.pause("held", act(1, command="pause"))
    acts: dict[str, Callable[[], Awaitable[object]]] = {
        "pause": lambda: store.pause("bot", act(2)),
        "resume": lambda: store.resume("held", act(2)),
        "reparse": lambda: store.reparse(webhook(3), [routed(3, to())], act(2)),
        "replay": lambda: store.replay(Filter(states=(State.DEAD,)), act(2)),
        "reroute": lambda: store.reroute([routed(2, to())], act(2)),
        "purge": lambda: store.purge(Retention(unrouted=DAY), now=NOON + DAY, act=act(2)),
    }
    signals.clear()
    assert await acts[name]()
    assert [signal.writes for signal in signals if isinstance(signal, Committed)] == [1]
    assert [each.count for each in await store.audit(limit=9) if each.id == "act-0002"] == [1]


async def test_a_claimed_delivery_waits_for_no_time(store: Archive) -> None:
    async def seen() -> tuple[bool, datetime | None, int]:
        [record] = await store.find(Filter(), limit=10)
        return record.claimed, record.due_at, record.attempt

    await store.keep(webhook(), [routed(1, to())])
    assert await seen() == (False, NOON, 0)
    [delivery] = await claim(store)
    assert await seen() == (True, None, 1)
    await store.settle(delivery, REFUSED, RetryAt(NOON + MINUTE), now=NOON)
    assert await seen() == (False, NOON + MINUTE, 1)


# ---- webhooks with all that came of them


async def test_webhooks_are_listed_by_their_arrival_with_all_that_came_of_them(store: Archive) -> None:
    await store.keep(replace(webhook(1), received_at=NOON + MINUTE), [routed(1, to())])
    await store.keep(webhook(2), [routed(2)])
    await store.keep(webhook(3, unparsed="not UTF-8"), [])
    found = await store.webhooks(limit=9, max_bytes=1_000_000)
    assert [each.webhook.id for each in found] == ["webhook-0002", "webhook-0003", "webhook-0001"]
    assert found.next is None
    assert [(e.id, [d.target for d in e.deliveries]) for e in found[2].events] == [("event-0001", ["bot"])]
    since = await store.webhooks(limit=9, max_bytes=1_000_000, since=NOON + MINUTE)
    assert [each.webhook.id for each in since] == ["webhook-0001"]
    until = await store.webhooks(limit=9, max_bytes=1_000_000, until=NOON + MINUTE)
    assert [each.webhook.id for each in until] == ["webhook-0002", "webhook-0003"]
    pages = await paged(lambda after: store.webhooks(limit=1, max_bytes=1_000_000, after=after))
    assert [each.webhook.id for each in pages] == ["webhook-0002", "webhook-0003", "webhook-0001"]
    with pytest.raises(BadCursor):
        await store.webhooks(limit=1, max_bytes=1, after=(await store.unparsed(limit=1)).next or "x")


async def test_a_page_of_webhooks_ends_when_their_bodies_fill_it(store: Archive) -> None:
    for number in (1, 2, 3):
        await store.keep(replace(webhook(number), body=b"x" * 1000), [])
    first = await store.webhooks(limit=9, max_bytes=1500)
    assert [each.webhook.id for each in first] == ["webhook-0001", "webhook-0002"]
    rest = await store.webhooks(limit=9, max_bytes=1500, after=first.next)
    assert ([each.webhook.id for each in rest], rest.next) == (["webhook-0003"], None)
