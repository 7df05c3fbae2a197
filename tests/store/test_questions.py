"""The promises of `relay.store.question_contract`, and of looks within a budget, held against every store."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from relay.amocrm import events
from relay.errors import BadCursor
from relay.model import Dead, Delivered, Delivery, Event, Health, Reason, RetryAt, RoutedEvent, State, Verdict
from relay.store import looks
from relay.store.contract import Archive
from relay.store.postgres import attempts as postgres_attempts
from relay.store.question_records import AttemptFilter, MadeAttempt, RefusedMinute
from relay.store.records import Filter, HealthReport, Page
from relay.store.sqlite import attempts as sqlite_attempts
from relay.store.sqlite.entity_index import index_batch
from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import MINUTE, NOON, OK, REFUSED, act, claim, routed, to, webhook

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
NO_TIME = timedelta()


async def arrive(store: Archive, number: int, *targets: str, after: timedelta = NO_TIME) -> list[Delivery]:
    """An event about lead 7, with a webhook of its own; its deliveries are claimed."""
    planned = [to(target, lease=MINUTE) for target in targets]
    return await store.keep(webhook(number, after=after), [routed(number, *planned, after=after)])


async def attempt(
    store: Archive, delivery: Delivery, after: timedelta, verdict: Verdict | None = None, reason: Reason = Reason.OK
) -> None:
    """Settle it by an attempt that began so long after noon: delivered, unless it failed with a reason."""
    given = OK if reason is Reason.OK else replace(REFUSED, reason=reason)
    begun = replace(given, started_at=NOON + after)
    await store.settle(delivery, begun, verdict or Delivered(), now=NOON + after)


def shown(page: Sequence[MadeAttempt]) -> list[tuple[int, str, int, str]]:
    return [
        (int(each.delivery.event_id[-4:]), each.delivery.target, each.attempt.number, each.attempt.verdict)
        for each in page
    ]


# ---- attempts by their time


async def made(store: Archive) -> None:
    """Event 1 fails, and is delivered two hours later; event 2, which came between, at once; event 3 fails and dies."""
    [first] = await arrive(store, 1, "bot")
    await attempt(store, first, SECOND, RetryAt(NOON + MINUTE), Reason.TIMEOUT)
    [second] = await arrive(store, 2, "bot", after=HOUR)
    await attempt(store, second, HOUR + SECOND)
    [third] = await arrive(store, 3, "dwh", after=HOUR)
    await attempt(store, third, HOUR + 3 * SECOND, Dead("400"), Reason.CLIENT_ERROR)
    [again] = await claim(store, now=NOON + 2 * HOUR)
    await attempt(store, again, 2 * HOUR)


EVERY = [(1, "bot", 2, "delivered"), (3, "dwh", 1, "dead"), (2, "bot", 1, "delivered"), (1, "bot", 1, "retry")]


async def test_attempts_are_listed_by_the_time_at_which_they_began(store: Archive) -> None:
    await made(store)
    assert shown(await store.questions.attempts(AttemptFilter(), limit=9)) == EVERY


async def test_attempts_are_paged_in_their_order(store: Archive) -> None:
    await made(store)
    found: list[MadeAttempt] = []
    page = Page[MadeAttempt](next_=None)
    for _ in EVERY:
        page = await store.questions.attempts(AttemptFilter(), limit=1, before=page.next)
        found += page
    assert shown(found) == EVERY
    assert page.next is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (AttemptFilter(failed=True), [EVERY[1], EVERY[3]]),
        (AttemptFilter(target="bot"), [EVERY[0], EVERY[2], EVERY[3]]),
        (AttemptFilter(failed=True, target="bot"), [EVERY[3]]),
        (AttemptFilter(reason="timeout"), [EVERY[3]]),
        (AttemptFilter(since=NOON + HOUR + SECOND), EVERY[:3]),
        (AttemptFilter(since=NOON + HOUR + 2 * SECOND), EVERY[:2]),
        (AttemptFilter(until=NOON + HOUR + 3 * SECOND), EVERY[2:]),
        (AttemptFilter(failed=True, since=NOON + HOUR, until=NOON + 2 * HOUR), [EVERY[1]]),
        (AttemptFilter(failed=True, since=NOON + SECOND, until=NOON + HOUR), [EVERY[3]]),
        (AttemptFilter(target="nobody"), []),
    ],
)
async def test_attempts_are_found_by_what_they_ended_with(
    store: Archive, wanted: AttemptFilter, found: list[tuple[int, str, int, str]]
) -> None:
    await made(store)
    assert shown(await store.questions.attempts(wanted, limit=9)) == found


async def test_attempts_that_took_longer_are_found_by_target_and_time(store: Archive) -> None:
    for number, (target, milliseconds) in enumerate((("bot", 1999), ("bot", 2000), ("dwh", 2001), ("bot", 9000)), 1):
        after = number * MINUTE
        [one] = await arrive(store, number, target, after=after)
        slow = replace(OK, started_at=NOON + after, took=timedelta(milliseconds=milliseconds))
        await store.settle(one, slow, Delivered(), now=NOON + after)
    [late] = await arrive(store, 5, "dwh")
    await store.settle(late, replace(REFUSED, started_at=NOON + HOUR, took=HOUR), Dead("no"), now=NOON + HOUR)
    slower = AttemptFilter(slower=2 * SECOND)
    for wanted, found in (
        (slower, [5, 4, 3]),
        (replace(slower, target="bot"), [4]),
        (replace(slower, failed=True), [5]),
        (replace(slower, since=NOON + 3 * MINUTE, until=NOON + 4 * MINUTE), [3]),
        (AttemptFilter(slower=timedelta(milliseconds=1999)), [5, 4, 3, 2]),
        (AttemptFilter(slower=HOUR), []),
    ):
        page = await store.questions.attempts(wanted, limit=9)
        assert [int(each.delivery.event_id[-4:]) for each in page] == found, wanted


async def test_slow_attempts_are_looked_for_within_a_budget(store: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sqlite_attempts, postgres_attempts):
        monkeypatch.setattr(module, "ALL_STEP", 2)
    for number in range(1, 8):
        after = number * HOUR
        [one] = await arrive(store, number, "bot", after=after)
        took = MINUTE if number == 2 else SECOND
        await store.settle(one, replace(OK, started_at=NOON + after, took=took), Delivered(), now=NOON + after)
    wanted = AttemptFilter(slower=2 * SECOND)
    page = await store.questions.attempts(wanted, limit=9, budget=NO_TIME)
    assert (list(page), page.searched_to) == ([], NOON + 5 * HOUR)
    while not page and page.next:
        page = await store.questions.attempts(wanted, limit=9, before=page.next, budget=NO_TIME)
    assert [each.delivery.event_id for each in page] == ["event-0002"]


async def test_an_attempt_is_listed_with_its_error_and_its_delivery_as_it_is_now(store: Archive) -> None:
    await made(store)
    [*_, first] = await store.questions.attempts(AttemptFilter(), limit=9)
    assert (first.attempt.reason, first.attempt.status, first.attempt.detail) == (Reason.TIMEOUT, 503, "busy")
    assert (first.delivery.state, first.delivery.type, first.delivery.entity_id) == (State.DELIVERED, "leads.add", "7")


@pytest.mark.parametrize("delay", [NO_TIME, 4 * SECOND, 5 * SECOND, 5.001 * SECOND, 6 * SECOND, HOUR, -SECOND])
async def test_an_attempt_is_found_once_however_long_after_the_arrival_it_began(
    store: Archive, delay: timedelta
) -> None:
    [one] = await arrive(store, 1, "bot", after=HOUR)
    await attempt(store, one, HOUR + delay)
    at = NOON + HOUR + delay
    for since, until, found in ((None, None, 1), (at, at + SECOND, 1), (at + SECOND, None, 0), (None, at, 0)):
        wanted = AttemptFilter(since=since, until=until)
        assert len(await store.questions.attempts(wanted, limit=9)) == found, (since, until)


async def test_attempts_of_one_time_are_all_listed(store: Archive) -> None:
    for number in range(1, 8):
        for each in await arrive(store, number, "bot", "dwh"):
            failed = number % 2
            await attempt(store, each, SECOND, *((Dead("no"), Reason.TIMEOUT) if failed else ()))
    for wanted, number in ((AttemptFilter(), 14), (AttemptFilter(failed=True), 8)):
        seen: list[tuple[int, str, int, str]] = []
        page = await store.questions.attempts(wanted, limit=3)
        seen += shown(page)
        while page.next:
            page = await store.questions.attempts(wanted, limit=3, before=page.next)
            seen += shown(page)
        assert len(seen) == len(set(seen)) == number


# ---- within a budget


@pytest.mark.parametrize(
    ("costs", "steps"), [([40, 40, 40, 40], 2), ([10, 10, 90, 10], 3), ([130, 10], 1), ([60, 61], 1)]
)
async def test_a_look_ends_before_a_step_for_which_its_budget_would_not_do(costs: list[int], steps: int) -> None:
    clock = 0.0
    taken: list[int] = []

    async def step(place: tuple[int], _left: int) -> looks.Step[tuple[int]]:
        nonlocal clock
        clock += costs[len(taken)] / 1000
        taken.append(place[0])
        return looks.Step([], (place[0] - 1,))

    seen = await looks.look(step, (9,), 1, timedelta(milliseconds=120), steady=lambda: clock)
    assert (len(taken), seen.ended_at) == (steps, (9 - steps,))


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two webhooks are a step, and what ends is looked for at once only while there is one."""
    monkeypatch.setattr(looks, "STEP", 2)


