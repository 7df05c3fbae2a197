"""Every page at every width, in both languages, with the longest names: nothing is cut off, and no table scrolls."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.console.chromium.conftest import House, inhabited
from tests.console.chromium.test_pages import addresses, speak
from tests.e2e.targets import always, repeating, well

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

WIDTHS = (360, 480, 768, 1024, 1280, 1920)
LEAD = 4831596
DEAD, OPEN, WELL = (f"{name}-of-the-second-branch-in-nizhny-novgorod-and-its-region" for name in ("old", "dwh", "bot"))
SOURCE = "account-of-the-second-branch-in-nizhny-novgorod"
ADDRESS = "x" * 120
REASON = f"https://tracker.example/{'y' * 200} and what else there is to say of it"
ROUTES = f"""\
version: 1
sources:
  {SOURCE}: {{{{token: "{{token}}"}}}}
targets:
  {DEAD}: {{{{url: "{{old}}?{ADDRESS}", retry: {{{{attempts: 1}}}}}}}}
  {OPEN}: {{{{url: "{{dwh}}?{ADDRESS}"}}}}
  {WELL}: {{{{url: "{{bot}}?{ADDRESS}"}}}}
routes:
  - {{{{name: offers-{SOURCE}, match: {{{{entity: leads, status_id: 3}}}}, to: [{WELL}, {OPEN}]}}}}
  - {{{{name: all-{SOURCE}, match: {{{{entity: leads}}}}, to: {DEAD}}}}}
"""

OPENED = "() => document.querySelectorAll('details').forEach(each => { each.open = true; })"
CUT = """() => {
  const found = [];
  const fault = (what, each) => found.push(`${what}: ${each.outerHTML.replace(/\\s+/g, " ").slice(0, 150)}`);
  const canvas = document.createElement("canvas").getContext("2d");
  const isTooLong = (each, text) => {
    const style = getComputedStyle(each);
    canvas.font = style.font;
    return canvas.measureText(text).width > each.clientWidth - parseFloat(style.paddingLeft) * 2 + 1;
  };
  const isHidden = each => {
    const head = each.closest("thead");
    return !each.checkVisibility() || each.closest(".hidden, .skip")
      || head && getComputedStyle(head).position === "absolute";  // of rows that are paragraphs
  };
  const around = each => {
    const outer = each.parentElement;
    return /^(inline|contents)/.test(getComputedStyle(outer).display) ? around(outer) : outer.getBoundingClientRect();
  };
  const beyond = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (beyond > 0) fault(`scrolls by ${beyond} pixels`, document.documentElement);
  for (const each of document.querySelectorAll("body > * *")) {
    if (isHidden(each) || each.closest("header.bar nav")) continue;  // on a phone the menu scrolls
    const cut = each.scrollWidth - each.clientWidth, box = each.getBoundingClientRect();
    const style = getComputedStyle(each);
    if (cut > 1 && style.overflowX !== "visible" && style.display !== "inline" && !each.matches("pre, textarea, input"))
      fault(`hides ${cut} pixels`, each);
    if (each.placeholder && isTooLong(each, each.placeholder)) fault("its placeholder is cut", each);
    const choice = each.matches("select") && each.selectedOptions[0]?.text;
    if (choice && isTooLong(each, choice)) fault("its choice is cut", each);
    if (each.parentElement.closest("pre, svg, select, datalist")) continue;
    const outside = Math.max(box.right - around(each).right, around(each).left - box.left);
    if (outside > 1) fault(`is ${Math.ceil(outside)} pixels outside`, each);
  }
  return found;
}"""
"""What of a page is cut off, or stands out of the box that it is in."""


@pytest_asyncio.fixture(loop_scope="module")
async def crowded(tmp_path: Path) -> AsyncIterator[House]:
    async with inhabited(tmp_path, ROUTES, source=SOURCE, bot=well, old=repeating(400), dwh=always(503)) as house:
        await house.post(*({"id": LEAD + number % 3, "name": f"Ремонт {number}"} for number in range(12)))
        await house.settled(DEAD, dead=12)
        await house.opened(OPEN)
        await house.unparsed()
        yield house


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_nothing_is_cut_off_at_any_width(crowded: House, page: Page, language: str) -> None:
    shown = await addresses(crowded, DEAD, WELL)
    await crowded.paused(WELL, REASON)
    await crowded.refused("version: 1\nsauces: {}\n" + f"targets: {{{'z' * 60}: {{uri: '{ADDRESS}'}}}}\n")
    await speak(page, crowded, language)
    found = []
    for path in (*shown, f"/targets/{OPEN}", f"/targets/{WELL}"):
        await page.goto(crowded.address(path))
        await page.evaluate(OPENED)
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            found += [f"{path} at {width}: {each}" for each in await page.evaluate(CUT)]
    assert not found, "\n".join(found)
