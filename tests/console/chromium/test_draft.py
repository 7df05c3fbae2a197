"""A draft is compared on a small screen: what is wrong with it is seen at once, and has the focus."""

import pytest
from playwright.async_api import Page, expect

from tests.console.chromium.conftest import House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


async def test_the_verdict_of_a_draft_is_on_the_screen_once_it_is_compared(house: House, page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 640})
    for text in ("version: 1\nroutes: 7", "version: 1\nsources: {}"):
        await page.goto(house.address("/routes/diff?draft=1"))
        await page.fill("textarea[name=text]", text)
        await page.locator("#draft-form button.main").click()
        await expect(page.locator("#checked")).to_be_focused()
        await expect(page.locator(".verdict").first).to_be_in_viewport()