async def collected(store: Archive, wanted: Filter, limit: int, budget: timedelta | None) -> list[int]:
    """The numbers of all events, page by page; a page that ends early says how far it got."""
    found, before = [], None
    for _ in range(40):
        page = await store.find(wanted, limit=limit, before=before, budget=budget)
        found += [int(each.event_id[-4:]) for each in page]
        assert page.searched_to is None or (budget is not None and page.next is not None)
        if page.next is None:
            return found
        before = page.next
    raise AssertionError("it never ends")


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("budget", [None, NO_TIME, MINUTE])
@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_a_listing_is_the_same_in_whatever_steps_it_is_looked_for(
    store: Archive, limit: int, budget: timedelta | None
) -> None:
    for number in range(1, 10):
        target = "dwh" if number in (2, 8) else "bot"
        await arrive(store, number, target, after=number * SECOND if number < 6 else 6 * SECOND)
    assert await collected(store, Filter(), limit, budget) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert await collected(store, Filter(target="dwh"), limit, budget) == [8, 2]
    assert await collected(store, Filter(since=NOON + 2 * SECOND, until=NOON + 6 * SECOND), limit, budget) == [
        5,
        4,
        3,
        2,
    ]


@pytest.mark.usefixtures("small_steps")
async def test_a_look_that_its_budget_ends_says_how_far_it_got(store: Archive) -> None:
    for number in range(1, 8):
        await arrive(store, number, "dwh" if number == 1 else "bot", after=number * SECOND)
    page = await store.find(Filter(target="dwh"), limit=1, budget=NO_TIME)
    assert (list(page), page.searched_to) == ([], NOON + 5 * SECOND), "6 and 7 were looked at"
    assert len(await store.find(Filter(target="dwh"), limit=1, budget=MINUTE)) == 1


