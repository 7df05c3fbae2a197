"""The menu on a phone: it fades on each side on which it goes on, and begins with the page that is open."""

import pytest
from playwright.async_api import Page, expect

from tests.console.chromium.conftest import House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

NAV = "header.bar nav"
MASK = "nav => getComputedStyle(nav).maskImage"
SCROLL = "(nav, share) => { nav.scrollLeft = share * (nav.scrollWidth - nav.clientWidth); }"
IN_SIGHT = """nav => {
  const [all, one] = [nav, nav.querySelector("[aria-current]")].map(each => each.getBoundingClientRect());
  return one.left >= all.left && one.right <= all.right;
}"""


async def fades(page: Page) -> tuple[bool, bool]:
    """On its left, and on its right."""
    mask = await page.locator(NAV).evaluate(MASK)
    return ") 40px" in mask, "100% - 40px" in mask


@pytest.mark.parametrize(("share", "shown"), [(0, (False, True)), (0.5, (True, True)), (1, (True, False))])
async def test_it_fades_where_it_goes_on(house: House, page: Page, share: float, shown: tuple[bool, bool]) -> None:
    await page.set_viewport_size({"width": 360, "height": 800})
    await page.goto(house.address())
    nav = page.locator(NAV)
    assert await nav.evaluate("nav => nav.scrollWidth > nav.clientWidth")
    await nav.evaluate(SCROLL, share)
    for name, is_there in (("from-start", shown[0]), ("at-end", not shown[1])):
        there = page.locator(f"{NAV}.{name}")
        await expect(there).to_have_count(int(is_there))
    assert await fades(page) == shown


async def test_the_page_that_is_open_is_in_sight(house: House, page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 800})
    for path in ("/", "/live", "/acts"):
        await page.goto(house.address(path))
        await expect(page.locator("html.js")).to_have_count(1)
        assert await page.locator(NAV).evaluate(IN_SIGHT), path


async def test_on_a_wide_screen_nothing_fades(house: House, page: Page) -> None:
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.goto(house.address())
    assert await page.locator(NAV).evaluate(MASK) == "none"
