"""A relay in this process, its targets, and Chromium: pages as people use them, on loopback alone.

All of a file share one event loop and one browser; each test has a relay and a profile of its own.
"""

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright
from prometheus_client import CollectorRegistry

from relay.daemon.settings import Settings
from relay.daemon.wiring import Relay, running, url
from relay.model import Secret
from relay.store.open import SqliteUrl
from tests.e2e.processes import free_port
from tests.e2e.targets import Behaviour, Targets, always, listening, well
from tests.scene import FORM, TOKEN, form
from tests.tools import without

ARGUMENTS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
)
ROUTES = """\
version: 1
sources:
  crm: {{token: "{token}"}}
targets:
  old-handler: {{url: "{old}", retry: {{attempts: 1}}}}
  sales-bot: {{url: "{bot}"}}
  warehouse: {{url: "{dwh}"}}
routes:
  - {{name: offer-made, match: {{entity: leads, status_id: 3}}, to: [sales-bot, warehouse]}}
  - {{name: old, match: {{entity: leads}}, to: old-handler}}
"""


def chromium_path() -> str:
    """Skip, or in CI fail, where there is none."""
    given = os.environ.get("RELAY_CHROMIUM", "/usr/bin/chromium")
    return shutil.which(given) or without(f"{given} is not installed; on Debian and Ubuntu: apt install chromium")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield browser
        await browser.close()


@dataclass
class House:
    """A relay that can be stopped and started again on the same port, and its targets, which can be mended."""

    settings: Settings
    targets: Targets
    session: aiohttp.ClientSession
    source: str = "crm"
    relay: Relay | None = None
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        """Start, and keep the port of the pages for the next start."""
        starting = running(self.settings, emit=lambda _signal: None, registry=CollectorRegistry())
        self.relay = await self._running.enter_async_context(starting)

    async def stop(self) -> None:
        """Stop as a signal would."""
        await self._running.aclose()

    def address(self, path: str = "/") -> str:
        """Of a page."""
        assert self.relay
        return url(self.relay.admin_listening) + path

    async def post(self, *leads: dict[str, object]) -> None:
        """Webhooks of amoCRM, one for each lead."""
        assert self.relay
        for lead in leads:
            body = form({"status_id": 3, "pipeline_id": 9} | lead)
            async with self.session.post(
                f"{url(self.relay.listening)}/hooks/{self.source}/{TOKEN}", data=body, headers=FORM
            ) as answer:
                assert answer.status in (200, 503)  # too late on a busy machine, and stored all the same

    async def unparsed(self) -> None:
        """A webhook that cannot be read, and one of a type that no route takes."""
        assert self.relay
        for body in (b'{"hello": "this is no form"}', b"contacts[update][0][id]=7"):
            address = f"{url(self.relay.listening)}/hooks/{self.source}/{TOKEN}"
            async with self.session.post(address, data=body, headers=FORM) as answer:
                assert answer.status in (200, 503)

    async def settled(self, target: str, **states: int) -> None:
        """Wait until so many deliveries to a target are in each of the states: dead=37."""
        while True:
            found = Counter(each["state"] for each in await self.deliveries(target))
            if all(found[state] >= number for state, number in states.items()):
                return
            await asyncio.sleep(0.02)

    async def opened(self, target: str) -> None:
        """Wait until the circuit of a target is open."""
        while True:
            async with self.session.get(self.address(f"/api/v1/targets/{target}")) as answer:
                breaker = (await answer.json())["breaker"]
            if breaker and breaker["state"] == "open":
                return
            await asyncio.sleep(0.02)

    async def paused(self, target: str, reason: str) -> None:
        """Pause a target."""
        address = self.address(f"/api/v1/targets/{target}/pause")
        async with self.session.put(address, json={"reason": reason}) as answer:
            assert answer.status == 200

    async def refused(self, text: str) -> None:
        """Have a routes file refused; the one before stays in force."""
        self.settings.config.write_text(text)
        async with self.session.post(self.address("/api/v1/reload"), json={}) as answer:
            assert answer.status == 409

    async def paused_and_resumed(self, target: str) -> str:
        """The id of the act."""
        for method in ("PUT", "DELETE"):
            async with self.session.request(method, self.address(f"/api/v1/targets/{target}/pause"), json={}) as answer:
                assert answer.status == 200
        async with self.session.get(self.address("/api/v1/audit")) as answer:
            return str((await answer.json())["data"][0]["id"])

    async def deliveries(self, target: str) -> list[dict[str, str]]:
        """Of a target, the newest first, as the API has them."""
        async with self.session.get(self.address(f"/api/v1/deliveries?target={target}&limit=200")) as answer:
            return (await answer.json())["data"]


@pytest_asyncio.fixture(loop_scope="module")
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """`old-handler` refuses all, `warehouse` is not well, `sales-bot` is."""
    async with inhabited(tmp_path, ROUTES, bot=well, old=always(400), dwh=always(503)) as house:
        yield house


@asynccontextmanager
async def inhabited(
    folder: Path, text: str, *, source: str = "crm", token: str = "", **behaviour: Behaviour
) -> AsyncIterator[House]:
    """A relay by this routes file, in which targets of these names have their addresses."""
    async with listening(**behaviour) as targets, aiohttp.ClientSession() as session:
        routes = folder / "routes.yaml"
        routes.write_text(text.format(token=TOKEN, **{name: targets.url(name) for name in behaviour}))
        settings = Settings(
            config=routes,
            store=SqliteUrl(folder / "relay.db"),
            listen=("127.0.0.1", 0),
            admin=("127.0.0.1", free_port()),
            admin_token=Secret(token) if token else None,
        )
        house = House(settings=settings, targets=targets, session=session, source=source)
        await house.start()
        yield house
        await house.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def profile(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A browser without a past, in English; it fails the test if it asks anyone but the relay."""
    context = await chromium.new_context(locale="en-GB", timezone_id="Europe/Moscow")
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    yield context
    await context.close()
    assert {urlsplit(each).hostname for each in asked} <= {"127.0.0.1", None}


@dataclass
class Complaints:
    """What the browser says on its console, but for what a test expects."""

    texts: list[str] = field(default_factory=list)

    def listen_to(self, page: Page) -> None:
        """Collect errors, warnings, and what a script did not catch."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.texts.append(str(error)))
        page.on("requestfailed", self._failed)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.texts.append(f"{message.text} {message.location.get('url', '')}")

    def _failed(self, request: Request) -> None:
        left = request.failure == "net::ERR_ABORTED"  # streams end, and people leave pages
        if request.resource_type not in ("fetch", "document") and not left:
            self.texts.append(f"{request.url}: {request.failure}")


@pytest_asyncio.fixture(loop_scope="module")
async def complaints() -> AsyncIterator[Complaints]:
    """Empty at the end."""
    found = Complaints()
    yield found
    assert found.texts == []


@pytest_asyncio.fixture(loop_scope="module")
async def page(profile: BrowserContext, complaints: Complaints) -> Page:
    opened = await profile.new_page()
    complaints.listen_to(opened)
    return opened
