"""/: is all well, what to do, targets with their last hour, sources, the routes file, relays; and how to begin."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from relay.admin.api.asking import Asking
from relay.admin.console.languages import COOKIE
from relay.admin.console.spark import HEIGHT, LEAST, spark
from relay.amocrm import events, form, sample_bodies
from relay.amocrm.events import dump
from relay.errors import StoreBusy
from relay.model import Health, RoutedEvent
from relay.observe import EventStream
from relay.operations.documents.activity import LastHourDocument
from relay.routes.config import Config
from relay.store.activity import Activity, Hits
from relay.store.contract import Archive
from relay.store.question_records import RefusedMinute
from relay.store.records import AuditEntry, HealthReport
from relay.store.sqlite.store import SqliteStore
from tests.admin.console.conftest import FOLLOWED, OPERATOR, VIEWER, Client, Seen, see, sent
from tests.admin.console.test_live import EVENTS, event
from tests.cli.conftest import MINUTE, NOON, OFFER, event_of, unread

AT = NOON.timestamp()
DOWN = HealthReport(
    health=Health.OPEN, since=NOON - 14 * MINUTE, as_of=NOON, error="503 <b>busy</b>", probe_at=NOON + MINUTE
)
FILES = {
    "loaded": [{"file": "routes.yaml", "written_at": None, "loaded_at": "2026-11-22T09:12:00.000Z", "warning": ""}],
    "refused": [{"at": "2026-11-22T10:00:00.000Z", "files": [], "problems": ["routes.yaml:41:3 targt: no such key"]}],
}


async def test_each_finding_has_a_title_what_to_do_and_a_link(browser: Client, store: Archive) -> None:
    await store.publish_health({"warehouse": DOWN})
    await store.pause("sales-bot", AuditEntry(id="1", at=NOON, who="olga", command="pause", details={"reason": "move"}))
    seen = await see(browser, "/")
    assert "4 things need you." in seen.text
    assert "warehouse: circuit open for 14 min: answers with errors (503)" in seen.text
    assert "Nothing is lost; the backlog follows by itself." in seen.text
    assert "sales-bot: paused for 0 s" in seen.text and "2 webhooks could not be read." in seen.text
    for link in ("/targets/warehouse", "/unparsed", "/deliveries?state=dead&target=warehouse", "/targets/sales-bot"):
        assert link in seen.links, link


async def test_what_was_not_read_or_taken_or_let_in_is_counted_without_an_alarm(fresh: Client, empty: Archive) -> None:
    body = sample_bodies.body("leads.add")
    found = events.read(body, source="crm", received_at=NOON, new_id=lambda: event_of(OFFER))
    await empty.keep(unread(OFFER, form.encode(body)), [RoutedEvent(event=each, payload=dump(each)) for each in found])
    seen = await see(fresh, "/")
    assert "All is well." in seen.text and "1 event that no route took" in seen.text
    assert "1 event is kept and was sent to no target, as no route takes it: no fault" in seen.text
    assert "0 webhooks could not be read" in seen.text and "0 requests refused in 24 h" in seen.text
    assert {"/unparsed", "/unrouted", "/refused"} <= set(seen.links)


async def test_what_no_route_took_within_a_day_is_a_line_to_look_at(fresh: Client, empty: Archive) -> None:
    hour = int(AT // 3600)
    counted = Activity(since=AT - 90_000, unrouted={hour: 2, hour - 23: 1, hour - 24: 40})
    await empty.questions.record_activity(counted, now=NOON)
    assert "taken by no route" not in (await see(fresh, "/")).text, "none is there any more"
    body = sample_bodies.body("leads.add")
    found = events.read(body, source="crm", received_at=NOON, new_id=lambda: event_of(OFFER))
    await empty.keep(unread(OFFER, form.encode(body)), [RoutedEvent(event=each, payload=dump(each)) for each in found])
    seen = await see(fresh, "/")
    assert "All is well." in seen.text and "3 events of the last 24 hours were taken by no route." in seen.text
    assert "/unrouted?since=24h" in seen.links


async def test_all_is_not_well_while_something_is_dead(browser: Client) -> None:
    seen = await see(browser, "/")
    assert "All is well." not in seen.text and "warehouse: 1 dead delivery" in seen.text
    assert "It died 0 s ago: 400 is in dead_on" in seen.text


async def test_a_target_that_fails_says_why_and_when_it_is_probed(browser: Client, store: Archive) -> None:
    await store.publish_health({"warehouse": DOWN})
    seen = await see(browser, "/")
    assert "Failing since 2026-11-22 11:46:00 : answers with errors (503); only probes" in seen.text
    assert "only probes are sent: 503 <b>busy</b>; next probe in 1 min" in seen.text
    assert "<b>busy" not in seen.source, "what a target answers is text"


@pytest.mark.parametrize(
    ("error", "english", "russian"),
    [
        ("5xx 503 busy", "answers with errors (503)", "отвечает ошибками (503)"),
        ("timeout no answer in time", "does not answer (timeout)", "не отвечает (нет ответа вовремя)"),
        ("connect refused", "does not answer (connect)", "не отвечает (нет соединения)"),
    ],
)
async def test_a_target_that_answers_with_errors_is_none_that_does_not_answer(
    browser: Client, store: Archive, error: str, english: str, russian: str
) -> None:
    await store.publish_health({"warehouse": replace(DOWN, error=error)})
    for page in ("/", "/targets/warehouse", "/deliveries?target=warehouse"):
        for language, said in (("en", english), ("ru", russian)):
            seen = await see(browser, page, headers={"Cookie": f"{COOKIE}={language}"})
            assert said in seen.text or page.startswith("/deliveries")
            assert ("не отвечает" in seen.text) == ("не отвечает" in said and not page.startswith("/deliveries"))


async def test_what_a_target_answers_is_said_once(browser: Client, store: Archive) -> None:
    for error, said in (
        ("5xx 503", "only probes are sent; next probe"),
        ("timeout", "only probes are sent; next probe"),
        ("5xx 503 busy", "only probes are sent: 5xx 503 busy; next probe"),
        ("connect refused", "only probes are sent: connect refused; next probe"),
    ):
        await store.publish_health({"warehouse": replace(DOWN, error=error)})
        assert said in (await see(browser, "/")).text


async def test_all_is_well_if_nothing_is_wrong(fresh: Client, empty: Archive) -> None:
    await empty.questions.record_activity(
        Activity(since=AT - 60, delivered={"warehouse": {int(AT // 60): 3}}), now=NOON
    )
    seen = await see(fresh, "/")
    assert "All is well." in seen.text and "What to do" not in seen.text
    assert "Last hour: 3 delivered, 0 failed" in seen.source
    assert len(re.findall(r"<rect", seen.source)) == 1


async def test_the_first_start_shows_the_address_how_to_try_it_and_a_sample(fresh: Client) -> None:
    seen = await see(fresh, "/")
    assert "No webhook has come yet." in seen.text
    assert "https:// YOUR-ADDRESS /hooks/crm/***" in seen.text.replace("https://YOUR-ADDRESS", "https:// YOUR-ADDRESS ")
    assert "relay send --event leads.status" in seen.text
    assert "canary" not in seen.source
    assert [each["action"] for each in seen.forms if (each["action"] or "").endswith("/sample")] == [
        "/sources/crm/sample"
    ]


async def test_once_a_webhook_came_it_shows_no_beginning(browser: Client) -> None:
    assert "How to begin" not in (await see(browser, "/")).text


async def test_sources_say_how_near_amocrm_is_to_switching_them_off(browser: Client, store: Archive) -> None:
    refused = RefusedMinute(
        minute=NOON, source="crm", reason="unavailable", count=51, last_at=NOON, detail="", remote=""
    )
    await store.questions.record_refused([refused])
    await store.questions.record_activity(
        Activity(since=AT - 60, sources={"crm": Hits(since=AT - 60, last=AT - 4, hours={int(AT // 3600): 1312})}),
        now=NOON,
    )
    seen = await see(browser, "/")
    assert "crm 4 s 1 312 51" in seen.text
    assert "51 of 100 not watched" in seen.text
    assert "crm: 51 failed answers in 2 h" in seen.text


async def test_a_newer_routes_file_that_is_refused_is_quoted_and_silent_routes_are_named(
    browser: Client, store: Archive
) -> None:
    await store.publish("files", FILES, now=NOON)
    routes = {"talks-to-us": Hits(since=AT - 8 * 86_400), "offer-made": Hits(since=AT - 8 * 86_400, last=AT)}
    await store.questions.record_activity(Activity(since=AT, routes=routes), now=NOON)
    seen = await see(browser, "/")
    assert "routes.yaml in force since 2026-11-22" in seen.text and 'title="2026-11-22 09:12:00 UTC"' in seen.source
    assert "it was refused, and the one above stays: routes.yaml:41:3 targt: no such key" in seen.text
    assert "routes.yaml on disk is not what runs: it was refused 2 h ago." in seen.text
    assert "First error: routes.yaml:41:3 targt: no such key – mend it in the file" in seen.text
    assert "1 route took nothing in 7 days: talks-to-us" in seen.text


async def test_while_the_store_is_busy_the_page_stands_as_it_was(
    browser: Client, guarded: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await see(browser, "/")

    async def busy() -> None:
        raise StoreBusy("the database is locked")

    monkeypatch.setattr(store, "status", busy)
    seen = await see(browser, "/")
    assert "this is how it was: the database is locked as of 2026-11-22 12:00:00" in seen.text
    assert before.text[before.text.index("Targets") :] in seen.text
    answer = await guarded.get("/", headers=OPERATOR)
    assert answer.status == 503, "what was never seen cannot stand"


async def test_what_stands_for_an_operator_is_not_shown_to_a_viewer(
    guarded: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.publish_health({"warehouse": DOWN})
    assert "busy" in (await see(guarded, "/", headers=OPERATOR)).text

    async def busy() -> None:
        raise StoreBusy("no")

    monkeypatch.setattr(store, "status", busy)
    assert (await guarded.get("/", headers=VIEWER)).status == 503


async def test_a_viewer_sees_states_and_findings_but_no_answers_and_no_acts(guarded: Client, store: Archive) -> None:
    await store.publish_health({"warehouse": DOWN})
    seen = await see(guarded, "/", headers=VIEWER)
    assert "warehouse: circuit open for 14 min" in seen.text
    assert "busy" not in seen.text
    posts = [each["action"] or "" for each in seen.forms if each["method"] == "post"]
    assert not [each for each in posts if each.startswith(("/targets", "/sources"))]


async def test_its_content_renews_itself_with_forms_that_lead_back_to_the_page(
    browser: Client, store: Archive, live: EventStream
) -> None:
    seen = await see(browser, "/")
    assert 'data-hx-sse:connect="/overview/stream"' in seen.source
    sent_ = Seen(await event(browser, "/overview/stream", live))
    assert sent_.form("/targets/warehouse/pause")["back"] == "/"
    assert sent_.text in seen.text, "it is what the page has"


async def test_who_watch_it_at_once_have_a_key_for_each_form_of_their_own(
    browser: Client, store: Archive, live: EventStream
) -> None:
    await store.publish_health({"warehouse": DOWN})
    made: list[str] = []
    async with browser.get("/overview/stream", headers=EVENTS) as open_before:
        while (line := (await open_before.content.readline()).decode()) != "\n" or not made:
            made += re.findall('name="key" value="([^"]*)"', line)
        other = re.findall('name="key" value="([^"]*)"', await event(browser, "/overview/stream", live))
    assert len(other) > 1 and len({*made, *other}) == len(made) + len(other) == 2 * len(other)


async def test_after_an_act_no_stream_sends_what_was_made_before_it(
    browser: Client, store: Archive, live: EventStream
) -> None:
    await store.publish_health({"warehouse": DOWN})
    async with browser.get("/overview/stream", headers=EVENTS) as open_before:
        await open_before.content.readline()
        await sent(browser, await see(browser, "/"), "/targets/warehouse/pause", reason="move")
        now = Seen(await event(browser, "/overview/stream", live))
    assert "Resume" in now.text and "warehouse: paused for 0 s" in now.text
    assert "circuit open" not in now.text


async def test_without_scripts_it_loads_again_if_that_is_asked_for(browser: Client) -> None:
    assert "/?refresh=1" in (await see(browser, "/")).links
    assert '<meta http-equiv="refresh" content="10">' in (await see(browser, "/?refresh=1")).source


async def test_what_is_dead_is_counted_before_it_is_replayed(browser: Client) -> None:
    for page in ("/", "/targets/warehouse"):
        counted = await sent(browser, await see(browser, page), "/deliveries/replay/count")
        assert "state=dead&target=warehouse" in "".join(counted.links)


# ---- sparklines


def test_the_tallest_minute_fills_the_box_and_failures_stand_on_top() -> None:
    hour = LastHourDocument(delivered=(0, 10, 1, 0), failed=(0, 10, 0, 4))
    drawn = spark(hour)
    assert [(each.x, each.y, each.height, each.failed) for each in drawn.bars] == [
        (1, 10, 10, False),
        (1, 0, 10, True),
        (2, HEIGHT - LEAST, LEAST, False),
        (3, 16, 4, True),
    ]
    assert (drawn.delivered, drawn.failed, drawn.width) == (11, 14, 4)
    assert spark(LastHourDocument(delivered=(0,), failed=(0,))).bars == ()


def test_a_minute_with_much_and_one_failure_stays_within_the_box() -> None:
    bars = spark(LastHourDocument(delivered=(1000,), failed=(1,))).bars
    assert [(each.y, each.height) for each in bars] == [(LEAST, HEIGHT - LEAST), (0, LEAST)]


# ---- a relay to which nothing has come


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Archive]:
    opened = SqliteStore.open(
        tmp_path / "empty.db",
        now=NOON,
        emit=lambda _signal: None,
        failed=lambda: None,
        wall=NOON.timestamp,
        steady=lambda: 0.0,
    )
    yield opened
    await opened.close()


@pytest.fixture
async def fresh(
    build: Callable[..., web.Application],
    empty: Archive,
    config: Config,
    aiohttp_client: Callable[..., Awaitable[Client]],
) -> AsyncIterator[Client]:
    yield await aiohttp_client(build(asking=Asking(empty, lambda: config)), headers=FOLLOWED)
