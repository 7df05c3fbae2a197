"""A relay that hangs: open pages say so and go on by themselves. A quiet one, or a page that slept, is no alarm."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.console.chromium.conftest import House
from tests.console.chromium.test_streams import BACK, LOST, followed, followers, met
from tests.e2e.processes import TOKEN, RelayProcess, running

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]
expect.set_options(timeout=30_000)  # the machine may be busy

ROUTES = f"""\
version: 1
sources: {{crm: {{token: {TOKEN}}}}}
targets: {{warehouse: {{url: "http://127.0.0.1:9/"}}}}
routes: [{{name: all, match: {{entity: leads}}, to: warehouse}}]
"""
SILENCE = "seconds => document.getElementById('connection').dataset.silence = seconds"
ONCE = "new Promise((came) => document.addEventListener('htmx:sse:{}', came, {{ once: true }}))"
HEARD, OPENED = (
    f"window.heard = {ONCE.format('before:message')}; 0",
    f"window.opened = {ONCE.format('after:connection')}",
)
MOST_OF_IT, HOUR = 40_000, 3_600_000  # milliseconds
HIDE = """hidden => {
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
}"""


@pytest_asyncio.fixture(loop_scope="module")
async def hanging(tmp_path: Path) -> AsyncIterator[RelayProcess]:
    async with running(tmp_path, ROUTES) as relay:
        yield relay


@pytest.mark.parametrize("path", ["/", "/live"])
async def test_a_relay_that_hangs_is_said_and_survived(hanging: RelayProcess, page: Page, path: str) -> None:
    await page.add_init_script(OPENED)
    await page.goto(hanging.admin + path)
    await page.evaluate("() => window.opened")
    hanging.signal(SIGSTOP)
    await page.evaluate(SILENCE, "2")
    await expect(page.locator("#connection")).to_contain_text(LOST)
    await expect(page.locator("#announce")).to_contain_text(LOST)
    await page.evaluate(SILENCE, "60")
    hanging.signal(SIGCONT)
    await expect(page.locator("#connection")).to_have_text(BACK)
    await expect(page.locator("#connection")).to_be_hidden()


async def test_a_relay_with_nothing_to_say_is_heard(house: House, page: Page) -> None:
    await page.clock.install()
    await followed(house, page)
    await page.evaluate(SILENCE, "60")
    await page.evaluate(HEARD)
    await page.clock.run_for(MOST_OF_IT)
    await page.evaluate("() => window.heard")
    await page.clock.run_for(MOST_OF_IT)
    assert await page.locator("#announce").inner_text() == ""
    await page.evaluate(SILENCE, "1")  # it would have been said
    await expect(page.locator("#announce")).to_have_text(re.compile(f"{LOST}|{BACK}"))


async def test_a_page_that_slept_gives_no_alarm(house: House, page: Page) -> None:
    await page.clock.install()
    await followed(house, page)
    await page.clock.fast_forward(HOUR)
    assert await page.locator("#announce").inner_text() == ""


async def test_a_page_out_of_sight_counts_nothing(house: House, page: Page) -> None:
    await page.clock.install()
    await followed(house, page)
    await page.evaluate(SILENCE, "60")
    await page.evaluate(HIDE, True)
    await met(lambda: followers(house) == 0)
    await page.clock.run_for(MOST_OF_IT)
    await page.evaluate(HIDE, False)
    await page.clock.run_for(MOST_OF_IT // 2)
    assert await page.locator("#announce").inner_text() == ""
