"""Each field of each form that takes a time reads what people write there, in Russian too."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_type_hints

import pytest
from yarl import URL

from relay.admin.console import moments
from relay.admin.console.site import PAGES
from relay.operations.registry import OPERATIONS
from relay.routes import config as routes_file
from relay.routes.config import Config
from relay.store.contract import Archive
from tests.admin.console.conftest import Client, Seen, see, send
from tests.cli.conftest import SECRETS, use_zone
from tests.cli.test_heal import HEALING

TEMPLATES = Path(moments.__file__).parent / "templates"
LISTINGS = ("/acts", "/attempts", "/deliveries", "/refused", "/unrouted")
RUN = "/heal/runs"
ZONE = "+03:00 Europe/Moscow"
WRITTEN = {
    "вчера 20:40": datetime(2026, 11, 21, 17, 40, tzinfo=UTC),
    "21.11.2026 23:16": datetime(2026, 11, 21, 20, 16, tzinfo=UTC),
    "2ч": datetime(2026, 11, 22, 10, tzinfo=UTC),
    "2026-11-21T10:53": datetime(2026, 11, 21, 7, 53, tzinfo=UTC),
}


@pytest.fixture
def config(folder: Path) -> Config:
    (folder / "routes.yaml").write_text(HEALING)
    return routes_file.load(folder / "routes.yaml", SECRETS)


def times_of_operations() -> set[str]:
    """Names of parameters that are instants."""
    found = {name: str(hint) for each in OPERATIONS for name, hint in get_type_hints(each.parameters).items()}
    return {name for name, hint in found.items() if "datetime" in hint}


def test_what_pages_read_as_times_are_all_parameters_that_are_instants() -> None:
    assert {"since", "until"} <= times_of_operations() <= {*moments.NAMES}


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("**/*.html")), ids=lambda path: path.name)
def test_a_time_is_written_in_no_field_but_that_of_times(template: Path) -> None:
    names = "|".join(times_of_operations())
    fields = re.findall(rf'<input(?![^>]*type="hidden")[^>]*name="(?:{names})"', template.read_text("utf-8"))
    assert fields == []


async def fields_of(browser: Client) -> set[tuple[str, str]]:
    """Each form of a page, by its action, with each field of it that takes a time."""
    paths = [each.path for each in PAGES if each.method == "GET" and not each.stream and "{" not in each.path]
    seen = [await see(browser, path) for path in paths]
    return {
        (str(form["action"]), name)
        for page in seen
        for form in page.forms
        for name in moments.NAMES
        if re.search(rf'type="search" name="{name}"', page.source) and name in form["fields"]
    }


async def test_forms_with_a_time_are_those_that_are_tried_here(browser: Client) -> None:
    wanted = {(path, name) for path in LISTINGS for name in ("since", "until")}
    assert await fields_of(browser) == wanted | {(RUN, "since")}


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize("path", LISTINGS)
async def test_a_time_of_a_listing_is_read(path: str, name: str, written: str, browser: Client) -> None:
    sent = await browser.get(path, params={name: written, "zone": ZONE}, allow_redirects=False)
    shown = await browser.get(URL(sent.headers["Location"], encoded=True))
    assert shown.status == 200 and f"{WRITTEN[written]:%Y-%m-%d %H:%M:%S}</time></small>" in await shown.text()


@pytest.mark.parametrize("written", WRITTEN)
async def test_the_time_of_a_look_is_read(written: str, browser: Client, store: Archive) -> None:
    answer = await send(browser, await see(browser, "/heal"), RUN, since=written, zone=ZONE)
    assert answer.status == 303, await answer.text()
    [request] = await store.healing.heal_requests()
    assert request.since == WRITTEN[written]


async def test_without_a_zone_the_time_of_a_look_is_the_relays(
    browser: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_zone("MST", monkeypatch)
    page = await see(browser, "/heal")
    assert "this is the relay's time: MST." in page.text
    await send(browser, page, RUN, since="вчера 20:40")
    [request] = await store.healing.heal_requests()
    assert request.since == datetime(2026, 11, 22, 3, 40, tzinfo=UTC)


@pytest.mark.parametrize("written", ["soonish", ""])
async def test_a_time_of_a_look_that_cannot_be_read_is_said_at_its_field_and_kept(
    written: str, browser: Client, store: Archive
) -> None:
    filled = dict((await see(browser, "/heal")).form(RUN), since=written)
    del filled["dry_run"]
    answer = await browser.post(RUN, data=filled, allow_redirects=False)
    text = await answer.text()
    seen = Seen(text)
    assert answer.status == 400 and "cannot be read: write 2h" in seen.text
    assert seen.form(RUN)["since"] == written and '<details class="act" open>' in text
    assert 'name="dry_run" value="1" checked' not in text
    assert {each["fields"].get("back", "/heal") for each in seen.forms} == {"/heal"}
    assert await store.healing.heal_requests() == []
