"""Back in the browser, after an act on what was counted: it is not offered again, and a press does nothing twice."""

import pytest
from playwright.async_api import Page, expect

from tests.console.chromium.conftest import House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

LEAD, DEAD = 4831596, 3
KEPT = """() => window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }))"""
"""What a browser says that shows a page as it was left."""
WHICH = "row => [...row.querySelectorAll('a')].map((each) => each.getAttribute('href')).join(' ')"


async def counted(house: House, page: Page) -> None:
    await house.post(*({"id": LEAD + number} for number in range(DEAD)))
    await house.settled("old-handler", dead=DEAD)
    await page.goto(house.address("/deliveries?state=dead&target=old-handler"))
    await page.get_by_role("button", name="Replay these…").click()
    await expect(page.get_by_role("button", name=f"Replay {DEAD} deliveries")).to_be_visible()


async def replays(house: House) -> list[int]:
    async with house.session.get(house.address("/api/v1/audit?command=replay")) as answer:
        return [each["count"] for each in (await answer.json())["data"]]


async def test_back_after_an_act_says_that_it_was_done(house: House, page: Page) -> None:
    await counted(house, page)
    await page.get_by_role("button", name=f"Replay {DEAD} deliveries").click()
    await expect(page.locator(".flash.done")).to_contain_text(f"{DEAD} deliveries are due now.")
    await page.go_back()
    await expect(page.locator("main")).to_contain_text("This act was begun after the count:")
    await expect(page.get_by_role("button", name=f"Replay {DEAD} deliveries")).to_have_count(0)
    await page.get_by_role("button", name="Count again").click()
    await expect(page.get_by_role("heading", name="Replay all")).to_be_visible()
    assert await replays(house) == [DEAD]


async def test_a_second_page_of_the_same_count_does_nothing_twice(house: House, page: Page) -> None:
    await counted(house, page)
    other = await page.context.new_page()
    await other.goto(page.url)
    for each in (page, other):
        await each.get_by_role("button", name=f"Replay {DEAD} deliveries").click()
        await expect(each.locator(".flash")).to_be_visible()
    await expect(other.locator(".flash.note")).to_contain_text("nothing was done again")
    assert await replays(house) == [DEAD]


async def test_a_page_that_was_kept_is_renewed(house: House, page: Page) -> None:
    await counted(house, page)
    other = await page.context.new_page()
    await other.goto(page.url)
    await other.get_by_role("button", name=f"Replay {DEAD} deliveries").click()
    await expect(other.locator(".flash.done")).to_be_visible()
    await page.evaluate(KEPT)
    await expect(page.locator("main")).to_contain_text("This act was begun after the count:")


async def test_back_from_a_row_that_was_opened_by_key_has_it_chosen_again(house: House, page: Page) -> None:
    chosen = page.locator("#deliveries tr:focus")
    await house.post(*({"id": LEAD + number} for number in range(DEAD)))
    await house.settled("old-handler", dead=DEAD)
    await page.goto(house.address("/deliveries"))
    for key in "jjjk":
        await page.keyboard.press(key)
    first, second = [await page.locator("#deliveries tbody tr").nth(at).evaluate(WHICH) for at in (0, 1)]
    assert await chosen.evaluate(WHICH) == second != first
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/events/*")
    await house.post({"id": LEAD + DEAD})  # rows above it
    await house.settled("old-handler", dead=DEAD + 1)
    await page.go_back()
    assert await chosen.evaluate(WHICH) == second
    await page.keyboard.press("k")
    assert await chosen.evaluate(WHICH) == first
    await page.goto(house.address("/deliveries"))
    await expect(page.locator("#deliveries tbody tr").first).to_be_visible()
    await expect(chosen).to_have_count(0)