@pytest.mark.usefixtures("small_steps")
async def test_a_filter_by_an_id_needs_no_budget(store: Archive) -> None:
    for number in range(1, 8):
        await arrive(store, number, "bot", after=number * SECOND)
    for wanted in (Filter(entity_id="7"), Filter(event_ids=("event-0001",)), Filter(states=(State.PENDING,))):
        page = await store.find(wanted, limit=9, budget=NO_TIME)
        assert (page[-1].event_id, page.searched_to) == ("event-0001", None), wanted


@pytest.mark.usefixtures("small_steps")
async def test_what_is_dead_is_found_at_once_while_it_is_little(
    store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 8):
        for each in await arrive(store, number, "bot", after=number * SECOND):
            await attempt(store, each, number * SECOND, *((Dead("no"), Reason.TIMEOUT) if number < 3 else ()))
    dead = Filter(states=(State.DEAD,))
    found = await store.find(dead, limit=9, budget=NO_TIME)
    assert ([each.event_id[-1] for each in found], found.searched_to) == (["2", "1"], None)
    assert await store.find(Filter(states=(State.DEAD, State.PENDING), until=NOON + 2 * SECOND), limit=9) == found[1:]
    assert await collected(store, replace(dead, target="nobody"), 9, NO_TIME) == []


