"""`relay.operations.overview` and `activity`: is all well, what to do, and what was counted lately."""

from dataclasses import replace
from datetime import timedelta

import pytest

from relay.errors import NotFoundError, RoutesInvalid
from relay.model import Health
from relay.operations.activity import ACTIVITY, SOURCES
from relay.operations.desk import Desk
from relay.operations.overview import OVERVIEW
from relay.operations.status import Everything
from relay.store.activity import Activity, Hits
from relay.store.contract import Archive
from relay.store.question_records import RefusedMinute
from relay.store.records import AuditEntry, HealthReport
from tests.cli.conftest import MINUTE, NOON
from tests.operations.conftest import OPERATOR, VIEWER, no_config

AT = NOON.timestamp()
THIS_MINUTE, THIS_HOUR = int(AT // 60), int(AT // 3600)
DAY = 24 * 3600
COUNTED = Activity(
    since=AT - 9 * DAY,
    delivered={"warehouse": {THIS_MINUTE: 3, THIS_MINUTE - 59: 1, THIS_MINUTE - 60: 8}},
    failed={"sales-bot": {THIS_MINUTE - 1: 2}},
    sources={"crm": Hits(since=AT - 9 * DAY, last=AT - 4, hours={THIS_HOUR: 5, THIS_HOUR - 23: 2, THIS_HOUR - 24: 9})},
    routes={
        "offer-made": Hits(since=AT - 9 * DAY, last=AT - 60, hours={THIS_HOUR: 5}),
        "talks-to-us": Hits(since=AT - 9 * DAY, last=AT - 8 * DAY),
        "everything-else": Hits(since=AT - DAY),
    },
)


def refused(reason: str, count: int, *, before: timedelta = MINUTE, source: str = "crm") -> RefusedMinute:
    at = NOON - before
    return RefusedMinute(
        minute=at, source=source, reason=reason, count=count, last_at=at, detail="canary", remote="192.0.2.7"
    )


async def test_attempts_of_the_last_hour_are_a_number_for_each_minute_the_present_one_last(
    store: Archive, desk: Desk
) -> None:
    await store.questions.record_activity(COUNTED, now=NOON)
    seen = await desk.ask(ACTIVITY, Everything())
    assert seen.since == NOON - timedelta(days=9)
    assert list(seen.targets) == ["sales-bot", "warehouse"]
    warehouse, bot = seen.targets["warehouse"], seen.targets["sales-bot"]
    assert (warehouse.delivered, sum(warehouse.failed)) == ((1, *[0] * 58, 3), 0)
    assert (sum(bot.delivered), bot.failed[-2:], len(bot.failed)) == (0, (2, 0), 60)


async def test_what_each_route_took_in_a_day_and_whether_it_took_nothing_for_a_week(store: Archive, desk: Desk) -> None:
    await store.questions.record_activity(COUNTED, now=NOON)
    routes = (await desk.ask(ACTIVITY, Everything())).routes
    assert [(each.route, each.hits_24h, each.silent_7d) for each in routes] == [
        ("offer-made", 5, False),
        ("talks-to-us", 0, True),
        ("everything-else", 0, None),
    ], "the last one is not known for seven days yet"


async def test_before_any_relay_has_counted_there_is_nothing_to_show(store: Archive, desk: Desk) -> None:
    with pytest.raises(NotFoundError, match="no relay has counted anything yet"):
        await desk.ask(ACTIVITY, Everything())
    [source] = (await desk.ask(SOURCES, Everything())).data
    assert (source.webhooks_24h, source.last_at, source.since) == (None, None, None)


async def test_a_source_says_what_came_what_was_refused_and_how_near_amocrm_is_to_switching_it_off(
    store: Archive, desk: Desk
) -> None:
    await store.questions.record_activity(COUNTED, now=NOON)
    every = [
        refused("unavailable", 3),
        refused("too_large", 2, before=timedelta(minutes=119)),
        refused("incomplete", 40, before=timedelta(minutes=121)),
        refused("refused_account", 5),
        refused("too_large", 900, before=timedelta(hours=24, minutes=1)),
        refused("unauthorized", 700, source="-"),
    ]
    await store.questions.record_refused(every)
    [source] = (await desk.ask(SOURCES, Everything())).data
    assert (source.source, source.address) == ("crm", "/hooks/crm/***")
    assert (source.webhooks_24h, source.last_at) == (7, NOON - timedelta(seconds=4))
    assert (source.refused_24h, source.failed_2h, source.most_failed) == (50, 5, 100)
    assert source.subscription is None


async def test_sources_are_those_of_the_routes_file(store: Archive) -> None:
    with pytest.raises(RoutesInvalid):
        await Desk(store, OPERATOR, config=no_config).ask(SOURCES, Everything())
    assert (await Desk(store, OPERATOR, config=no_config).ask(OVERVIEW, Everything())).sources == ()


async def test_each_finding_says_what_to_do_and_where_to_look_the_worst_first(store: Archive, desk: Desk) -> None:
    await store.pause("sales-bot", AuditEntry(id="1", at=NOON, who="olga", command="pause"))
    down = HealthReport(health=Health.OPEN, since=NOON - MINUTE, as_of=NOON, error="503")
    await store.publish_health({"warehouse": down})
    seen = await desk.ask(OVERVIEW, Everything())
    assert seen.level == "critical"
    assert seen.line == (
        "warehouse: circuit open 1 min ago: answers with errors (503); 2 unparsed; sales-bot: paused now; "
        "warehouse: 1 dead"
    )
    assert [(each.level, each.kind, each.target, each.page) for each in seen.problems] == [
        ("critical", "circuit_open", "warehouse", "/targets/warehouse"),
        ("warning", "unparsed", "", "/unparsed"),
        ("warning", "paused", "sales-bot", "/targets/sales-bot"),
        ("warning", "dead", "warehouse", "/deliveries?state=dead&target=warehouse"),
    ]
    assert all(each.advice for each in seen.problems)
    assert seen.problems[2].advice.startswith("relay resume sales-bot")


@pytest.mark.parametrize(("failed", "level"), [(49, None), (50, "warning"), (100, "critical")])
async def test_failed_answers_are_a_finding_before_amocrm_switches_the_webhook_off(
    failed: int, level: str | None, store: Archive, desk: Desk
) -> None:
    await store.questions.record_refused([refused("unavailable", failed)])
    found = [each for each in (await desk.ask(OVERVIEW, Everything())).problems if each.kind == "failed_answers"]
    assert [(each.level, each.source) for each in found] == ([(level, "crm")] if level else [])


async def test_a_viewer_sees_the_same_but_no_error_text(store: Archive, desk: Desk, config: object) -> None:
    down = HealthReport(health=Health.OPEN, since=NOON, as_of=NOON, error="canary of an answer")
    await store.publish_health({"warehouse": down})
    await store.questions.record_refused([refused("unauthorized", 1, source="-")])
    viewer = Desk(store, replace(VIEWER), config=desk.config)
    seen = await viewer.ask(OVERVIEW, Everything())
    assert "canary" not in str(seen)
    [died] = [each.deaths.why for each in seen.status.targets if each.deaths]
    assert died == "400 ***"
    assert seen.problems == (await desk.ask(OVERVIEW, Everything())).problems
