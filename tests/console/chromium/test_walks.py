"""What an operator does at night, by mouse, by keyboard alone and without JavaScript, in both languages and themes."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, expect

from relay.admin.console import languages
from tests.console.chromium.conftest import Complaints, House
from tests.console.chromium.test_pages import RULES
from tests.e2e.targets import well

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
expect.set_options(timeout=30_000)  # the machine may be busy

LEAD, DEAD = 4831596, 37
MOST_TABS = 200
FOCUSED = "element => element === document.activeElement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How somebody uses the pages."""

    keyboard: bool
    scripts: bool
    language: str
    theme: str

    def __str__(self) -> str:
        hand = "keyboard" if self.keyboard else "mouse"
        return f"{hand}-{'scripts' if self.scripts else 'no scripts'}-{self.language}-{self.theme}"


WAYS = [
    Way(keyboard=False, scripts=True, language="en", theme="light"),
    Way(keyboard=False, scripts=True, language="ru", theme="dark"),
    Way(keyboard=True, scripts=True, language="ru", theme="light"),
    Way(keyboard=True, scripts=True, language="en", theme="dark"),
    Way(keyboard=True, scripts=False, language="en", theme="light"),
    Way(keyboard=False, scripts=False, language="ru", theme="dark"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """One page, used one way; names of buttons and links are given in English."""

    page: Page
    way: Way

    def said(self, text: str, number: int | None = None) -> str:
        """A text of the pages in the language of the way, with the number in it."""
        languages.speak(self.way.language)
        if number is None:
            return languages.gettext(text)
        many = text.replace("delivery", "deliveries")
        return languages.ngettext(text, many, number) % {"num": number}

    async def press(self, thing: Locator) -> None:
        """Click it, or get there by Tab and press Enter."""
        if self.way.keyboard:
            await self.reach(thing.first)
            await self.page.keyboard.press("Enter")
        else:
            await thing.first.click()

    async def write(self, field: Locator, text: str) -> None:
        """Write into a field."""
        if self.way.keyboard:
            await self.reach(field.first)
            await self.page.keyboard.type(text)
        else:
            await field.first.fill(text)

    async def reach(self, thing: Locator) -> None:
        """By Tab alone."""
        await thing.wait_for()
        for _ in range(MOST_TABS):
            if await thing.evaluate(FOCUSED):
                return
            await self.page.keyboard.press("Tab")
        pytest.fail(f"not reached by Tab: {thing}")

    def button(self, text: str, **more: Any) -> Locator:
        """A button by its name."""
        return self.page.get_by_role("button", name=self.said(text, **more))


@pytest_asyncio.fixture(loop_scope="module", params=WAYS, ids=str)
async def hand(request: pytest.FixtureRequest, chromium: Browser, complaints: Complaints) -> AsyncIterator[Hand]:
    way = request.param
    context = await chromium.new_context(
        locale={"en": "en-GB", "ru": "ru-RU"}[way.language], color_scheme=way.theme, java_script_enabled=way.scripts
    )
    page = await context.new_page()
    complaints.listen_to(page)
    yield Hand(page=page, way=way)
    await context.close()


@pytest.fixture
def row(hand: Hand) -> Callable[[str], Locator]:
    """The row of a target."""
    return lambda target: hand.page.get_by_role("row").filter(
        has=hand.page.get_by_role("link", name=target, exact=True)
    )


async def nothing_is_in_the_way(hand: Hand) -> None:
    if hand.way.scripts:
        found = await Axe().run(hand.page, options=RULES)
        assert found.response["violations"] == []


async def test_a_circuit_is_open_why_pause_mend_replay_all_well(
    house: House, hand: Hand, row: Callable[[str], Locator]
) -> None:
    page = hand.page
    await house.post(*({"id": LEAD + number, "name": f"n{number}"} for number in range(DEAD)))
    await house.settled("old-handler", dead=DEAD)
    await house.opened("warehouse")
    await page.goto(house.address())
    assert await page.locator("html").get_attribute("lang") == hand.way.language
    await expect(row("warehouse")).to_contain_text(hand.said("circuit open"))
    await nothing_is_in_the_way(hand)
    await hand.press(row("warehouse").get_by_role("link", name="warehouse", exact=True))
    await page.wait_for_url("**/targets/warehouse")
    await expect(page.locator(".verdict")).to_contain_text("503")  # why
    await nothing_is_in_the_way(hand)
    await hand.press(page.locator("summary", has_text=hand.said("Pause")))
    await hand.write(page.get_by_label(hand.said("Reason")), "mending")
    await hand.press(page.get_by_role("button", name=hand.said("Pause %(target)s") % {"target": "warehouse"}))
    await expect(page.locator(".flash.done")).to_contain_text("warehouse")
    await expect(page.locator(".verdict")).to_contain_text("mending")
    house.targets.behaviour.update(dwh=well, old=well)  # mend
    await hand.press(hand.button("Resume"))
    await expect(page.locator(".flash.done")).to_contain_text("warehouse")
    await page.goto(house.address())
    replay = hand.said("Replay %(number)s…") % {"number": DEAD}
    await hand.press(row("old-handler").get_by_role("button", name=replay))
    await expect(hand.button("Replay %(num)s delivery", number=DEAD)).to_be_visible()
    await nothing_is_in_the_way(hand)
    await hand.press(hand.button("Replay %(num)s delivery", number=DEAD))
    await expect(page.locator(".flash.done")).to_be_visible()
    await house.settled("old-handler", delivered=DEAD)
    await house.settled("warehouse", delivered=DEAD)
    await page.goto(house.address())
    while hand.said("All is well.") not in await page.locator(".verdict").inner_text():
        await page.reload()  # as a person does: without scripts a page stays as it was


async def test_where_did_this_lead_go(house: House, hand: Hand) -> None:
    page = hand.page
    await house.post({"id": LEAD, "name": "<img src=x onerror=alert(1)>"})
    await house.settled("old-handler", dead=1)
    await house.settled("sales-bot", delivered=1)
    await page.goto(house.address())
    box = page.locator("#search")
    if hand.way.keyboard and hand.way.scripts:
        await page.keyboard.press("/")
        await expect(box).to_be_focused()
        await page.keyboard.type(str(LEAD))
    else:
        await hand.write(box, str(LEAD))
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/leads/{LEAD}*")
    main = page.locator("main")
    for target, state in [("sales-bot", "delivered"), ("old-handler", "dead")]:
        await expect(main).to_contain_text(target)
        await expect(main).to_contain_text(hand.said(state))
    await nothing_is_in_the_way(hand)
