"""/targets/{target}: its state and settings, pause and resume, a test request, and what is dropped."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from relay.admin.api.asking import Asking
from relay.admin.console.pages import target as page
from relay.admin.console.pages.target import FEW
from relay.amocrm import form, sample_bodies
from relay.model import Dead, Health, Outcome, Reason
from relay.observe import EventStream
from relay.operations.desk import Desk
from relay.operations.dismiss import DISMISS, Dismiss
from relay.operations.documents.acts_done import ProbeDocument
from relay.operations.probe import PROBE, Probe
from relay.routes.config import Config, load
from relay.store.activity import Activity
from relay.store.contract import Archive
from relay.store.records import AuditEntry, HealthReport
from tests.admin.console.conftest import FOLLOWED, OPERATOR, VIEWER, Client, Seen, see, sent
from tests.admin.console.test_live import event
from tests.cli.conftest import MINUTE, NOON, ROUTES, SECRETS, keep
from tests.operations.conftest import desk as desk

PAGE = "/targets/warehouse"
OK = HealthReport(health=Health.OK, since=NOON - MINUTE, as_of=NOON, delivered_at=NOON, rate=2.5, in_flight=3)


async def test_it_shows_state_backlog_rate_and_how_the_target_is_delivered_to(browser: Client, store: Archive) -> None:
    await store.publish_health({"warehouse": OK})
    minutes = {int(NOON.timestamp() // 60): 7}
    await store.questions.record_activity(Activity(since=0.0, delivered={"warehouse": minutes}), now=NOON)
    seen = await see(browser, PAGE)
    for text in (
        "Pending 1 , the oldest for 0 s",
        "Dead 1",
        "2.5 a second, within the last minute",
        "In flight 3",
        "7 delivered, 0 failed attempts",
        "POST https://dwh.example/${DWH_PATH}",
        "after 2 s, then each time 2 times as long, at most 1 h;",
        "dead 3 d after its arrival, at once if it answers 400",
        "8 attempts",
        "none: events about the same lead may overtake each other",
    ):
        assert text in seen.text, text
    assert "canary" not in seen.source


async def test_of_a_paused_target_the_state_is_as_old_as_the_pause(browser: Client, store: Archive) -> None:
    await store.publish_health({"warehouse": replace(OK, health=Health.OPEN, since=NOON - 14 * MINUTE)})
    paused = AuditEntry(id="1", at=NOON - 3 * MINUTE, who="olga", command="pause", details={})
    await store.pause("warehouse", paused)
    assert "State since 2026-11-22 11:57:00" in (await see(browser, PAGE)).text


async def test_its_state_and_buttons_renew_themselves(browser: Client, store: Archive, live: EventStream) -> None:
    await store.publish_health({"warehouse": replace(OK, health=Health.OPEN, error="503 busy")})
    seen, part = await see(browser, PAGE), Seen(await event(browser, f"{PAGE}/stream", live))
    assert f'data-hx-sse:connect="{PAGE}/stream"' in seen.source and part.text in seen.text
    assert "circuit open Failing since" in part.text and part.form(f"{PAGE}/pause")["back"] == PAGE


async def test_its_facts_are_of_the_moment_of_its_state(
    browser: Client, store: Archive, live: EventStream, desk: Desk
) -> None:
    await store.publish_health({"warehouse": OK})
    before = Seen(await event(browser, f"{PAGE}/stream", live)).text
    await store.publish_health({"warehouse": replace(OK, health=Health.OPEN, error="503 busy", in_flight=7)})
    await desk.ask(DISMISS, Dismiss(target="warehouse"))
    after = Seen(await event(browser, f"{PAGE}/stream", live)).text
    for text, now in (("✗ 1 dead", "circuit open"), ("In flight 3", "In flight 7"), ("Dead 1", "Dead 0")):
        assert text in before and now in after, (text, now, after)
    assert "Retries" in after and "Last failed attempts" not in after  # rows stay


async def test_its_rows_say_from_when_they_are_and_are_renewed_by_a_link(browser: Client) -> None:
    seen = await see(browser, PAGE)
    assert "rows as they were at 2026-11-22 12:00:00" in seen.text and PAGE in seen.links


async def test_it_lists_the_last_failures_and_what_waits(browser: Client) -> None:
    seen = await see(browser, PAGE)
    assert "400: bad price" in seen.text and "503: \\u001b[31mcome back later" in seen.text
    assert "/leads/4831596" in seen.links
    assert any(each.startswith("/events/") for each in seen.links)


async def test_a_target_to_which_nothing_was_sent_is_an_empty_page_that_says_so(
    build: Callable[..., web.Application],
    store: Archive,
    folder: Path,
    aiohttp_client: Callable[..., Awaitable[Client]],
) -> None:
    file = folder / "routes.yaml"
    file.write_text(ROUTES.replace("targets:\n", "targets:\n  quiet: {url: https://quiet.example}\n", 1))
    asking = Asking(store, lambda: load(file, SECRETS))
    client = await aiohttp_client(build(asking=asking), headers=FOLLOWED)
    seen = await see(client, "/targets/quiet")
    assert "nothing sent yet" in seen.text and "No attempt failed." in seen.text


async def test_of_a_long_backlog_it_shows_what_has_waited_the_longest(browser: Client, store: Archive) -> None:
    assert "What has waited the longest" not in (await see(browser, PAGE)).text
    for number in range(12):
        body = form.encode(sample_bodies.body("contacts.add", fields={"id": str(700 + number)}))
        id_ = f"019ab100-{number:04}-7000-8000-000000000000"
        await keep(store, id_, body, received_at=NOON + timedelta(hours=1 + number))
    seen = await see(browser, PAGE)
    _, longest, newest = seen.text.replace("What waits,", "What has waited the longest").split(
        "What has waited the longest"
    )
    assert "1 of 13 pending deliveries" in longest and "10 of 13 pending deliveries" in newest
    assert "9120034" in longest and "700" not in longest
    assert "9120034" not in newest and "711" in newest


async def test_what_has_waited_the_longest_is_the_oldest_of_a_burst(
    browser: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MAX_PAGE", 12)
    for number in range(30):
        body = form.encode(sample_bodies.body("contacts.add", fields={"id": str(5000 + number)}))
        id_ = f"019aaf00-{number:04}-7000-8000-000000000000"
        await keep(store, id_, body, received_at=NOON + timedelta(seconds=number))
    text = (await see(browser, PAGE)).text
    longest = text[text.index("What has waited the longest") : text.index("What waits,")]
    ids = ["9120034", *(str(5000 + number) for number in range(FEW - 1))]
    assert re.findall(r"\b5\d{3}\b|9120034", longest) == ids[: len(re.findall("contacts.add", longest))]
    assert longest.count("contacts.add") > 2


async def test_a_paused_target_says_by_whom_and_why_and_can_be_resumed(browser: Client, store: Archive) -> None:
    paused = await sent(browser, await see(browser, PAGE), f"{PAGE}/pause", reason="<i>move</i>")
    assert "Paused 0 s ago by" in paused.text and ": <i>move</i>" in paused.text
    assert "<i>move" not in paused.source
    assert "Resumed warehouse." in (await sent(browser, paused, f"{PAGE}/resume")).text


async def test_a_test_request_says_what_the_target_returned(browser: Client, store: Archive) -> None:
    seen = await sent(browser, await see(browser, PAGE), f"{PAGE}/probe", method="GET")
    assert "✗ warehouse was not reached: connect after" in seen.text, "dwh.example is no machine"
    [entry] = await store.audit(limit=9)
    assert (entry.command, entry.details["method"]) == ("probe", "GET")


@pytest.mark.parametrize(("status", "sign"), [(200, "✓"), (405, "✓"), (503, "✗"), (404, "✗")])
async def test_a_test_request_that_is_answered_with_an_error_did_not_go_well(
    browser: Client, monkeypatch: pytest.MonkeyPatch, status: int, sign: str
) -> None:
    async def run(_desk: Desk, asked: Probe) -> ProbeDocument:
        return ProbeDocument(
            target=asked.target, method=asked.method, url="", reached=True, reason="", status=status, took=0, detail=""
        )

    monkeypatch.setattr(page, "PROBE", replace(PROBE, run=run))
    seen = await sent(browser, await see(browser, PAGE), f"{PAGE}/probe")
    assert f"{sign} warehouse answered {status}" in seen.text


async def test_what_is_dead_is_its_state_however_well_the_last_attempt_went(browser: Client, store: Archive) -> None:
    for report in ({}, {"warehouse": OK}, {"warehouse": replace(OK, error="4xx 400")}):
        await store.publish_health(report)
        for path in (PAGE, "/"):
            assert "✗ 1 dead" in (await see(browser, path)).text, (report, path)


async def test_it_says_why_the_last_delivery_died_and_since_when_they_do(browser: Client, store: Archive) -> None:
    assert "1 dead delivery. It died 0 s ago: 400 is in dead_on" in (await see(browser, PAGE)).text
    body = form.encode(sample_bodies.body("contacts.add", fields={"id": "701"}))
    made = await keep(store, "019ab200-0000-7000-8000-000000000000", body)
    outcome = Outcome(reason=Reason.SERVER_ERROR, started_at=NOON, took=timedelta(), status=503)
    await store.settle(made["warehouse"], outcome, Dead("answered 503"), now=NOON - 90 * MINUTE)
    text = (await see(browser, PAGE)).text
    assert "2 dead deliveries. The last one died 0 s ago, the first of these 2026-11-22 10:30:00 : 400" in text


async def test_what_waits_for_a_target_that_is_gone_can_be_dropped(
    browser: Client, store: Archive, config: Config
) -> None:
    left = {name: each for name, each in config.targets.items() if name != "warehouse"}
    object.__setattr__(config, "targets", left)
    seen = await see(browser, PAGE)
    assert "The routes file no longer names this target" in seen.text
    assert "Not known: the routes in force do not name it." in seen.text
    dropped = await sent(browser, seen, f"{PAGE}/drop")
    assert "warehouse: 1 pending given up, 1 dead dismissed." in dropped.text
    assert "warehouse" not in (await store.status()).targets


async def test_a_target_that_nothing_knows_is_a_page_with_a_suggestion(browser: Client) -> None:
    answer = await browser.get("/targets/warehose")
    assert answer.status == 404
    assert "warehouse" in await answer.text()


async def test_a_viewer_sees_no_answers_and_has_no_acts(guarded: Client, store: Archive) -> None:
    await store.publish_health({"warehouse": replace(OK, health=Health.OPEN, error="canary of an answer")})
    await store.pause("warehouse", AuditEntry(id="1", at=NOON, who="olga", command="pause"))
    seen = await see(guarded, PAGE, headers=VIEWER)
    assert "canary" not in seen.source and "bad price" not in seen.text
    assert not [each for each in seen.forms if (each["action"] or "").startswith("/targets")]
    form = (await see(guarded, PAGE, headers=OPERATOR)).form(f"{PAGE}/resume")
    for act in ("resume", "probe", "drop"):
        await guarded.post(f"{PAGE}/{act}", data=form, headers=VIEWER)
    assert not await store.audit(limit=9) or {each.command for each in await store.audit(limit=9)} == {"pause"}
