"""The console of a running relay: log-in outlives a restart and ends with its token; and a relay without pages."""

import html
from pathlib import Path
from typing import Any

import aiohttp

from relay.admin.console.languages import COOKIE
from relay.daemon.wiring import url
from relay.operations import access
from tests.daemon.test_access import Guarded, add, guarded
from tests.daemon.test_access import settings as settings


async def open_page(relay: Guarded, cookies: dict[str, str], path: str = "/") -> int:
    async with (
        aiohttp.ClientSession(cookies=cookies, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
        browser.get(url(relay.relay.admin_listening) + path, allow_redirects=False) as answer,
    ):
        return answer.status


async def log_in(relay: Guarded, token: str) -> dict[str, str]:
    async with (
        aiohttp.ClientSession() as browser,
        browser.post(
            url(relay.relay.admin_listening) + "/login", data={"token": token}, allow_redirects=False
        ) as answer,
    ):
        assert answer.status == 303
        return {name: each.value for name, each in answer.cookies.items()}


async def test_a_log_in_outlives_a_restart_and_ends_with_its_token(settings: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "access.json"
    olga = add(file, "olga")
    async with guarded(settings | {"access": file}) as relay:
        assert await open_page(relay, {}) == 303
        cookies = await log_in(relay, olga)
        assert await open_page(relay, cookies) == 200
    async with guarded(settings | {"access": file}) as relay:
        assert await open_page(relay, cookies) == 200
        access.rotate(file, "olga", expires=None, now=relay.relay.store.clock())
        await relay.relay.reloader.reload()
        assert await open_page(relay, cookies) == 303
    assert (tmp_path / "relay.db.session-key").stat().st_mode & 0o777 == 0o600


async def test_under_https_the_cookie_says_so(settings: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "access.json"
    olga = add(file, "olga")
    async with guarded(settings | {"access": file, "admin_url": "https://relay.example"}) as relay:
        assert [name[:13] for name in await log_in(relay, olga)] == ["__Host-relay-"]


async def test_a_relay_without_console_has_no_pages_and_the_rest(settings: dict[str, Any]) -> None:
    async with guarded(settings | {"console": False}) as relay:
        found = [
            await open_page(relay, {}, path) for path in ("/", "/login", "/static/0/console.css", "/api/v1/status")
        ]
        assert found == [404, 404, 404, 200] and await relay.ask("") == 200


async def test_the_page_after_a_reload_says_what_is_loaded_now(settings: dict[str, Any]) -> None:
    routes = settings["config"]
    async with guarded(settings) as relay:
        good = routes.read_text()
        assert "read again, and unchanged, at" not in await relay.text("", "/routes")
        assert "✓ Loaded" in await reloaded(relay)
        assert "read again, and unchanged, at" in await relay.text("", "/routes")
        routes.write_text(good + "targts: {}\nwhat: {}\n")
        line = len(good.splitlines()) + 1
        said = f"Загрузить не удалось: действует прежнее. {routes}:{line}:1  targts: неизвестный ключ"
        assert said in await reloaded(relay, "ru")
        for path in ("/", "/routes"):
            page = html.unescape(await relay.text("", path))
            assert "on disk is not what runs" in page and f"{routes}:{line}:1  targts: unknown key" in page
        assert "Nothing was found." not in page
        routes.write_text(good)
        assert "✓ Loaded" in await reloaded(relay)
        assert "not what runs" not in await relay.text("", "/routes")


async def reloaded(relay: Guarded, language: str = "en") -> str:
    """Press the button of the page; return the page after it."""
    cookies = {COOKIE: language}
    async with (
        aiohttp.ClientSession(cookies=cookies, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
        browser.post(url(relay.relay.admin_listening) + "/routes/reload", data={"back": "/routes"}) as answer,
    ):
        return html.unescape(await answer.text())
