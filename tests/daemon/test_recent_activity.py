"""Recent activity: attempts, webhooks and routed events are counted by minute and hour, over restarts."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from relay.daemon import recent_activity
from relay.daemon.recent_activity import RecentActivity
from relay.errors import StoreBusy
from relay.model import Dead, Delivered, RoutedEvent, Verdict
from relay.signals import Attempted, ConfigActivated, DuplicateReceived, WebhookStored
from relay.store.activity import Activity, Hits
from tests.store.conftest import MINUTE, NOON, OK, open_sqlite, routed, to, webhook

BEGIN = NOON.timestamp()
FIRST_MINUTE, FIRST_HOUR = int(BEGIN // 60), int(BEGIN // 3600)
ROUTES = ConfigActivated(sources=["crm"], targets=["bot"], routes=["all", "rare"])


class Clock:
    def __init__(self) -> None:
        self.now = BEGIN
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return self.now


async def attempts(folder: Path, *verdicts: Verdict) -> list[Attempted]:
    store = open_sqlite(folder, NOON)
    [delivery] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    await store.close()
    return [Attempted(delivery=delivery, outcome=OK, verdict=each, lag=None) for each in verdicts]


def stored(*routes: str) -> WebhookStored:
    event: RoutedEvent = replace(routed(1), routes=routes)
    return WebhookStored(webhook=webhook(), routed=[event], deliveries=0, took=timedelta())


async def test_attempts_are_counted_by_target_and_minute_for_an_hour(tmp_path: Path) -> None:
    clock = Clock()
    recent = RecentActivity(clock)
    delivered, dead = await attempts(tmp_path, Delivered(), Dead("no"))
    for seconds, attempted in ((0, delivered), (59, delivered), (60, dead), (61, delivered)):
        clock.now = BEGIN + seconds
        recent.count(attempted)
    assert recent.report() == Activity(
        since=BEGIN,
        delivered={"bot": {FIRST_MINUTE: 2, FIRST_MINUTE + 1: 1}},
        failed={"bot": {FIRST_MINUTE + 1: 1}},
    )
    clock.now = BEGIN + 3600
    assert recent.report().delivered == {"bot": {FIRST_MINUTE + 1: 1}}
    clock.now = BEGIN + 3660
    assert recent.report() == Activity(since=BEGIN)


def test_webhooks_and_routed_events_are_counted_by_hour_for_a_day() -> None:
    clock = Clock()
    recent = RecentActivity(clock)
    recent.count(ROUTES)
    recent.count(stored("all"))
    recent.count(DuplicateReceived(webhook=webhook(), first="x", took=timedelta()))
    clock.now = BEGIN + 3600
    recent.count(stored("all"))
    recent.count(stored())
    report = recent.report()
    assert report.sources == {
        "crm": Hits(since=BEGIN, last=clock.now, hours={FIRST_HOUR: 2, FIRST_HOUR + 1: 2}),
    }
    assert report.routes == {
        "all": Hits(since=BEGIN, last=clock.now, hours={FIRST_HOUR: 1, FIRST_HOUR + 1: 1}),
        "rare": Hits(since=BEGIN),
    }
    assert report.unrouted == {FIRST_HOUR: 1, FIRST_HOUR + 1: 2}, "none of these was planned for a target"
    last, clock.now = clock.now, BEGIN + 24 * 3600
    assert recent.report().unrouted == {FIRST_HOUR + 1: 2}
    assert recent.report().routes["all"] == Hits(since=BEGIN, last=last, hours={FIRST_HOUR + 1: 1})


def test_what_the_routes_file_no_longer_names_is_forgotten_and_what_is_new_is_known_since_then() -> None:
    clock = Clock()
    recent = RecentActivity(clock)
    recent.count(ROUTES)
    clock.now += 7
    recent.count(replace(ROUTES, routes=["all", "new"]))
    assert recent.report().routes == {"all": Hits(since=BEGIN), "new": Hits(since=BEGIN + 7)}


def test_a_restart_goes_on_with_what_was_counted_before() -> None:
    clock = Clock()
    first = RecentActivity(clock)
    first.count(ROUTES)
    first.count(stored("rare"))
    before = replace(first.report(), delivered={"bot": {FIRST_MINUTE: 4}})
    clock.now += 90
    second = RecentActivity(clock)
    second.count(replace(ROUTES, routes=["rare"]))
    second.recall(before)
    second.count(stored("rare"))
    for _again in range(2):
        report = second.report()
        assert report.since == BEGIN
        assert report.delivered == {"bot": {FIRST_MINUTE: 4}}
        assert report.sources == {"crm": Hits(since=BEGIN, last=clock.now, hours={FIRST_HOUR: 2})}
        assert report.routes == {"rare": Hits(since=BEGIN, last=clock.now, hours={FIRST_HOUR: 2})}
        assert report.unrouted == {FIRST_HOUR: 2}
    clock.now += 24 * 3600
    assert (second.report().delivered, second.report().unrouted) == ({}, {})
    assert second.report().sources["crm"].hours == {}


class Busy:
    """A store that is away for the first two calls, and says when something was recorded."""

    def __init__(self, before: Activity | None) -> None:
        self.before = before
        self.failures = 2
        self.recorded: list[Activity] = []
        self.done = asyncio.Event()

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreBusy("away")

    async def own_activity(self) -> Activity | None:
        self._fail()
        return self.before

    async def record_activity(self, activity: Activity, *, now: datetime) -> None:
        self._fail()
        self.recorded.append(activity)
        self.done.set()


async def test_what_was_counted_before_is_taken_over_once_the_store_can_be_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_activity, "RECORD_EVERY", 0.001)
    clock = Clock()
    recent = RecentActivity(clock)
    recent.count(ROUTES)
    recent.count(stored("rare"))
    store = Busy(Activity(since=BEGIN - 60, routes={"rare": Hits(since=BEGIN - 60, hours={FIRST_HOUR: 2})}))
    recording = asyncio.ensure_future(recent.keep_recording(store, lambda: NOON))  # type: ignore[arg-type]
    await store.done.wait()
    turns = clock.asked + 20
    while clock.asked < turns:  # noqa: ASYNC110  whoever asks it is real, and knows no event
        await asyncio.sleep(0)
    recording.cancel()
    assert store.recorded[0].since == BEGIN - 60
    assert store.recorded[0].routes["rare"] == Hits(since=BEGIN - 60, last=BEGIN, hours={FIRST_HOUR: 3})
    assert len(store.recorded) == 1, "what has not changed is not recorded again"