@pytest.mark.usefixtures("small_steps")
async def test_unrouted_events_are_looked_for_within_a_budget_oldest_first(store: Archive) -> None:
    for number in range(1, 8):
        await arrive(store, number, *(["bot"] if number < 6 else []), after=number * SECOND)
    page = await store.events(Filter(), limit=9, unrouted=True, budget=NO_TIME)
    assert (list(page), page.searched_to) == ([], NOON + 3 * SECOND)
    found, pages = [], 1
    while page.next:
        page, pages = await store.events(Filter(), limit=9, unrouted=True, after=page.next, budget=NO_TIME), pages + 1
        found += [each.id[-1] for each in page]
    assert (found, pages) == (["6", "7"], 4)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("failed", [False, True])
async def test_attempts_are_looked_for_within_a_budget(store: Archive, failed: bool) -> None:
    for number in range(1, 8):
        for each in await arrive(store, number, "dwh" if number == 1 else "bot", after=number * HOUR):
            await attempt(store, each, number * HOUR + SECOND, Dead("no"), Reason.TIMEOUT)
    wanted = AttemptFilter(failed=failed, target="dwh")
    page = await store.questions.attempts(wanted, limit=9, budget=NO_TIME)
    found = [*page]
    assert page.searched_to is not None or not failed
    while page.next:
        page = await store.questions.attempts(wanted, limit=9, before=page.next, budget=NO_TIME)
        found += page
    assert shown(found) == [(1, "dwh", 1, "dead")]


async def test_a_webhook_that_was_stored_late_is_listed_by_its_arrival(store: Archive) -> None:
    """As one that comes from a spool, or was reparsed."""
    await arrive(store, 1, "bot", after=HOUR)
    await arrive(store, 2, "bot", after=MINUTE)
    assert await collected(store, Filter(), 1, None) == [1, 2]
    assert await collected(store, Filter(until=NOON + HOUR), 9, None) == [2]
    assert await collected(store, Filter(since=NOON + HOUR), 9, None) == [1]


# ---- filters


def dumped(number: int, account: dict[str, object]) -> RoutedEvent:
    event = Event(
        id=f"event-{number:04}",
        source="crm",
        received_at=NOON,
        account=account,  # type: ignore[arg-type]
        entity="leads",
        action="add",
        data={"id": 7, "note": '"account":{"id":"3"},"entity":'},
    )
    return RoutedEvent(event=event, payload=events.dump(event), planned=(to(),))


