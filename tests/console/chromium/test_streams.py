"""Pages that stay open: rows come, pause ends the stream, a restart is survived and said, many tabs do not hang."""

import asyncio
import re
from collections.abc import Callable

import pytest
from playwright.async_api import BrowserContext, Page, expect

from relay.store.sqlite import replay
from tests.console.chromium.conftest import Complaints, House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
expect.set_options(timeout=20_000)  # the machine may be busy

PLACES = 4
LOST, BACK, WAITS = "The connection is lost", "Connected again.", "Four other windows follow already"


async def met(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  a relay in this process tells no one of its followers
        await asyncio.sleep(0.02)


def followers(house: House) -> int:
    assert house.relay
    return house.relay.live.followers


async def followed(house: House, page: Page) -> None:
    """Open the live page, and wait for its stream."""
    before = followers(house)
    await page.goto(house.address("/live"))
    await met(lambda: followers(house) > before)


async def test_rows_come_below_the_others(house: House, page: Page) -> None:
    await followed(house, page)
    await house.post({"id": 501, "name": "<b>one</b>"})
    rows = page.locator("#tail tr", has_text="501")
    await expect(rows.filter(has_text="sales-bot").filter(has_text="delivered")).to_have_count(1)
    await expect(page.locator("#announce")).to_contain_text("new")
    await house.post({"id": 502, "name": "two"})
    await expect(page.locator("#tail tr", has_text="502").first).to_be_visible()
    ids = [(await each.inner_text()).split("\t")[3] for each in await page.locator("#tail tr").all()]
    assert ids.index("501") < ids.index("502")


async def test_pause_ends_the_stream_and_the_key_does_the_same(house: House, page: Page) -> None:
    await followed(house, page)
    await page.get_by_role("button", name="Do not renew this page").click()
    await expect(page.get_by_role("button", name="Renew again")).to_be_visible()
    await met(lambda: followers(house) == 0)
    await house.post({"id": 601, "name": "unseen"})
    await house.settled("sales-bot", delivered=1)
    await page.keyboard.press("p")
    await met(lambda: followers(house) == 1)
    await expect(page.get_by_role("button", name="Do not renew this page")).to_be_visible()
    await house.post({"id": 602, "name": "seen"})
    await expect(page.locator("#tail tr", has_text="602").first).to_be_visible()
    assert await page.locator("#tail tr", has_text="601").filter(has_text="sales-bot").count() == 0


async def test_a_restart_under_an_open_page_is_said_and_survived(
    house: House, page: Page, complaints: Complaints
) -> None:
    await followed(house, page)
    await house.stop()
    await expect(page.locator("#connection")).to_contain_text(LOST)
    await house.start()
    await expect(page.locator("#connection")).to_have_text(BACK)
    await house.post({"id": 701, "name": "after"})
    await expect(page.locator("#tail tr", has_text="701").first).to_be_visible()
    await expect(page.locator("#connection")).to_be_hidden()
    # of the time without a relay
    complaints.texts[:] = [each for each in complaints.texts if not re.search("ERR_|Failed to fetch", each)]


async def test_seven_tabs_of_one_browser_do_not_hang(
    house: House, profile: BrowserContext, complaints: Complaints
) -> None:
    """All are visible, as windows beside each other: six connections would be six streams."""
    pages = [await profile.new_page() for _ in range(7)]
    for each in pages:
        complaints.listen_to(each)
        await each.goto(house.address("/live"))
    await met(lambda: followers(house) == PLACES)
    [*_, seventh] = pages
    await expect(seventh.locator("#connection")).to_contain_text(WAITS)
    await seventh.goto(house.address("/deliveries"))
    await expect(seventh.get_by_role("heading", name="Deliveries")).to_be_visible()
    for each in pages[:3]:
        await each.close()
    await met(lambda: followers(house) > 1)
    await house.post({"id": 801, "name": "all"})
    for each in pages[3:4]:
        await expect(each.locator("#tail tr", has_text="801").first).to_be_visible()


async def test_a_hidden_tab_lets_go(house: House, page: Page) -> None:
    await followed(house, page)
    hide = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
    hide += " document.dispatchEvent(new Event('visibilitychange')); }"
    await page.evaluate(hide, True)
    await met(lambda: followers(house) == 0)
    await page.evaluate(hide, False)
    await met(lambda: followers(house) == 1)
    await house.post({"id": 901, "name": "again"})
    await expect(page.locator("#tail tr", has_text="901").first).to_be_visible()


async def test_times_stay_local_when_a_part_of_the_page_renews(house: House, page: Page) -> None:
    await house.post({"id": 301, "name": "one"})
    await page.goto(house.address("/"))
    verdict = page.locator("#overview .verdict")
    before = await verdict.inner_text()
    await met(lambda: followers(house) == 1)
    await expect(verdict).not_to_have_text(before)  # its ages
    texts = await page.locator("#overview time").all_inner_texts()
    assert texts
    assert [each for each in texts if re.search(r"\d{4}-\d\d-\d\d", each)] == []


async def test_an_act_under_way_is_renewed_until_it_ends(
    house: House, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.post({"id": 701, "name": "refused"})
    await house.settled("old-handler", dead=1)
    monkeypatch.setattr(replay, "PAUSE", 2.0)  # longer than a form waits for an act
    await page.goto(house.address("/deliveries?state=dead&target=old-handler"))
    await page.get_by_role("button", name="Replay these…").click()
    await page.get_by_role("button", name="Replay 1 delivery").click()
    await expect(page.locator("#act")).to_contain_text("under way")
    await expect(page.locator("#act")).to_contain_text("The deliveries of this act, as they are now")
    await expect(page.locator("#deliveries tbody tr")).to_have_count(1)
    await met(lambda: followers(house) == 0)
