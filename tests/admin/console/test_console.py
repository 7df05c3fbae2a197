"""What every page has: its headers, its language, its style; and a relay without any."""

import subprocess
import sys

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from relay.admin.console import flash
from relay.admin.console.flash import Flash
from relay.admin.console.headers import HEADERS
from relay.admin.console.site import PAGES
from relay.admin.console.static import Static
from tests.admin.console.conftest import VIEWER, Client, see

SHOWN = sorted(each.path for each in PAGES if each.method == "GET" and "{" not in each.path and not each.stream)


@pytest.mark.parametrize("path", [*SHOWN, "/favicon.svg", "/nowhere", "/deliveries?before=x"])
async def test_every_answer_to_a_browser_has_the_headers(path: str, browser: Client) -> None:
    answer = await browser.get(path, headers={"Accept": "text/html"})
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert path == "/favicon.svg" or answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", SHOWN)
async def test_a_page_has_neither_script_nor_style_of_its_own(path: str, browser: Client) -> None:
    seen = await see(browser, path)
    assert seen.source.count("<script") == seen.source.count('<script src="/static/')
    assert "<style" not in seen.source and " style=" not in seen.source and " on" not in seen.tags
    assert seen.source.startswith("<!doctype html>") and 'lang="en"' in seen.source


async def test_a_file_is_kept_for_ever_under_the_hash_of_all_files(browser: Client) -> None:
    url = Static().url("console.css")
    assert url is not None and url in (await see(browser, "/")).source
    answer = await browser.get(url)
    assert answer.content_type == "text/css"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    older = await browser.get(f"/static/0000000000000000/{url.rpartition('/')[2]}")
    assert (older.status, older.headers["Cache-Control"]) == (200, "no-store")


@pytest.mark.parametrize("name", ["nothing.css", "../console.py", "%2e%2e/console.py", "../../../../etc/passwd"])
async def test_only_files_of_the_folder_are_served(name: str, browser: Client) -> None:
    answer = await browser.get(f"/static/0/{name}")
    assert answer.status == 404


async def test_a_browser_without_log_in_is_led_to_it_and_a_program_is_not(guarded: Client) -> None:
    answer = await guarded.get("/deliveries?state=dead", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/login?next=%2Fdeliveries%3Fstate%3Ddead")
    assert (await guarded.get("/metrics")).status == 401
    assert (await guarded.get("/deliveries", headers=VIEWER)).status == 200


NO_FORMS = (
    (b"a=\xff", "application/x-www-form-urlencoded"),
    (b"a=1", "application/x-www-form-urlencoded; charset=none-such"),
    (b"--x\r\nbad", "multipart/form-data; boundary=x"),
    (b"a", "multipart/form-data"),
)


@pytest.mark.parametrize("path", ["/login", "/language", "/routes/diff", "/deliveries/replay", "/targets/x/pause"])
async def test_a_body_that_is_no_form_is_refused_on_a_page(path: str, browser: Client) -> None:
    for body, kind in NO_FORMS:
        answer = await browser.post(path, data=body, headers={"Content-Type": kind})
        assert (answer.status, answer.content_type) == (400, "text/html"), (kind, body)
        assert "the form cannot be read" in await answer.text()


@pytest.mark.parametrize("letter", ["a", "ы", "💥", "\ud800", "%", "\n", ";"])
def test_what_is_said_on_the_next_page_fits_into_a_cookie(letter: str) -> None:
    answer = web.Response()
    flash.put(answer, Flash(kind="failed", text=letter * 2_000))
    value = answer.cookies[flash.COOKIE].value
    assert len(value) < 3_000
    shown = flash.take(make_mocked_request("GET", "/", headers={"Cookie": f"{flash.COOKIE}={value}"}))
    assert shown and shown.kind == "failed" and {*shown.text} == {letter if letter != "\ud800" else "?"}


CODE = """
import sys, relay.daemon.wiring, relay.cli
loaded = [each for each in ("relay.admin.console", "itsdangerous", "aiohttp_jinja2", "jinja2") if each in sys.modules]
print(loaded)
"""


def test_without_the_console_nothing_of_it_is_loaded() -> None:
    assert subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True).stdout == b"[]\n"