async def test_deliveries_are_found_by_source_and_account(store: Archive) -> None:
    await store.keep(webhook(1), [dumped(1, {"subdomain": "one", "id": "1"})])
    await store.keep(replace(webhook(2), source="b2b"), [dumped(2, {"id": "2", "subdomain": "two_"})])
    await store.keep(webhook(3), [replace(dumped(3, {}), payload=b"no JSON")])
    for wanted, found in (
        (Filter(source="b2b"), [2]),
        (Filter(source="nothing"), []),
        (Filter(account="1"), [1]),
        (Filter(account="two_"), [2]),
        (Filter(account="twos"), []),
        (Filter(account="3"), []),
        (Filter(account="%"), []),
        (Filter(account='1"'), []),
        (Filter(source="crm", account="1"), [1]),
    ):
        assert await collected(store, wanted, 9, None) == found, wanted
        assert sum((await store.count(wanted)).values()) == len(found), wanted
    assert [each.id for each in await store.events(Filter(source="b2b"), limit=9)] == ["event-0002"]


async def test_deliveries_are_found_by_what_the_last_attempt_returned_and_when_they_ended(store: Archive) -> None:
    await made(store)
    await arrive(store, 4, "bot", after=3 * HOUR)
    for wanted, found in (
        (Filter(reason="2xx"), [2, 1]),
        (Filter(reason="timeout"), []),
        (Filter(reason="4xx"), [3]),
        (Filter(settled_since=NOON + 2 * HOUR), [1]),
        (Filter(settled_until=NOON + HOUR + 3 * SECOND), [2]),
        (Filter(settled_since=NOON + HOUR + 3 * SECOND, settled_until=NOON + 2 * HOUR), [3]),
    ):
        assert sorted(await collected(store, wanted, 9, None)) == sorted(found), wanted
        assert sum((await store.count(wanted)).values()) == len(found), wanted


async def test_deliveries_are_found_by_when_they_were_replayed_or_dismissed_last(store: Archive) -> None:
    for number in (1, 2, 3, 4):
        [one] = await arrive(store, number, "bot")
        await attempt(store, one, SECOND, Dead("no"), Reason.CLIENT_ERROR)
    [never] = await arrive(store, 5, "bot", after=HOUR)
    await attempt(store, never, HOUR)
    ids = tuple(f"event-{number:04}" for number in (1, 2, 3))
    await store.replay(Filter(event_ids=ids), act(1, at=NOON + HOUR), rate=1)
    await store.replay(Filter(event_ids=ids[:1], states=(State.PENDING,)), act(2, at=NOON), rate=None)
    await store.dismiss(Filter(), act(3, at=NOON + 2 * HOUR))
    at = NOON + HOUR
    for wanted, found in (
        (Filter(replayed_since=at), [2, 3]),
        (Filter(replayed_since=at, replayed_until=at + 2 * SECOND), [2]),
        (Filter(replayed_until=at), [1]),
        (Filter(dismissed_at=NOON + 2 * HOUR), [4]),
        (Filter(dismissed_at=at), []),
    ):
        assert sorted(await collected(store, wanted, 9, None)) == found, wanted
        assert sum((await store.count(wanted)).values()) == len(found), wanted


async def test_a_listing_has_the_last_attempt_of_each_delivery(store: Archive) -> None:
    await made(store)
    await arrive(store, 4, "bot", after=3 * HOUR)
    found = {each.event_id[-1]: each for each in await store.find(Filter(), limit=9)}
    last = {number: each.last and (each.last.number, each.last.reason) for number, each in found.items()}
    assert last == {"1": (2, "2xx"), "2": (1, "2xx"), "3": (1, "4xx"), "4": None}
    assert found["3"].last
    assert (found["3"].last.status, found["3"].last.detail) == (503, "busy")


# ---- the story of one object


