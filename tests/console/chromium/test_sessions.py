"""Log in, log out, and end all sessions: what other windows and the button Back show then."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.console.chromium.conftest import ROUTES, House, inhabited
from tests.e2e.targets import always, well

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
expect.set_options(timeout=30_000)  # the machine may be busy

TOKEN = "b7c1e0f49d2a4c5f8e6a3b1d"
TARGET = "/targets/old-handler"


@pytest_asyncio.fixture(loop_scope="module")
async def guarded(tmp_path: Path) -> AsyncIterator[House]:
    async with inhabited(tmp_path, ROUTES, token=TOKEN, bot=well, old=always(400), dwh=always(503)) as house:
        yield house


async def log_in(house: House, page: Page, path: str) -> None:
    """By way of the page that was asked for."""
    await page.goto(house.address(path))
    await page.get_by_label("Token").fill(TOKEN)
    await page.keyboard.press("Enter")
    await page.wait_for_url(house.address(path))


async def test_after_log_out_back_shows_nothing_from_before(guarded: House, page: Page) -> None:
    await log_in(guarded, page, "/deliveries")
    await page.goto(guarded.address(TARGET))
    await page.get_by_role("button", name="Log out").click()
    await expect(page.locator(".flash.done")).to_contain_text("Logged out.")
    for _ in range(2):
        await page.go_back()
        await expect(page.get_by_label("Token")).to_be_visible()
        await expect(page.get_by_text("old-handler")).to_have_count(0)


async def test_a_page_whose_session_was_ended_elsewhere_says_so_and_leads_to_log_in(
    guarded: House, page: Page, chromium: Browser
) -> None:
    elsewhere = await chromium.new_context(locale="en-GB")
    other = await elsewhere.new_page()
    await log_in(guarded, other, TARGET)
    await expect(other.locator("html.js")).to_have_count(1)
    await log_in(guarded, page, "/acts")
    await page.goto(guarded.address("/preferences"))
    await page.get_by_role("button", name="End all sessions").click()
    await expect(page.locator(".flash.done")).to_contain_text("Everybody has to log in again.")
    await expect(other.locator("#connection")).to_contain_text("You are logged out: what is shown is old.")
    await other.locator("#connection").get_by_role("link", name="Log in").click()
    await expect(other.get_by_label("Token")).to_be_visible()
    await elsewhere.close()
