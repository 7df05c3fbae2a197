"""/acts: who did what, and one act with what was asked and what came of it."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from relay.model import State
from relay.operations import act_deliveries
from relay.store.contract import Archive
from relay.store.records import AuditEntry, Filter
from tests.admin.api.test_acts import Gate, both
from tests.admin.api.test_acts import gate as gate
from tests.admin.console.conftest import OPERATOR, VIEWER, Client, Seen, see, sent
from tests.admin.console.test_live import EVENTS
from tests.cli.conftest import NOON

HOUR = timedelta(hours=1)
PAUSE, RESUME = "/targets/warehouse/pause", "/targets/warehouse/resume"


async def test_acts_are_listed_newest_first_and_lead_to_each(browser: Client) -> None:
    paused = await sent(browser, await see(browser, "/"), PAUSE, reason="upgrade <b>")
    await sent(browser, paused, RESUME)
    seen = await see(browser, "/acts")
    assert "Target: warehouse; Reason: upgrade <b>" in seen.text
    shown = [(await see(browser, each)).text for each in seen.links if each.startswith("/acts/")]
    [paused_act] = [each for each in shown if "Reason upgrade <b>" in each]
    assert len(shown) == 2 and "State of the act ✓ done" in paused_act


async def test_acts_are_asked_for_by_person_and_kind_page_by_page(browser: Client) -> None:
    page = await see(browser, "/")
    for _ in range(2):
        page = await sent(browser, await sent(browser, page, PAUSE), RESUME)
    paused = await see(browser, "/acts?command=pause")
    assert len([each for each in paused.links if each.startswith("/acts/")]) == 2
    assert "Nothing for this filter." in (await see(browser, "/acts?who=nobody")).text
    first = await see(browser, "/acts?limit=3")
    [older] = [each for each in first.links if "before=" in each]
    assert len([each for each in (await see(browser, older)).links if each.startswith("/acts/")]) == 1


async def test_acts_are_asked_for_by_time(browser: Client, store: Archive) -> None:
    for number in range(1, 4):
        entry = AuditEntry(id=f"act-{number}", at=NOON - number * HOUR, who="olga", command="purge", details={})
        await store.record_audit(entry, 1)
    within = await see(browser, "/acts?since=150m&until=30m")
    assert [each for each in within.links if each.startswith("/acts/")] == ["/acts/act-1", "/acts/act-2"]
    assert "Nothing for this filter." in (await see(browser, "/acts?since=30 мин&until=10 minutes")).text
    answer = await browser.get("/acts?since=soon")
    text = await answer.text()
    assert answer.status == 400 and text.count("cannot be read: write 2h") == 1
    assert "Nothing for this filter." not in text and "Nobody has paused" not in text
    assert text.index("</button>", text.index('name="until"')) < text.index('id="wrong-'), "it is below the fields"


async def test_an_act_of_another_relay_is_shown_out_of_the_audit(browser: Client, store: Archive) -> None:
    await sent(browser, await see(browser, "/"), PAUSE)
    [entry] = await store.audit(limit=1)
    other = entry.id[:-1] + ("0" if entry.id[-1] != "0" else "1")
    await store.record_audit(type(entry)(id=other, at=entry.at, who="olga", command="purge", details={}), 7)
    seen = await see(browser, f"/acts/{other}")
    assert "purge" in seen.text and "olga How many 7" in seen.text


async def test_what_was_asked_is_said_in_words_and_the_time_of_the_page(browser: Client, store: Archive) -> None:
    details = {"states": ["dead"], "until": "2026-11-30T20:20:49.143Z", "rate": 2.0}
    entry = AuditEntry(id="one", at=NOON, who="RELAY_ADMIN_TOKEN", command="replay", details=details)
    await store.record_audit(entry, 7)
    listed, shown = await see(browser, "/acts"), await see(browser, "/acts/one")
    assert "State of the deliveries: dead; Until: 2026-11-30 20:20:49 ; At most so many a second: 2" in listed.text
    assert "the token of RELAY_ADMIN_TOKEN replay" in listed.text and "relay access add gives each" in listed.text
    for text in (
        "the token of RELAY_ADMIN_TOKEN",
        "of the deliveries dead",
        "Until 2026-11-30 20:20:49 ",
        "a second 2",
    ):
        assert text in shown.text, text
    assert '<time datetime="2026-11-30T20:20:49.143000+00:00"' in shown.source


async def test_an_unknown_act_is_said(browser: Client) -> None:
    answer = await browser.get("/acts/nothing")
    assert answer.status == 404
    assert "no act has the id 'nothing'" in Seen(await answer.text()).text


async def test_where_nothing_was_done_it_says_what_will_stand_here(browser: Client) -> None:
    assert "Whatever an operator does stands here" in (await see(browser, "/acts")).text


async def test_the_rest_of_a_long_act_is_stopped(gate: Gate, browser: Client, store: Archive) -> None:
    begun = await browser.post("/api/v1/slow", json={})
    path = f"/acts/{(await begun.json())['act']}"
    running = await see(browser, path)
    assert "State of the act … under way" in running.text
    stopped = await sent(browser, running, f"{path}/stop")
    assert "Stopped." in stopped.text and "the rest is not" in stopped.text
    assert "stop" in [each.command for each in await store.audit(limit=9)]
    again = await browser.post(f"{path}/stop", data=running.form(f"{path}/stop"), allow_redirects=False)
    assert again.status == 303


async def test_an_act_under_way_is_followed_until_it_ends(gate: Gate, guarded: Client) -> None:
    begun = await guarded.post("/api/v1/slow", json={}, headers=OPERATOR)
    path = f"/acts/{(await begun.json())['act']}"
    assert f'data-hx-sse:connect="{path}/stream"' in (await see(guarded, path, headers=VIEWER)).source
    async with guarded.get(f"{path}/stream", headers=VIEWER | EVENTS) as answer:
        first = await answer.content.readuntil(b"\n\n")
        assert b"under way" in first
        gate.open.set()
        rest = (await answer.content.read()).decode()
    assert "✓" in rest
    assert rest.endswith("event: ended\n\n"), "htmx asks no more"
    assert "sse:connect" not in (await see(guarded, path, headers=VIEWER)).source


async def test_a_replay_shows_its_deliveries_as_they_are_now(browser: Client, store: Archive) -> None:
    [dead] = await store.find(Filter(states=(State.DEAD,)), limit=9)
    listed = await see(browser, f"/events/{dead.event_id}")
    [form] = [each for each in listed.forms if each["fields"].get("target") == "warehouse"]
    await browser.post(form["action"], data=form["fields"], allow_redirects=False)
    [entry] = await store.audit(limit=1)
    seen = await see(browser, f"/acts/{entry.id}")
    assert "… pending 1" in seen.text
    assert "State of the act … queued : 1 of 1 still waits" in seen.text and "✓ done" not in seen.text
    assert " Queued 2026-11-22 12:00:00" in seen.text and " Ended " not in seen.text
    assert f"/events/{dead.event_id}" in seen.links
    assert "/targets/warehouse" in seen.links
    assert f'data-hx-sse:connect="/acts/{entry.id}/stream"' in seen.source, "until they have ended"
    assert "As it was at 2026-11-22 12:00:00 . Renew" in seen.text
    narrowed = await see(browser, f"/acts/{entry.id}?state=dead")
    assert "sse:connect" not in narrowed.source and "As it was at" in narrowed.text
    assert "None of them is found" not in narrowed.text
    assert not re.search(r"<tbody>\s*<tr>", narrowed.source)


async def test_a_replay_is_followed_until_its_deliveries_have_ended(browser: Client, store: Archive) -> None:
    act = AuditEntry(id="again", at=NOON, who="olga", command="replay", details={"states": ["dead"]})
    [dead] = await store.find(Filter(states=(State.DEAD,)), limit=9)
    assert await store.replay(Filter(states=(State.DEAD,)), act) == 1
    async with browser.get("/acts/again/stream", headers=EVENTS) as answer:
        assert b"data-follows" in await answer.content.readuntil(b"\n\n")
        await store.drop(dead.target, replace(act, id="drop", command="drop", details={"target": dead.target}))
        rest = (await answer.content.read()).decode()
    assert rest.endswith("event: ended\n\n") and "data-follows" not in rest
    ended = await see(browser, "/acts/again")
    assert "sse:connect" not in ended.source
    assert "State of the act ✓ done : 0 delivered, 1 dead" in ended.text and "queued" not in ended.text


async def test_a_replay_of_more_than_can_be_counted_is_queued_while_an_older_one_is_pending(
    browser: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = AuditEntry(id="again", at=NOON, who="olga", command="replay", details={"states": ["dead"]})
    assert await store.replay(Filter(states=(State.DEAD,)), act) == 1

    async def more(_desk: object, _wanted: object) -> tuple[dict[str, int], bool]:
        return {"delivered": 10_000}, True

    monkeypatch.setattr(act_deliveries, "_states", more)
    assert "queued" in (await see(browser, "/acts/again")).text
    await store.drop("warehouse", replace(act, id="drop", command="drop", details={"target": "warehouse"}))
    assert "✓ done : 10 000+ delivered, 0+ dead" in (await see(browser, "/acts/again")).text


async def test_a_replay_that_found_nothing_blames_no_retention(browser: Client, store: Archive) -> None:
    details = {"states": ["pending"], "target": "nobody"}
    await store.record_audit(AuditEntry(id="none", at=NOON, who="olga", command="replay", details=details), 0)
    seen = await see(browser, "/acts/none")
    assert "It has changed no delivery." in seen.text and "past their retention" not in seen.text


async def test_an_act_without_deliveries_has_no_list_of_them(browser: Client, store: Archive) -> None:
    await sent(browser, await see(browser, "/"), PAUSE)
    [entry] = await store.audit(limit=1)
    assert "deliveries as they are now" not in (await see(browser, f"/acts/{entry.id}")).text


async def test_a_viewer_stops_nothing(gate: Gate, guarded: Client) -> None:
    begun = await guarded.post("/api/v1/slow", json={}, headers=OPERATOR)
    path = f"/acts/{(await begun.json())['act']}"
    seen = await see(guarded, path, headers=VIEWER)
    assert f"{path}/stop" not in [each["action"] for each in seen.forms]
    await guarded.post(f"{path}/stop", data={}, headers=VIEWER, allow_redirects=False)
    assert "under way" in (await see(guarded, path, headers=VIEWER)).text
    gate.open.set()


async def test_a_viewer_may_read_them(guarded: Client) -> None:
    await see(guarded, "/acts", headers=VIEWER)


async def test_what_goes_on_or_failed_stands_above_the_first_page(gate: Gate, browser: Client) -> None:
    running = (await (await browser.post("/api/v1/slow", json={})).json())["act"]
    failed = (await (await browser.post("/api/v1/slow", json={"fail": True})).json())["act"]
    await both(gate)
    seen = await see(browser, "/acts")
    assert "Under way, or not done" in seen.text and {f"/acts/{running}", f"/acts/{failed}"} <= {*seen.links}
    gate.open.set()
    for each in (running, failed):
        while "under way" in (await see(browser, f"/acts/{each}")).text:
            pass
    seen = await see(browser, "/acts")
    assert "✗ failed" in seen.text
    assert "Under way" not in (await see(browser, "/acts?who=olga")).text