async def test_a_story_has_the_events_of_one_object_with_their_deliveries_whether_routed_or_not(store: Archive) -> None:
    await made(store)
    await store.keep(webhook(5, after=3 * HOUR), [routed(5, after=3 * HOUR), routed(6, to(), lead=8, after=3 * HOUR)])
    story = await store.questions.story("leads", "7", limit=9)
    assert [each.event.id[-1] for each in story] == ["5", "3", "2", "1"]
    assert [(each.webhook, each.source, each.received_at - NOON, each.healed) for each in story][:2] == [
        ("webhook-0005", "crm", 3 * HOUR, False),
        ("webhook-0003", "crm", HOUR, False),
    ]
    assert [len(each.event.deliveries) for each in story] == [0, 1, 1, 1]
    [dead] = story[1].event.deliveries
    assert (dead.target, dead.state, dead.last and dead.last.detail) == ("dwh", State.DEAD, "busy")
    assert story[1].event.payload == routed(3).payload
    assert await store.questions.story("contacts", "7", limit=9) == []
    assert await store.questions.story("leads", "77", limit=9) == []


async def test_a_story_is_paged(store: Archive) -> None:
    for number in (1, 2, 3):
        await arrive(store, number, "bot", "dwh", after=number * SECOND)
    first = await store.questions.story("leads", "7", limit=2)
    then = await store.questions.story("leads", "7", limit=2, before=first.next)
    assert [each.event.id[-1] for each in first + then] == ["3", "2", "1"]
    assert then.next is None
    with pytest.raises(BadCursor):
        await store.questions.attempts(AttemptFilter(), limit=2, before=first.next)


