"""Every page in Chromium: nothing keeps anyone from using it, it fits a phone, and the browser has no complaint."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from relay.admin.console.site import PAGES
from relay.admin.console.waiting import Counts, Waiting
from tests.console.chromium.conftest import House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

LEAD = 4831596
ELSEWHERE = ("/heal/runs/{id}", "/webhooks/{id}/body")
"""What no relay without an account has, and what is saved to a file."""
FILLED = ("/deliveries?entity=task&action=note", "/live?only=incoming", "/routes/try?draft=1", "/acts?who=nobody")
"""What pages have only for such a query."""
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (360, 768, 1280, 1920)
SMALLEST = 24  # pixels, WCAG 2.2, 2.5.8: but for links within a sentence
SCREENSHOTS = os.environ.get("RELAY_SCREENSHOTS")
"""A folder for pictures of every page; without it none are taken."""

TOO_SMALL = """smallest => [...document.querySelectorAll("button, input, select, textarea, summary, nav a, a.button")]
  .filter(each => each.checkVisibility() && each.type !== "hidden")
  .filter(each => { const box = each.getBoundingClientRect(); return box.width < smallest || box.height < smallest; })
  .map(each => each.outerHTML.slice(0, 120))"""
CUT = """() => [...document.querySelectorAll(".scroll")].filter(each => each.scrollWidth > each.clientWidth)
  .map(each => each.getAttribute("aria-label"))"""
"""Tables of which a phone hides a part."""
OUT_OF_REACH = """() => [...document.querySelectorAll("header.bar :is(a, button, input:not([type=hidden]))")]
  .filter(each => {
    each.scrollIntoView({ block: "nearest", inline: "center" });
    const box = each.getBoundingClientRect();
    return !each.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2));
  })
  .map(each => each.outerHTML.slice(0, 120))"""
LOGGED_IN = """() => {
  const [asker, language] = [".asker", ".language"].map(each => document.querySelector(each));
  asker.textContent = "RELAY_ADMIN_TOKEN";
  asker.after(language.cloneNode(true));
}"""
"""The name of a token, and a button more."""
OVERFLOWING = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest_asyncio.fixture(loop_scope="module")
async def shown(house: House, page: Page) -> AsyncIterator[list[str]]:
    """Addresses of all pages of a relay that has something of everything."""
    await house.post(*({"id": LEAD + number % 3, "name": f"Ремонт {number}"} for number in range(12)))
    await house.settled("old-handler", dead=12)
    await house.unparsed()
    yield await addresses(house, "old-handler", "sales-bot")


async def addresses(house: House, dead: str, well: str) -> list[str]:
    """Of all pages: of a target with dead deliveries, of one of them, and of an act on another target."""
    event = (await house.deliveries(dead))[0]["event"]
    act = await house.paused_and_resumed(well)
    return [
        path
        for each in PAGES
        if each.method == "GET"
        and not each.stream
        and each.path not in ELSEWHERE
        and "{" not in (path := filled(each.path, dead, event, act))
    ] + [*FILLED]


async def speak(page: Page, house: House, language: str) -> None:
    """Have pages in this language, as its button does."""
    await page.context.add_cookies([{"name": "language", "value": language, "url": house.address()}])
    await page.goto(house.address())
    assert await page.get_attribute("html", "lang") == language


def filled(path: str, target: str, event: str, act: str) -> str:
    """`/targets/{target}` -> `/targets/old-handler`; a name for which nothing is known stays."""
    values = {"target": target, "event": event, "webhook": event, "entity": "leads", "act": act}
    ids = {"/acts/{id}": act, "/events/{id}": event, "/webhooks/{id}": event}
    for name, value in (values | {"id": ids.get(path, str(LEAD))}).items():
        path = path.replace(f"{{{name}}}", value)
    return path


@pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "ru")])
async def test_axe_finds_nothing_on_any_page(
    house: House, page: Page, shown: list[str], scheme: str, language: str
) -> None:
    await page.emulate_media(color_scheme=scheme)
    await speak(page, house, language)
    found = {}
    for path in shown:
        await page.goto(house.address(path))
        results = await Axe().run(page, options=RULES)
        found[path] = [
            (each["id"], node["target"], node["failureSummary"])
            for each in results.response["violations"]
            for node in each["nodes"]
        ]
    assert {path: each for path, each in found.items() if each} == {}


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("width", WIDTHS)
async def test_every_page_fits_and_its_controls_can_be_hit(
    house: House, page: Page, shown: list[str], width: int, language: str
) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    await speak(page, house, language)
    found = {}
    for path in shown:
        await page.goto(house.address(path))
        found[path] = await page.evaluate(OVERFLOWING), await page.evaluate(TOO_SMALL, SMALLEST)
        if SCREENSHOTS:
            name = re.sub(r"\W+", "-", path).strip("-") or "overview"
            for scheme in SCHEMES:
                await page.emulate_media(color_scheme=scheme)
                picture = Path(SCREENSHOTS, f"{name}-{width}-{language}-{scheme}.png")
                await page.screenshot(path=picture, full_page=True)
    assert {path: each for path, each in found.items() if each != (0, [])} == {}


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_the_whole_menu_can_be_clicked_at_every_width_with_all_counts(
    house: House, page: Page, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    most = Counts(dead=99_999, unparsed=99_999, unrouted=99_999, acts=10)
    monkeypatch.setattr(Waiting, "counts", lambda _self: most)
    await speak(page, house, language)
    await page.evaluate(LOGGED_IN)
    found = {}
    for width in (*range(360, 1921, 60), 1366):
        await page.set_viewport_size({"width": width, "height": 900})
        found[width] = await page.evaluate(OVERFLOWING), await page.evaluate(OUT_OF_REACH)
        if SCREENSHOTS:
            await page.screenshot(path=Path(SCREENSHOTS, f"head-{width}-{language}.png"))
    assert {width: each for width, each in found.items() if each != (0, [])} == {}


async def test_on_a_phone_each_number_and_time_of_a_relay_has_its_name(house: House, page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 900})
    await page.goto(house.address("/relays"))
    cells = page.locator("#relays :is(td.number, td:has(time)):visible")
    assert await cells.count() > 2
    assert await page.locator("#relays :is(td.number, td:has(time)):visible:not([data-label])").count() == 0


async def test_more_filters_stand_in_rows_as_the_others_do(house: House, page: Page) -> None:
    await page.set_viewport_size({"width": 1280, "height": 900})
    await page.goto(house.address("/deliveries"))
    await page.locator("form.filters summary").click()
    fields = await page.locator("form.filters :is(input, select, button):visible").all()
    tops = {round(box["y"]) for each in fields if (box := await each.bounding_box())}
    assert len(fields) > 10 and len(tops) <= 3


async def test_a_time_that_is_typed_is_of_the_browsers_zone_and_the_address_has_it(house: House, page: Page) -> None:
    await page.goto(house.address("/deliveries"))
    await expect(page.get_by_text("this is the time of your browser")).to_be_visible()
    await page.get_by_label("Since").fill("2026-11-20 23:16")
    await page.get_by_role("button", name="Show", exact=True).click()
    await page.wait_for_url(re.compile(r"/deliveries\?since=2026-11-20T23:16:00%2B03:00$"))
    await expect(page.locator("label", has_text="Since").locator("time")).to_have_text("20/11/2026, 23:16:00")


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_on_a_phone_no_table_goes_on_beyond_the_edge(
    house: House, page: Page, shown: list[str], language: str
) -> None:
    await page.set_viewport_size({"width": 360, "height": 900})
    await speak(page, house, language)
    found = {}
    for path in shown:
        await page.goto(house.address(path))
        if cut := await page.evaluate(CUT):
            found[path] = cut
        if SCREENSHOTS:
            name = re.sub(r"\W+", "-", path).strip("-") or "overview"
            await page.screenshot(path=Path(SCREENSHOTS, f"{name}-360-{language}.png"), full_page=True)
    assert found == {}


async def test_keys_work_in_the_russian_layout_and_g_is_for_one_more_key(house: House, page: Page) -> None:
    async def press(key: str, code: str, **more: bool) -> None:
        given = {"key": key, "code": code, "bubbles": True, "cancelable": True, **more}
        await page.evaluate("each => document.body.dispatchEvent(new KeyboardEvent('keydown', each))", given)

    await page.goto(house.address("/live"))
    await press(",", "Slash", shiftKey=True)
    await expect(page.locator("#keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await press(".", "Slash")
    await expect(page.locator("#search")).to_be_focused()
    await page.locator("#search").blur()
    await press("п", "KeyG")
    await press("c", "KeyC", ctrlKey=True)
    await press("к", "KeyR")
    await press("п", "KeyG")
    await press("в", "KeyD")
    await page.wait_for_url("**/deliveries")


@pytest.mark.parametrize(("width", "highest"), [(360, 100), (1280, 100)])
async def test_the_head_takes_little_and_a_phone_shows_what_waits_and_its_buttons(
    house: House, page: Page, shown: list[str], width: int, highest: int
) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    await speak(page, house, "ru")
    head = await page.locator("header.bar").bounding_box()
    assert head and head["height"] <= highest
    for seen in await page.locator("#overview table.stacked tbody :is(.number, button, summary):visible").all():
        box = await seen.bounding_box()
        assert box and box["x"] + box["width"] <= width, await seen.inner_text()
