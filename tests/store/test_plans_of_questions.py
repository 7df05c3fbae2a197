"""What operators ask reads its step, or what an index leads to: no statement scans the history, on either store."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from relay.model import State
from relay.store import cursors, looks, refused_rows
from relay.store.audit_filter import AuditFilter
from relay.store.contract import Archive
from relay.store.heal_rows import UNROUTED
from relay.store.postgres import attempts, audit, listings, questions
from relay.store.postgres.connection import Connection
from relay.store.postgres.filters import filter_sql
from relay.store.postgres.migrate import build_indexes
from relay.store.question_records import AttemptFilter
from relay.store.records import Filter
from relay.store.sqlite.entity_index import index_batch
from tests.postgres import Cluster
from tests.store import plans
from tests.store.conftest import MINUTE, NOON, open_sqlite, routed, to, webhook
from tests.store.test_plans import check

FILTERS = [
    Filter(),
    Filter(target="bot"),
    Filter(route="all", pipeline_id="4", entity="leads", action="status"),
    Filter(source="crm", account="1", reason="timeout"),
    Filter(since=NOON, until=NOON + MINUTE),
    Filter(settled_since=NOON, settled_until=NOON + MINUTE),
    Filter(replayed_since=NOON, replayed_until=NOON + MINUTE, dismissed_at=NOON),
    Filter(states=(State.PENDING,)),
    Filter(states=(State.DEAD, State.PENDING), target="bot"),
    Filter(states=(State.DELIVERED,)),
    Filter(entity_id="7", target="bot"),
    Filter(event_ids=("event-0001", "event-0002")),
]
ATTEMPTS = [
    AttemptFilter(),
    AttemptFilter(failed=True),
    AttemptFilter(failed=True, target="bot", reason="timeout", since=NOON, until=NOON + MINUTE),
    AttemptFilter(target="bot", since=NOON, until=NOON + MINUTE),
    AttemptFilter(slower=MINUTE),
    AttemptFilter(slower=MINUTE, failed=True, target="bot", since=NOON, until=NOON + MINUTE),
]

AUDITS: list[dict[str, Any]] = [
    {},
    {"since": NOON, "until": NOON + MINUTE},
    {"who": "olga", "command": "replay", "since": NOON},
    {"id_": "act-0001"},
]


async def ask_all(store: Archive) -> None:
    for wanted in FILTERS:
        for budget in (None, timedelta()):
            page = await store.find(wanted, limit=1, budget=budget)
            await store.find(wanted, limit=1, before=page.next, budget=budget)
            await store.events(wanted, limit=1, unrouted=True, budget=budget)
        if not wanted.event_ids and wanted.entity_id is None:
            await store.questions.unrouted_kinds(wanted)
    for asked in ATTEMPTS:
        await store.questions.attempts(asked, limit=1)
    await store.questions.story("leads", "7", limit=1)
    await store.questions.refused(limit=1)
    await store.questions.refused_totals(since=NOON)
    await store.questions.activity()
    for wanted in AUDITS:
        page = await store.audit(limit=1, **wanted)
        await store.audit(limit=1, before=page.next, **wanted)


@pytest.mark.parametrize("few", [0, looks.FEW])
async def test_no_question_scans_the_history_of_sqlite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(looks, "FEW", few)
    store = open_sqlite(tmp_path, NOON)
    for number in (1, 2, 3):
        await store.keep(webhook(number), [routed(number, to())])
    await store._writer.submit(index_batch)
    asked: dict[str, object] = {}

    def note(_cursor: apsw.Cursor, sql: str, values: object) -> bool:
        asked[sql] = values
        return True

    store._reader.set_exec_trace(note)
    await ask_all(store)
    store._reader.set_exec_trace(None)
    found = {
        (line, sql)
        for sql, values in asked.items()
        for _id, _parent, _unused, line in store._reader.execute("explain query plan " + sql, values)
        if line.startswith("SCAN")
    }
    await store.close()
    assert len(asked) >= 27
    few = (
        "SCAN segments",  # one for each 16,384 events
        "SCAN entity_indexed",
        "SCAN CONSTANT ROW",
        "SCAN json_each",  # of what is given
        "SCAN value VIRTUAL TABLE",
        "SCAN i",  # of what is given, or what is pending or dead while that is little
        "SCAN (subquery",
        "SCAN a",  # the attempts of one step
    )
    partial = ("INDEX deliveries_died", "INDEX deliveries_due")
    scans = {
        (line, sql) for line, sql in found if not line.startswith(few) and not any(map(line.__contains__, partial))
    }
    assert scans == set()


# ---- PostgreSQL


@pytest.fixture(scope="module")
def history(postgres: Cluster) -> Iterator[str]:
    """With an attempt of each delivery that was made, of which some failed or were late."""
    name = asyncio.run(plans.made(postgres))
    with psycopg.connect(postgres.dsn(name), autocommit=True) as connection:
        connection.execute(
            "insert into attempts (event, target, number, started_at, took_us, verdict, reason, status, detail, late)"
            " select event, target, 1, pending_since + 10, 0,"
            " case when event % 1000 = 0 then 'retry' else 'delivered' end, '2xx', 200, '',"
            " case when event % 500 = 0 then 1 else 0 end from deliveries where state = 'delivered'"
        )
        connection.execute(
            "insert into audit (seq, id, at, who, command, details, count)"
            " select nextval('audit_changes'), format('act-%s', n), 1795000000000 + n * 1000, 'olga', 'replay', '{}', 1"
            " from generate_series(1, 20000) n"
        )
        connection.execute("update deliveries set state = 'dead', why = 'no' where event < 500 and target = 'bot'")
        asyncio.run(built(postgres.dsn(name)))
        connection.execute("vacuum analyze")
    yield name


async def built(dsn: str) -> None:
    connection = Connection(dsn, name="indexes")
    await build_indexes(connection)
    await connection.close()


LATEST = 1795000000000 + plans.EVENTS * 100
PLACE = {"at": LATEST - 1000, "webhook": 10**9, "past_event": 10**9, "past_target": ""}
BOUNDS = {"end_at": LATEST - 201_000, "end_webhook": 0, "least": 0, "step": looks.STEP, "limit": 51}
BY_RANGE = plans.SCANNED | {"webhooks_received_at", "heal_events"}  # that is empty here


@pytest.mark.parametrize("number", range(7))
def test_a_step_of_a_listing_reads_its_webhooks_and_what_hangs_on_them(
    postgres: Cluster, history: str, number: int
) -> None:
    wanted = FILTERS[number]
    where, values = filter_sql(wanted)
    of_events, event_values = filter_sql(wanted.of_events())
    kinds = questions.KINDS.format(where=of_events)
    later = listings.EVENTS.format(which=UNROUTED, where=of_events)
    ahead = {**PLACE, **BOUNDS, "end_at": LATEST, "at": LATEST - 200_000, "most": LATEST}
    check(
        postgres,
        history,
        (listings.END, {**PLACE, **BOUNDS}),
        (listings.WALK.format(where=where), {**values, **PLACE, **BOUNDS}),
        (kinds, {**event_values, **PLACE, **BOUNDS}),
        (listings.END_LATER, ahead),
        (later, {**event_values, **ahead}),
        scanned=BY_RANGE,
    )


@pytest.mark.parametrize("number", [-1, -2])
def test_a_listing_by_id_is_led_by_an_index(postgres: Cluster, history: str, number: int) -> None:
    wanted = FILTERS[number]
    where, values = filter_sql(wanted)
    of_events, event_values = filter_sql(wanted.of_events())
    by_id = listings.EVENTS_BY_ID.format(which=UNROUTED, where=of_events)
    check(
        postgres,
        history,
        (listings.BY_EVENT.format(where=where), {**values, **PLACE, "limit": 51}),
        (by_id, {**event_values, **PLACE, "limit": 51}),
        (questions.STORY.format(where=of_events), {**event_values, **PLACE, "limit": 51}),
        (questions.STORY_DELIVERIES, {"events": list(range(1000, 1050))}),
        scanned=plans.SCANNED | {"heal_events"},
    )


def test_a_long_story_is_counted_by_an_index_and_read_step_by_step(postgres: Cluster, history: str) -> None:
    where, values = filter_sql(Filter(entity="leads", entity_id="7"))
    about, about_values = filter_sql(Filter(entity_id="7"))
    check(
        postgres,
        history,
        (listings.COUNT_ABOUT.format(where=about), about_values),
        (questions.STORY_WALK.format(where=where), {**values, **PLACE, **BOUNDS}),
        (listings.WALK.format(where=where), {**values, **PLACE, **BOUNDS}),
        (listings.EVENTS.format(which=UNROUTED, where=where), {**values, **PLACE, **BOUNDS, "end_at": LATEST}),
        scanned=BY_RANGE,
    )


@pytest.mark.parametrize("states", [(State.PENDING,), (State.DEAD,), (State.PENDING, State.DEAD)])
def test_what_is_pending_or_dead_is_counted_and_read_within_partial_indexes(
    postgres: Cluster, history: str, states: tuple[State, ...]
) -> None:
    where, values = filter_sql(Filter(states=states))
    unsettled = " union all ".join(listings.UNSETTLED[each] for each in states)
    by_state = listings.BY_STATE.replace("{unsettled}", unsettled).format(where=where)
    check(
        postgres,
        history,
        (listings.COUNT.format(unsettled=unsettled), {}),
        (by_state, {**values, **PLACE, "limit": 51}),
    )


@pytest.mark.parametrize(
    "wanted",
    [{"only": None, "reason": None, "slower": None}, {"only": "bot", "reason": "timeout", "slower": 2_000_000}],
)
def test_attempts_are_read_by_their_indexes_and_by_the_webhooks_of_their_step(
    postgres: Cluster, history: str, wanted: dict[str, Any]
) -> None:
    place = {"at": LATEST - 10_000_000, "event": 0, "target": "", "number": 0}
    end = {"end_at": LATEST - 12_000_000, "end_event": 0, "end_target": "", "end_number": 0}
    step = {"step": looks.STEP, "limit": 51, "least": LATEST - 10_050_000, "late": 5000}
    check(
        postgres,
        history,
        (attempts.FAILED_END, {**place, **step}),
        (attempts.FAILED, {**wanted, **place, **end, **step}),
        (attempts.ARRIVED_BEFORE, {**place, **step}),
        (attempts.ALL, {**wanted, **place, **step}),
        scanned=BY_RANGE,
    )


def test_what_was_refused_is_read_by_its_key(postgres: Cluster, history: str) -> None:
    values = refused_rows.values(None, None, None, None, 50, None)
    totals = (questions.REFUSED_TOTALS, (LATEST,))
    activity = (questions.ACTIVITY, ("activity",))
    check(postgres, history, (questions.REFUSED, values), totals, activity, scanned={*plans.SCANNED, "refused"})


@pytest.mark.parametrize("wanted", AUDITS)
def test_a_page_of_the_audit_is_led_by_an_index(postgres: Cluster, history: str, wanted: dict[str, Any]) -> None:
    named = {name.rstrip("_"): value for name, value in wanted.items()}
    check(
        postgres,
        history,
        audit.latest_statement(50, None, AuditFilter(**named)),
        audit.latest_statement(50, cursors.cursor("audit", (LATEST, "act-1")), AuditFilter(**named)),
    )
