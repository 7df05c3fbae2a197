"""As `test_plans`: what operators ask and do uses its indexes with a history of 400,000 deliveries, 40,000 pending."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from relay.model import Retention, State
from relay.store.postgres import dismiss, erasure, purge, reading, replay, status
from relay.store.postgres.arrays import Blobs, Numbers, Texts
from relay.store.postgres.filters import filter_sql
from relay.store.records import Filter
from tests.postgres import Cluster
from tests.store import plans
from tests.store.conftest import NOON
from tests.store.test_plans import check

EVENTS = list(range(1000, 1100))
TARGETS = ["dwh"] * 100


@pytest.fixture(scope="module")
def history(postgres: Cluster) -> str:
    """With an attempt of each delivery that was made."""
    name = asyncio.run(plans.made(postgres))
    with psycopg.connect(postgres.dsn(name), autocommit=True) as connection:
        connection.execute(
            "insert into attempts (event, target, number, started_at, took_us, verdict, reason, status, detail)"
            " select event, target, 1, 0, 0, 'delivered', '2xx', 200, '' from deliveries where state = 'delivered'"
        )
        connection.execute("vacuum analyze attempts")
    return name


def page(wanted: Filter) -> tuple[str, Mapping[str, Any]]:
    where, values = filter_sql(wanted)
    place = {"now": 0, "last": -1, "seq": 1000, "name": "", "limit": 100}
    return replay.PAGE.format(which=replay.which(wanted), where=where), {**values, **place}


def test_a_status_counts_within_partial_indexes(postgres: Cluster, history: str) -> None:
    check(
        postgres, history, *status.statements(), scanned=plans.SCANNED | {"losses", "dismissed", "pg_class", "pg_index"}
    )


def test_unrouted_events_of_a_large_store_are_counted_only_by_their_index(postgres: Cluster, history: str) -> None:
    with psycopg.connect(postgres.dsn(history)) as connection:
        connection.execute("update events set unrouted = 1 where seq <= 3")
        counted = [connection.execute(status.UNROUTED.encode(), (9,)).fetchone()]
        connection.execute("drop index events_unrouted")
        counted.append(connection.execute(status.UNROUTED.encode(), (9,)).fetchone())
        connection.rollback()
    assert counted == [(3,), (0,)]


@pytest.mark.parametrize("start", ["webhook-00000123", "event-00000123", "event-000001"])
def test_a_start_of_an_id_is_looked_up_in_both_indexes(postgres: Cluster, history: str, start: str) -> None:
    check(postgres, history, (reading.STARTING, {"first": start, "end": f"{start}\U0010ffff", "limit": 2}))


def test_a_purge_reads_its_page_and_what_hangs_on_it_alone(postgres: Cluster, history: str) -> None:
    before = purge.ages(Retention(), NOON)
    check(
        postgres,
        history,
        (purge.LOOK.format(limit=purge.PAGE), {**before, "at": before["newest"] - 10_000_000, "seq": 0}),
        (purge.LOCK, (EVENTS,)),
        (purge.MAY_STILL_GO, {**before, "seqs": EVENTS}),
        *((f"delete from {rows} = any(%s::bigint[])", (EVENTS,)) for rows in purge.DELETE),
        scanned=plans.SCANNED | {"webhooks_received_at"},
    )


def test_a_purge_reads_its_page_in_the_order_of_its_index(postgres: Cluster, history: str) -> None:
    with plans.planner(postgres, history) as planner:
        for kind, plan in planner.plans(
            (purge.LOOK.format(limit=purge.PAGE), {**purge.ages(Retention(), NOON), "at": -1, "seq": 0})
        ).items():
            assert "Bitmap" not in json.dumps(plan), (kind, json.dumps(plan, indent=1))


@pytest.mark.parametrize(
    "wanted",
    [Filter(states=(State.DELIVERED,)), Filter(entity_id="77"), Filter(event_ids=("event-00000123",)), Filter()],
    ids=str,
)
def test_a_replay_finds_its_page_by_indexes_alone(postgres: Cluster, history: str, wanted: Filter) -> None:
    check(postgres, history, page(wanted))


@pytest.mark.parametrize("target", [None, "old"])
def test_a_replay_of_what_is_dead_does_not_read_what_is_delivered(
    postgres: Cluster, history: str, target: str | None
) -> None:
    with plans.planner(postgres, history) as planner:
        for kind, plan in planner.plans(page(Filter(states=(State.DEAD,), target=target))).items():
            assert '"Index Name": "deliveries_died"' in json.dumps(plan), (kind, json.dumps(plan, indent=1))


def test_a_replay_changes_its_page_alone(postgres: Cluster, history: str) -> None:
    locked = replay.LOCKED.format(which=replay.which(Filter()))
    ones = [1] * 100
    check(
        postgres,
        history,
        (locked, {"now": 0, "last": -1, "events": EVENTS, "targets": TARGETS}),
        (replay.REPLAY, [EVENTS, TARGETS, ones, [each % 2 == 0 for each in EVENTS], [False] * 100]),
    )


@pytest.mark.parametrize("wanted", [Filter(target="old"), Filter(), Filter(since=NOON)], ids=str)
def test_what_can_be_dismissed_is_found_by_its_index_however_much_was_dismissed(
    postgres: Cluster, history: str, wanted: Filter
) -> None:
    where, values = filter_sql(wanted)
    page = dismiss.PAGE.format(where=where)
    ids = [f"webhook-{n:08}" for n in range(1, 101)]
    check(
        postgres,
        history,
        (page, {**values, "name": "bot", "seq": 1000, "limit": 100}),
        (dismiss.DISMISS, (TARGETS, EVENTS, 1)),
        (dismiss.DISMISS_UNPARSED, (ids, 1)),
    )


def test_what_is_dropped_is_found_by_the_indexes_of_what_is_pending(postgres: Cluster, history: str) -> None:
    check(
        postgres,
        history,
        (dismiss.PENDING, {"target": "dwh", "last": plans.EVENTS, "limit": 100}),
        (dismiss.DROP, {"events": EVENTS, "target": "dwh", "at": 1, "why": "dropped"}),
    )


def test_webhooks_are_listed_by_their_arrival_and_read_by_their_keys(postgres: Cluster, history: str) -> None:
    page = {"at": 1795000000000 + plans.EVENTS * 50, "seq": 0, "end": 1795000000000 + plans.EVENTS * 60, "limit": 50}
    check(postgres, history, (reading.BY_ARRIVAL, page), scanned=plans.SCANNED | {"webhooks_received_at"})
    by_key = ((sql, (EVENTS,)) for sql in (*reading.BY_SEQ, purge.SIZES))
    check(postgres, history, *by_key, scanned=plans.SCANNED | {"dismissed"})  # which is small here


def test_a_start_that_is_looked_up_by_or_is_found(postgres: Cluster, history: str) -> None:
    slow = "select id from webhooks where id >= %s or seq in (select webhook from events where id >= %s) limit 2"
    with pytest.raises(AssertionError):
        check(postgres, history, (slow, ("event-00000123", "event-00000123")))


def test_an_erasure_finds_what_it_erases_by_keys_alone(postgres: Cluster, history: str) -> None:
    seqs, blobs = Numbers(EVENTS), Blobs([b"x"] * len(EVENTS))
    texts = Texts([""] * len(EVENTS))
    events = {"events": seqs, "now": 1, "why": "erased"}
    check(
        postgres,
        history,
        (erasure.SIZES, (1000, 200)),
        (erasure.WEBHOOKS, (seqs,)),
        (erasure.EVENTS, (seqs,)),
        (erasure.ERASE_WEBHOOKS, (seqs, blobs, blobs, texts, texts)),
        (erasure.ERASE_EVENTS, (seqs, blobs, blobs, seqs)),
        (erasure.ERASE_ENRICHMENTS, (blobs, texts, blobs, seqs)),
        (erasure.ERASE_ATTEMPTS, (seqs,)),
        (erasure.REQUESTS, (seqs,)),
        (erasure.ATTEMPTS, (0, "", 0, 1000)),
        (erasure.KILL, events),
        (erasure.DISMISS, events),
        scanned=plans.SCANNED | {"attempts_pkey", "attempts"},
    )
