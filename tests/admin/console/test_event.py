"""/events/{id} and /webhooks/{id}: what came, what became of it, why; and a delivery that is replayed."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from aiohttp import web

from relay.admin.api.asking import Asking
from relay.admin.console import bodies
from relay.admin.console.cards import host_of
from relay.admin.console.languages import COOKIE
from relay.admin.console.subjects import objects_of
from relay.amocrm import form, sample_bodies
from relay.model import Health, State
from relay.model.accounts import Account
from relay.observe import EventStream
from relay.routes.config import Config
from relay.store.contract import Archive
from relay.store.records import Filter, HealthReport
from tests.admin.console.conftest import FOLLOWED, OPERATOR, VIEWER, Client, Seen, see, sent
from tests.admin.console.test_live import event
from tests.cli.conftest import CONTACT, CYRILLIC, GARBLED, NOON, OFFER, event_of, unread

EVENT = event_of(OFFER)


async def test_an_event_is_shown_with_its_deliveries_attempts_and_answers(browser: Client) -> None:
    text = (await see(browser, f"/events/{EVENT}")).text
    for said in ("leads.status", "sales-bot", "warehouse", "400 is in dead_on", "bad price", "come back later", "503"):
        assert said in text
    assert "\x1b" not in text and "\\u001b[31mcome back later" in text


async def test_an_event_is_shown_as_it_came_as_a_tree_and_as_targets_get_it(browser: Client) -> None:
    text = (await see(browser, f"/events/{EVENT}")).text
    assert "leads%5Bstatus%5D%5B0%5D%5Bid%5D=" in text or "leads[status][0][id]=" in text
    assert '"status": { "0": {' in text and '"type": "leads.status"' in text


async def test_a_start_of_an_id_is_enough_and_the_id_of_a_webhook_leads_to_it(browser: Client) -> None:
    assert "leads.call_in" in (await see(browser, "/events/019ab000-0002-7000-8000-000000000001")).text
    answer = await browser.get("/events/019ab000-0002", allow_redirects=False)
    assert (answer.status, answer.headers["Location"][:23]) == (303, "/webhooks/019ab000-0002")
    assert (await see(browser, "/webhooks/019ab000-0002")).text


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/events/019ab", 409, "several webhooks have an id that starts with"),
        ("/webhooks/ffff", 404, "no id in the store starts with"),
        ("/events/%3Cscript%3E", 404, "no id in the store"),
        ("/webhooks/.", 404, ""),
    ],
)
async def test_an_id_of_none_or_of_several_is_said(path: str, status: int, text: str, browser: Client) -> None:
    answer = await browser.get(path, headers={"Accept": "text/html"})
    assert answer.status == status and text in await answer.text()


async def test_of_an_id_of_several_webhooks_each_is_a_link(browser: Client) -> None:
    for path in ("/search?q=019ab", "/events/019ab", "/webhooks/019ab"):
        seen = Seen(await (await browser.get(path)).text())
        links = [each for each in seen.links if each.startswith("/webhooks/019ab")]
        assert len(links) == 4 and len({*links}) == 4
        assert [(await browser.get(each)).status for each in links] == [200] * 4


async def test_why_these_routes_is_said_condition_by_condition(browser: Client) -> None:
    text = (await see(browser, f"/events/{EVENT}")).text
    assert "status_id: 16203337" in text and "the event has" in text and "otherwise" not in text
    assert "takes what no other route takes" in text


async def test_the_request_is_a_command_without_its_secrets(browser: Client) -> None:
    text = (await see(browser, f"/events/{EVENT}")).text
    assert "curl --request POST https://bot.example/amocrm" in text
    assert "--header 'authorization: ***'" in text and "canary" not in text


async def test_the_card_in_amocrm_is_of_the_account_that_sent_it(browser: Client) -> None:
    cards = [each for each in (await see(browser, f"/events/{EVENT}")).links if each.startswith("https:")]
    assert cards and all(each.startswith("https://") and "/leads/detail/" in each for each in cards)


@pytest.mark.parametrize(
    ("account", "configured", "named", "host"),
    [
        ({"subdomain": "one"}, "one.kommo.com", "", "one.kommo.com"),
        ({"subdomain": "one"}, "one.kommo.com", "one.amocrm.ru", "one.kommo.com"),
        ({"id": "1"}, "one.kommo.com", "", "one.kommo.com"),
        ({"subdomain": "two"}, "one.kommo.com", "two.amocrm.com", "two.amocrm.com"),
        ({"subdomain": "one"}, "", "one.amocrm.com", "one.amocrm.com"),
        (None, "", "", ""),
    ],
)
def test_a_card_is_in_the_account_of_the_source(account: object, configured: str, named: str, host: str) -> None:
    assert host_of(account, configured, named) == host


async def test_the_card_is_at_the_host_that_the_routes_have(
    build: Callable[..., web.Application],
    aiohttp_client: Callable[..., Awaitable[Client]],
    store: Archive,
    config: Config,
) -> None:
    source = replace(config.sources["crm"], account="main")
    named = replace(config, sources={"crm": source}, accounts={"main": Account(name="main", host="example.kommo.com")})
    browser = await aiohttp_client(build(asking=Asking(store, lambda: named)), headers=FOLLOWED)
    cards = [each for each in (await see(browser, f"/events/{EVENT}")).links if each.startswith("https:")]
    assert cards and all("//example.kommo.com/leads/detail/" in each for each in cards)


@pytest.mark.parametrize(
    ("entity", "data", "found"),
    [
        ("leads", {"id": "7"}, [("leads", "7")]),
        ("leads", {"id": "7", "element_type": "2", "element_id": "7"}, [("leads", "7")]),
        ("task", {"id": "5", "element_type": "2", "element_id": "7"}, [("task", "5"), ("leads", "7")]),
        ("task", {"id": "5", "element_type": "1", "element_id": "7"}, [("task", "5")]),
        ("message", {"id": "uuid", "entity_type": "leads", "entity_id": 7}, [("leads", "7")]),
        ("talk", {"id": "***", "entity_type": "***", "entity_id": "***"}, []),
        ("robots", {"id": "7"}, []),
        ("leads", "***", []),
    ],
)
def test_an_event_is_about_its_object_and_its_lead(entity: str, data: object, found: list[tuple[str, str]]) -> None:
    assert objects_of({"entity": entity, "data": data}) == found


async def test_the_page_leads_to_the_story_of_its_lead(browser: Client) -> None:
    seen = await see(browser, f"/events/{EVENT}")
    [number] = re.findall(r"Story: lead (\d+)", seen.text)
    assert f"/leads/{number}" in seen.links


async def test_a_webhook_that_was_not_read_says_why_and_shows_what_came(browser: Client) -> None:
    seen = await see(browser, f"/webhooks/{GARBLED}")
    assert "no events\\u001b[31m" in seen.text and "hello\\u001b[31m" in seen.text
    cyrillic = await see(browser, f"/webhooks/{CYRILLIC}")
    assert "not UTF-8: byte 0xc0" in cyrillic.text


async def test_a_webhook_lists_its_events(browser: Client) -> None:
    assert f"/events/{event_of(CONTACT)}" in (await see(browser, f"/webhooks/{CONTACT}")).links


async def test_a_viewer_sees_states_and_times_and_no_value(guarded: Client) -> None:
    for path in (f"/events/{EVENT}", f"/webhooks/{OFFER}", f"/webhooks/{CYRILLIC}"):
        seen = await see(guarded, path, headers=VIEWER)
        assert "***" in seen.text
        for value in ("bad price", "come back", "leads%5B", "leads[", "Анна", "not UTF-8"):
            assert value not in seen.text, (path, value)
    assert (await guarded.get(f"/webhooks/{OFFER}/body", headers=VIEWER)).status == 403


async def test_a_viewer_sees_kinds_of_outcomes_and_the_ids_that_routes_look_at(guarded: Client, store: Archive) -> None:
    await store.publish_health(
        {"warehouse": HealthReport(health=Health.OPEN, since=NOON, as_of=NOON, error="5xx 503 Ann")}
    )
    text = (await see(guarded, f"/events/{EVENT}", headers=VIEWER)).text
    assert "entity: leads the event has leads" in text, text
    assert "5xx 503 ***" in (await see(guarded, "/targets/warehouse", headers=VIEWER)).text


# ---- long bodies


async def test_a_long_body_is_cut_and_downloads_as_text(browser: Client, store: Archive) -> None:
    long = form.encode(sample_bodies.body("leads.add", fields={"name": "x" * (4 * 1024 * 1024)}))
    id_ = "019ab000-0099-7000-8000-000000000000"
    await store.keep(unread(id_, long, unparsed="for this test"), [])
    seen = await see(browser, f"/webhooks/{id_}")
    assert len(seen.source) < 4 * bodies.MOST and "Only the start is shown." in seen.text
    answer = await browser.get(f"/webhooks/{id_}/body")
    assert await answer.read() == long
    assert (answer.content_type, answer.headers["X-Content-Type-Options"]) == ("text/plain", "nosniff")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{id_}.txt"'


async def test_a_body_of_a_page_downloads_as_it_came_and_is_no_page(guarded: Client, store: Archive) -> None:
    id_, page = "019ab000-0098-7000-8000-000000000000", b"<html><script>alert(1)</script>"
    await store.keep(unread(id_, page, unparsed="no form"), [])
    answer = await guarded.get(f"/webhooks/{id_}/body", headers=OPERATOR)
    assert (await answer.read(), answer.content_type) == (page, "text/plain")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


# ---- replay


async def state(store: Archive, target: str) -> State:
    [found] = await store.find(Filter(event_ids=(EVENT,), target=target), limit=2)
    return found.state


async def test_one_delivery_is_replayed_and_a_second_click_does_nothing(browser: Client, store: Archive) -> None:
    seen = await see(browser, f"/events/{EVENT}")
    forms = [each for each in seen.forms if each["action"] == f"/events/{EVENT}/replay"]
    [dead] = [each["fields"] for each in forms if each["fields"]["state"] == "dead"]
    answers = [await browser.post(f"/events/{EVENT}/replay", data=dead, allow_redirects=False) for _ in range(2)]
    said = [(await see(browser, each.headers["Location"])).text for each in answers[:1]]
    assert "1 delivery is due now." in said[0]
    assert await state(store, "warehouse") is State.PENDING and await state(store, "sales-bot") is State.DELIVERED
    assert [each.command for each in await store.audit(limit=9)] == ["replay"]


async def test_before_a_target_gets_once_more_what_it_has_it_is_asked(browser: Client) -> None:
    source = (await see(browser, f"/events/{EVENT}")).source
    asked = re.findall(r"<details.*?</details>", source, re.DOTALL)
    assert 'value="delivered"' not in re.sub(r"<details.*?</details>", "", source, flags=re.DOTALL)
    [confirmed] = [each for each in asked if 'value="delivered"' in each]
    assert "It was delivered: sales-bot will get it once more." in confirmed


async def test_its_deliveries_renew_themselves_while_one_is_pending(browser: Client, live: EventStream) -> None:
    page, stream = f"/events/{EVENT}", f"/events/{EVENT}/stream"
    assert stream not in (await see(browser, page)).source
    await browser.post(f"{page}/replay", data={"target": "warehouse", "state": "dead", "back": page, "key": "one"})
    seen = await see(browser, page)
    part = Seen(await event(browser, stream, live))
    assert f'data-hx-sse:connect="{stream}"' in seen.source and part.text in seen.text
    assert {each["fields"]["back"] for each in part.forms} == {page}


async def test_what_is_dead_of_it_is_dismissed_and_offered_once(browser: Client, store: Archive) -> None:
    page, address = f"/events/{EVENT}", f"/events/{EVENT}/dismiss"
    seen = await see(browser, page)
    [asked] = [each for each in re.findall(r"<details.*?</details>", seen.source, re.DOTALL) if address in each]
    assert "they are no longer counted or alarmed about" in asked and "Dismiss 1 delivery" in asked
    refused = await sent(browser, seen, address, count="0")
    assert "1 are found now, and 0 were counted before" in refused.text
    done = await sent(browser, seen, address, key="another")
    assert "1 dead delivery was dismissed." in done.text and address not in [each["action"] for each in done.forms]
    found = await store.find(Filter(event_ids=(EVENT,)), limit=9)
    assert [each.target for each in found if each.dismissed_at] == ["warehouse"]


async def test_what_was_replayed_by_somebody_else_is_said(browser: Client, store: Archive) -> None:
    form = {"target": "warehouse", "state": "dead", "back": f"/events/{EVENT}"}
    for key, text in (("one", "1 delivery is due now."), ("two", "nothing dead under these ids")):
        answer = await browser.post(f"/events/{EVENT}/replay", data={**form, "key": key}, allow_redirects=False)
        assert text in (await see(browser, answer.headers["Location"])).text
    assert len(await store.audit(limit=9)) == 1


async def test_a_viewer_replays_nothing(guarded: Client, store: Archive) -> None:
    form = {"target": "warehouse", "state": "dead", "back": f"/events/{EVENT}", "key": "x"}
    seen = await see(guarded, f"/events/{EVENT}", headers=VIEWER)
    assert not [each for each in seen.forms if "replay" in str(each["action"])]
    await guarded.post(f"/events/{EVENT}/replay", data=form, headers=VIEWER, allow_redirects=False)
    assert await state(store, "warehouse") is State.DEAD


async def test_a_viewer_is_told_once_why_values_are_hidden_and_what_was_refused(guarded: Client) -> None:
    for path in (f"/events/{EVENT}", f"/webhooks/{GARBLED}", "/unparsed", "/routes"):
        assert (await see(guarded, path, headers=VIEWER)).text.count("(viewer) has no payloads: yes") == 1, path
        assert "no payloads: yes" not in (await see(guarded, path, headers=OPERATOR)).text, path
    body = f"/webhooks/{GARBLED}/body"
    answer = await guarded.get(body, headers=VIEWER)
    assert answer.status == 403 and "the body of a webhook needs them" in await answer.text()
    russian = await (await guarded.get(body, headers=VIEWER | {"Cookie": f"{COOKIE}=ru"})).text()
    assert "тело вебхука" in russian and "needs" not in russian
