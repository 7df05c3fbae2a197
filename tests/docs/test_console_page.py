"""docs/console.md: nginx itself, with the block shown, before a relay's console: log-in, forms and streams."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.docs.pages import blocks, read
from tests.e2e.nginx import Nginx, by_tls
from tests.e2e.processes import TOKEN, RelayProcess, free_port, running, until

PAGE = "docs/console.md"
[NGINX] = blocks(read(PAGE), "nginx")
HOST = "relay.example.com"
OPERATOR = "an-operator-0123456789"
ROUTES = """\
version: 1
sources: {crm: {token: "%s"}}
targets: {bot: {url: "http://127.0.0.1:9/"}}
routes: [{name: all, match: {entity: leads}, to: bot}]
"""


def nginx(folder: Path, relay: int = 8081) -> Nginx:
    """By the block of the page, in front of a relay with that admin port."""
    return by_tls(folder, NGINX.replace("127.0.0.1:8081", f"127.0.0.1:{relay}"), free_port(), host=HOST)


def test_nginx_understands_the_block(tmp_path: Path) -> None:
    assert nginx(tmp_path).complaints() == ""


class Browser:
    """What comes to the console by its name, from another address than the proxy's own."""

    def __init__(self, session: aiohttp.ClientSession, proxy: Nginx) -> None:
        self.origin = f"https://{HOST}:{proxy.port}"
        self._session = session
        self._to = f"https://127.0.0.1:{proxy.port}"
        self._settings = {"ssl": proxy.trusted, "server_hostname": HOST, "allow_redirects": False}
        self.cookies: dict[str, str] = {}

    @asynccontextmanager
    async def ask(
        self, method: str, path: str, *, origin: str = "", **form: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request with the cookies there are, and keep those of the answer."""
        headers = {"Host": self.origin.removeprefix("https://"), **({"Origin": origin} if origin else {})}
        headers |= {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        sent = self._session.request(method, self._to + path, data=form or None, headers=headers, **self._settings)
        async with sent as answer:
            self.cookies |= {name: each.value for name, each in answer.cookies.items()}
            yield answer


@asynccontextmanager
async def console(folder: Path) -> AsyncIterator[tuple[RelayProcess, Browser]]:
    """A relay with the flags of the page, nginx before it, and a browser before that."""
    flags = {"RELAY_ADMIN_TOKEN": OPERATOR, "RELAY_ADMIN_URL": f"https://{HOST}", "RELAY_TRUSTED_PROXY": "127.0.0.1"}
    async with running(folder, ROUTES % TOKEN, **flags) as relay:
        proxy = nginx(folder, relay.admin_port)
        elsewhere = aiohttp.TCPConnector(local_addr=("127.0.0.5", 0))
        async with (
            proxy.running(),
            aiohttp.ClientSession(connector=elsewhere, cookie_jar=aiohttp.DummyCookieJar()) as session,
        ):
            yield relay, Browser(session, proxy)


@pytest.mark.timeout(240)
async def test_forms_and_streams_come_through_nginx_and_those_of_other_sites_do_not(tmp_path: Path) -> None:
    async with console(tmp_path) as (relay, browser):
        async with browser.ask("POST", "/login", origin="https://evil.example", token=OPERATOR) as answer:
            assert answer.status == 403
        async with browser.ask("POST", "/login", origin=browser.origin, token=OPERATOR) as answer:
            assert answer.status == 303
            [(name, cookie)] = answer.cookies.items()
            assert name.startswith("__Host-relay-")
            assert cookie["secure"] and cookie["httponly"] and cookie["samesite"] == "Lax"
        async with browser.ask("POST", "/targets/bot/pause", origin=browser.origin, reason="try") as answer:
            assert answer.status == 303, await answer.text()
        async with browser.ask("GET", "/") as answer:
            assert answer.status == 200
            assert "bot" in await answer.text()
        async with browser.ask("GET", "/live/stream") as stream:
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            await sent(relay)
            assert await shown(stream, "leads")
        for _ in range(6):
            async with browser.ask("POST", "/login", origin=browser.origin, token="wrong") as answer:
                last = answer.status
        assert last == 429
        await until(lambda: '"127.0.0.5"' in relay.log.read_text())  # the browser is locked out, not the proxy


async def sent(relay: RelayProcess) -> None:
    """Post a webhook as amoCRM does."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(relay.hook, data={"leads[add][0][id]": "7"}) as answer,
    ):
        assert answer.status == 200


async def shown(stream: aiohttp.ClientResponse, text: str) -> bool:
    """Whether the open stream says so; it never ends by itself."""
    read = ""
    async for chunk in stream.content.iter_any():
        read += chunk.decode()
        if text in read:
            return True
    return False