@pytest.mark.usefixtures("small_steps")
async def test_a_long_story_is_looked_for_within_a_budget(store: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an index, which has them in another order, all of its events would have to be read."""
    for number in range(1, 8):
        await store.keep(webhook(number, after=number * SECOND), [routed(number, to(), lead=8 if number > 4 else 7)])
    await indexed(store)
    assert len(await store.questions.story("leads", "7", limit=9, budget=NO_TIME)) == 4
    monkeypatch.setattr(looks, "FEW", 3)
    page = await store.questions.story("leads", "7", limit=9, budget=NO_TIME)
    assert (list(page), page.searched_to) == ([], NOON + 5 * SECOND)
    found = [*page]
    while page.next:
        page = await store.questions.story("leads", "7", limit=2, before=page.next, budget=NO_TIME)
        found += page
    assert [each.event.id[-1] for each in found] == ["4", "3", "2", "1"]
    assert [len(each.event.deliveries) for each in found] == [1, 1, 1, 1]


@pytest.mark.usefixtures("small_steps")
async def test_what_is_about_an_entity_with_many_events_is_looked_for_within_a_budget(
    store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 8):
        await store.keep(webhook(number, after=number * SECOND), [routed(number, to(), lead=8 if number > 4 else 7)])
    await indexed(store)
    monkeypatch.setattr(looks, "FEW", 3)
    about = Filter(entity_id="7")
    assert await collected(store, about, 2, NO_TIME) == [4, 3, 2, 1]
    assert (await store.find(about, limit=9, budget=NO_TIME)).searched_to == NOON + 5 * SECOND
    assert (await store.events(about, limit=9, budget=NO_TIME)).searched_to == NOON + 3 * SECOND
    assert len(await store.events(about, limit=9)) == 4


async def indexed(store: Archive) -> None:
    """Where events are indexed by entity after their commit, wait for it."""
    if isinstance(store, SqliteStore):
        await store._writer.submit(index_batch)


# ---- unrouted, by type


def contact(number: int, after: timedelta = NO_TIME) -> RoutedEvent:
    one = routed(number, after=after)
    return replace(one, event=replace(one.event, entity="contacts", action="update"))


async def test_unrouted_events_are_counted_by_their_type(store: Archive) -> None:
    await store.keep(webhook(1), [routed(1), routed(2, to()), contact(3), contact(4)])
    await store.keep(webhook(2, after=HOUR), [contact(5, HOUR)])
    kinds = await store.questions.unrouted_kinds(Filter())
    assert [(each.entity, each.action, each.count, each.first_at, each.last_at) for each in kinds] == [
        ("contacts", "update", 3, NOON, NOON + HOUR),
        ("leads", "add", 1, NOON, NOON),
    ]
    assert kinds.searched_to is None
    since = await store.questions.unrouted_kinds(Filter(since=NOON + MINUTE))
    assert [(each.entity, each.count) for each in since] == [("contacts", 1)]
    before = await store.questions.unrouted_kinds(Filter(until=NOON + MINUTE, entity="contacts", target="bot"))
    assert [(each.entity, each.count) for each in before] == [("contacts", 2)]


@pytest.mark.usefixtures("small_steps")
async def test_unrouted_events_are_counted_within_a_budget(store: Archive) -> None:
    for number in range(1, 8):
        await arrive(store, number, after=number * SECOND)
    [kind] = kinds = await store.questions.unrouted_kinds(Filter(), budget=NO_TIME)
    assert (kind.count, kinds.searched_to) == (2, NOON + 5 * SECOND)
    [kind] = kinds = await store.questions.unrouted_kinds(Filter(), budget=MINUTE)
    assert (kind.count, kinds.searched_to) == (7, None)


# ---- refused


def refused(minute: int, source: str = "crm", reason: str = "too_large", count: int = 1) -> RefusedMinute:
    at = NOON + minute * MINUTE
    return RefusedMinute(
        minute=at,
        source=source,
        reason=reason,
        count=count,
        last_at=at + 7 * SECOND,
        detail="5 MiB",
        remote="192.0.2.7",
        address="POST /hooks",
    )


async def test_what_was_refused_is_listed_by_minute_newest_first(store: Archive) -> None:
    every = [refused(2), refused(1, "-", "unauthorized", 7), refused(1), refused(1, "crm", "unavailable"), refused(0)]
    await store.questions.record_refused(every[2:])
    await store.questions.record_refused(every[:2])
    assert await store.questions.refused(limit=9) == every
    first = await store.questions.refused(limit=2)
    then = await store.questions.refused(limit=9, before=first.next)
    assert first + then == every
    for asked, found in (
        ({"source": "-"}, every[1:2]),
        ({"reason": "unavailable"}, every[3:4]),
        ({"since": NOON + MINUTE + 30 * SECOND}, every[:4]),
        ({"until": NOON + MINUTE}, every[4:]),
        ({"reason": "misaddressed"}, []),
    ):
        assert await store.questions.refused(limit=9, **asked) == found, asked


async def test_what_was_refused_counts_once_if_it_is_recorded_again(store: Archive) -> None:
    for count in (1, 3, 3, 2):
        await store.questions.record_refused([refused(0, count=count)])
    [one] = await store.questions.refused(limit=9)
    assert one.count == 3


async def test_what_was_refused_a_month_ago_is_forgotten(store: Archive) -> None:
    month = 30 * 24 * 60
    await store.questions.record_refused([refused(0), refused(1)])
    await store.questions.record_refused([refused(month + 1)])
    assert await store.questions.refused(limit=9) == [refused(month + 1), refused(1)]
    await store.questions.record_refused([])


async def test_a_replay_can_be_narrowed_by_reason(store: Archive) -> None:
    await made(store)
    assert await store.replay(Filter(states=(State.DEAD,), reason="timeout"), act()) == 0
    assert await store.replay(Filter(states=(State.DEAD,), reason="4xx"), act()) == 1


# ---- the last success of a target, and its rate


async def test_when_a_target_was_delivered_to_last_outlives_the_relay_that_did(store: Archive) -> None:
    report = HealthReport(health=Health.OK, since=NOON, as_of=NOON, delivered_at=NOON + SECOND, rate=1.5)
    await store.publish_health({"bot": report, "dwh": replace(report, delivered_at=None)})
    await store.publish_health({"bot": replace(report, delivered_at=None, rate=0.0), "dwh": report})
    targets = (await store.status()).targets
    seen = {
        name: each.condition and (each.condition.delivered_at, each.condition.rate) for name, each in targets.items()
    }
    assert seen == {"bot": (NOON + SECOND, 0.0), "dwh": (NOON + SECOND, 1.5)}
