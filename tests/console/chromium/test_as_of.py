"""What a page shows from when: rows stay under a hand until they are renewed, a target's facts go with its state."""

import pytest
from playwright.async_api import Page, expect

from tests.console.chromium.conftest import House
from tests.e2e.targets import well

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
expect.set_options(timeout=30_000)  # the machine may be busy

LEAD, DEAD = 4831596, 3


async def test_a_listing_after_a_replay_stays_says_from_when_it_is_and_is_renewed(house: House, page: Page) -> None:
    await house.post(*({"id": LEAD + number} for number in range(DEAD)))
    await house.settled("old-handler", dead=DEAD)
    await page.goto(house.address("/deliveries?state=dead&target=old-handler"))
    await expect(page.locator(".as-of")).to_contain_text(f"{DEAD} rows as they were at")
    await expect(page.locator(".as-of time[data-form=age]")).to_contain_text("now")
    await page.get_by_role("button", name="Replay these…").click()
    house.targets.behaviour.update(old=well)
    await page.get_by_role("button", name=f"Replay {DEAD} deliveries").click()
    await expect(page.locator(".flash.done")).to_be_visible()
    await page.goto(house.address("/deliveries?target=old-handler"))
    rows = page.locator("#deliveries tbody")
    before = await rows.inner_text()
    await house.settled("old-handler", delivered=DEAD)
    assert await rows.inner_text() == before
    await page.get_by_role("link", name="Renew", exact=True).click()
    await expect(page.locator("#deliveries .state.delivered")).to_have_count(DEAD)


async def test_the_page_of_a_replay_renews_itself_until_its_deliveries_have_ended(house: House, page: Page) -> None:
    await house.post({"id": LEAD + 90})
    await house.settled("old-handler", dead=1)
    await page.goto(house.address("/deliveries?state=dead&target=old-handler"))
    await page.get_by_role("button", name="Replay these…").click()
    house.targets.behaviour.update(old=well)
    await page.get_by_role("button", name="Replay 1 delivery").click()
    await expect(page.locator(".flash.done")).to_be_visible()
    await expect(page.locator("main .chip .state.delivered")).to_be_visible()
    await expect(page.locator("main .chip .state.pending")).to_have_count(0)


async def test_the_facts_of_a_target_change_with_its_state_and_its_rows_stay(house: House, page: Page) -> None:
    await house.post({"id": LEAD})
    await house.settled("old-handler", dead=1)
    await page.goto(house.address("/targets/old-handler"))
    await expect(page.locator("#now .facts dd").nth(1)).to_have_text("1")
    rows = page.locator("section[aria-labelledby=failed] tbody tr")
    await expect(rows).to_have_count(1)
    await house.post({"id": LEAD + 1})
    await expect(page.locator("#now .verdict")).to_contain_text("2 dead")
    await expect(page.locator("#now .facts dd").nth(1)).to_have_text("2")
    await expect(rows).to_have_count(1)
    await page.get_by_role("link", name="Renew", exact=True).click()
    await expect(rows).to_have_count(2)
