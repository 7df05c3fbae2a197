"""/unparsed: what could not be read, with its reason; read again after a dry run, or dismissed."""

from typing import Any

import pytest

from relay.admin.console.pages.unparsed import FIRST
from relay.model import Webhook
from relay.store.contract import Archive
from relay.store.records import Page
from tests.admin.console.conftest import OPERATOR, VIEWER, Client, see, send, sent
from tests.cli.conftest import CYRILLIC, GARBLED

AGAIN, TRY, DISMISS = "/unparsed/reparse", "/unparsed/reparse/try", "/unparsed/dismiss"


async def test_the_oldest_is_first_with_its_reason_and_how_it_begins(browser: Client) -> None:
    seen = await see(browser, "/unparsed")
    assert [each for each in seen.links if each.startswith("/webhooks/")] == [
        f"/webhooks/{GARBLED}",
        f"/webhooks/{CYRILLIC}",
    ]
    assert "no events" in seen.text and "not UTF-8: byte 0xc0" in seen.text
    assert "hello" in seen.text and "\x1b" not in seen.source


async def test_of_large_bodies_only_the_start_is_read(
    browser: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "привет".encode() * 300_000
    await store.keep(Webhook(id="0198", source="crm", received_at=store.clock(), body=body, unparsed="odd"), [])
    read: list[int] = []
    unparsed = type(store).unparsed

    async def counted(self: Archive, **asked: Any) -> Page[Webhook]:
        found = await unparsed(self, **asked)
        read.extend(len(each.body) for each in found)
        return found

    monkeypatch.setattr(type(store), "unparsed", counted)
    seen = await see(browser, "/unparsed")
    assert "приветпривет" in seen.text and "3.4 MiB" in seen.text
    assert max(read) == FIRST
    whole = await (await browser.get("/api/v1/unparsed")).json()
    assert len(whole["data"][0]["body"]) == len(body) // 2
    cut = await (await browser.get("/api/v1/unparsed?body_bytes=3")).json()
    assert (cut["data"][0]["body"], cut["data"][0]["size"]) == ("п", len(body))


async def test_a_dry_run_says_what_would_become_of_each_and_changes_nothing(browser: Client, store: Archive) -> None:
    tried = await sent(browser, await see(browser, AGAIN), TRY, charset="cp1251")
    assert "1 webhook can be read, 1 stays unparsed." in tried.text
    assert tried.form(AGAIN)["charset"] == "cp1251"
    assert await store.audit(limit=9) == []
    assert len(await store.unparsed(limit=9)) == 2


async def test_what_the_dry_run_showed_is_read_once(browser: Client, store: Archive) -> None:
    asked = await see(browser, f"{AGAIN}?id={CYRILLIC}")
    tried_at = (await send(browser, asked, TRY, charset="cp1251")).headers["Location"]
    tried = await see(browser, tried_at)
    done = [await send(browser, tried, AGAIN) for _ in range(2)]
    assert [each.status for each in done] == [303, 303]
    assert "1 webhook was read." in (await see(browser, done[0].headers["Location"])).text
    assert [each.id for each in await store.unparsed(limit=9)] == [GARBLED]
    [entry] = await store.audit(limit=9)
    back = await see(browser, tried_at)
    assert "This act was begun after the count:" in back.text
    assert AGAIN not in [each["action"] for each in back.forms] and f"/acts/{entry.id}" in back.links


async def test_a_dry_run_that_is_forgotten_is_begun_again(browser: Client) -> None:
    seen = await see(browser, f"{AGAIN}?charset=cp1251&trial=nothing")
    assert [each["action"] for each in seen.forms if "reparse" in (each["action"] or "")] == [TRY]


async def test_what_cannot_be_tried_is_said_on_the_page(browser: Client) -> None:
    tried = await sent(browser, await see(browser, f"{AGAIN}?id=0000"), TRY)
    assert "0000" in tried.text and "✗" in tried.text


async def test_one_that_is_understood_is_dismissed_and_listed_apart(browser: Client, store: Archive) -> None:
    seen = await see(browser, "/unparsed")
    form = next(each["fields"] for each in seen.forms if each["action"] == DISMISS)
    answer = await browser.post(DISMISS, data=form, allow_redirects=False)
    assert "1 webhook was dismissed." in (await see(browser, answer.headers["Location"])).text
    assert [each.id for each in await store.unparsed(limit=9)] == [CYRILLIC]
    dismissed = await see(browser, "/unparsed?dismissed=true")
    assert f"/webhooks/{GARBLED}" in dismissed.links and f"/webhooks/{CYRILLIC}" not in dismissed.links


async def test_pages_of_the_listing_are_links(browser: Client) -> None:
    first = await see(browser, "/unparsed?limit=1")
    [newer] = [each for each in first.links if "after=" in each]
    assert f"/webhooks/{CYRILLIC}" in (await see(browser, newer)).links


async def test_where_everything_was_dismissed_it_says_how_many_and_leads_to_them(browser: Client) -> None:
    for _ in range(2):
        seen = await see(browser, "/unparsed")
        form = next(each["fields"] for each in seen.forms if each["action"] == DISMISS)
        await browser.post(DISMISS, data=form, allow_redirects=False)
    seen = await see(browser, "/unparsed")
    assert "✓ No unparsed webhook waits. 2 were dismissed" in seen.text
    assert "could be read" not in seen.text and "/unparsed?dismissed=true" in seen.links


async def test_the_act_of_a_dismissal_is_found_by_its_own_words(browser: Client) -> None:
    seen = await see(browser, "/unparsed")
    form = next(each["fields"] for each in seen.forms if each["action"] == DISMISS)
    await browser.post(DISMISS, data=form, allow_redirects=False)
    acts = await see(browser, "/acts?command=dismiss+--unparsed")
    assert len([each for each in acts.links if each.startswith("/acts/")]) == 1


async def test_where_everything_was_read_it_says_what_will_stand_here(
    browser: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(*_: Any, **_asked: Any) -> Page[Webhook]:
        return Page()

    monkeypatch.setattr(type(store), "unparsed", none)
    seen = await see(browser, "/unparsed")
    assert "Every webhook could be read." in seen.text and "upgrade" in seen.text


async def test_a_viewer_sees_neither_bodies_nor_buttons_and_can_send_no_form(guarded: Client, store: Archive) -> None:
    seen = await see(guarded, "/unparsed", headers=VIEWER)
    assert "***" in seen.text and "hello" not in seen.source and "0xc0" not in seen.source
    assert DISMISS not in [each["action"] for each in seen.forms] and AGAIN not in seen.links
    again = await see(guarded, AGAIN, headers=VIEWER)
    assert TRY not in [each["action"] for each in again.forms]
    operators = await see(guarded, "/unparsed", headers=OPERATOR)
    form = next(each["fields"] for each in operators.forms if each["action"] == DISMISS)
    for action in (DISMISS, TRY, AGAIN):
        await guarded.post(action, data=form, headers=VIEWER, allow_redirects=False)
    assert await store.audit(limit=9) == [] and len(await store.unparsed(limit=9)) == 2
