"""What relays did lately, and totals of what was refused: the promises of `question_contract`, for every store."""

from dataclasses import replace
from datetime import timedelta

from relay.store.activity import Activity, Hits, added, as_json, of_json
from relay.store.contract import Archive
from relay.store.question_records import RefusedTotal
from tests.store.conftest import MINUTE, NOON, Reopen
from tests.store.test_questions import refused

BUSY = Activity(
    since=1.5,
    delivered={"bot": {7: 3, 8: 1}},
    failed={"bot": {8: 2}, "dwh": {9: 1}},
    sources={"crm": Hits(since=1.0, last=9.5, hours={2: 4})},
    routes={"all": Hits(since=2.0)},
    unrouted={2: 3},
)


async def test_what_a_relay_did_replaces_what_it_did_before(store: Archive) -> None:
    assert (await store.questions.activity(), await store.questions.own_activity()) == ([], None)
    await store.questions.record_activity(Activity(since=0.0), now=NOON)
    await store.questions.record_activity(BUSY, now=NOON + MINUTE)
    assert await store.questions.activity() == [BUSY]
    assert await store.questions.own_activity() == BUSY


async def test_it_is_no_part_of_the_status(store: Archive) -> None:
    await store.publish("files", {}, now=NOON)
    await store.questions.record_activity(BUSY, now=NOON)
    assert (await store.status()).reports.keys() == {"files"}


async def test_a_store_that_is_opened_again_knows_it(opener: Reopen) -> None:
    first = opener(NOON)
    await first.questions.record_activity(BUSY, now=NOON)
    await first.close()
    second = opener(NOON + MINUTE)
    assert await second.questions.own_activity() == BUSY
    await second.close()


async def test_what_cannot_be_read_is_as_if_it_was_not_there(store: Archive) -> None:
    await store.publish("activity", {"since": "soon"}, now=NOON)
    assert (await store.questions.activity(), await store.questions.own_activity()) == ([], None)


async def test_a_report_is_known_by_the_relay_that_published_it(store: Archive) -> None:
    assert await store.questions.published("acts") == []
    await store.publish("acts", {"a": 1}, now=NOON)
    await store.publish("acts", {"b": 2}, now=NOON + MINUTE)
    await store.publish("files", {}, now=NOON)
    [found] = await store.questions.published("acts")
    assert (found.as_of, found.value, found.relay) == (NOON + MINUTE, {"b": 2}, store.questions.relay)


def test_what_is_stored_is_read_back() -> None:
    assert of_json(as_json(BUSY)) == BUSY
    assert of_json([]) is None


def test_what_several_relays_did_adds_up() -> None:
    other = Activity(
        since=1.0,
        delivered={"bot": {8: 5}},
        sources={"crm": Hits(since=3.0, last=4.0, hours={2: 1, 3: 1}), "site": Hits(since=3.0)},
        unrouted={2: 1, 4: 1},
    )
    assert added([]) is None
    assert added([BUSY, other]) == Activity(
        since=1.0,
        delivered={"bot": {7: 3, 8: 6}},
        failed=BUSY.failed,
        sources={"crm": Hits(since=1.0, last=9.5, hours={2: 5, 3: 1}), "site": Hits(since=3.0)},
        routes=BUSY.routes,
        unrouted={2: 4, 4: 1},
    )


async def test_refused_requests_are_counted_by_source_and_reason(store: Archive) -> None:
    every = [refused(0, count=9), refused(1, "-", "unauthorized", 7), refused(1), refused(3, count=2)]
    await store.questions.record_refused(every)
    assert await store.questions.refused_totals(since=NOON + MINUTE + timedelta(seconds=30)) == [
        RefusedTotal(source="-", reason="unauthorized", count=7, last_at=every[1].last_at),
        RefusedTotal(source="crm", reason="too_large", count=3, last_at=every[3].last_at),
    ]
    assert await store.questions.refused_totals(since=NOON + 4 * MINUTE) == []


def test_what_an_older_relay_recorded_is_read() -> None:
    document = as_json(BUSY)
    assert isinstance(document, dict)
    del document["unrouted"]
    assert of_json(document) == replace(BUSY, unrouted={})
