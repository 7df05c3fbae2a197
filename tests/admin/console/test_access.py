"""Who may open a page, and from where: Host × Origin × Sec-Fetch-Site × what the browser wants it for."""

import re
from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any

import pytest
from aiohttp import web

from relay.admin.console.site import PAGES
from relay.amocrm.vocabulary import ENTITIES
from tests.admin.console.conftest import OPERATOR, VIEWER, Client, Seen, see

STORIES = {f"/{entity}/{{id}}" for entity in ENTITIES} - {"/leads/{id}"}
"""They are one page with that of leads."""
READ = sorted({each.path for each in PAGES if each.method == "GET" and not each.stream} - STORIES)
ACTS = sorted({each.path for each in PAGES if each.method == "POST"})
STREAMS = ["/-/tail", "/-/forward", "/api/v1/tail", *sorted(each.path for each in PAGES if each.stream)]
ID = "019ab000-0001-7000-8000-000000000001"

OF_THE_BROWSER = {"/language", "/logout", "/preferences", "/routes/diff", "/routes/try"}
"""Forms that change nothing of the relay: choices of a browser, and questions that are too long for an address."""

SITES = {None: True, "same-origin": True, "none": True, "same-site": False, "cross-site": False}
WANTED = {
    ("navigate", "document"): True,
    ("navigate", "iframe"): False,
    ("navigate", "frame"): False,
    ("navigate", "embed"): False,
    ("no-cors", "image"): False,
    ("no-cors", "script"): False,
    ("cors", "empty"): False,
    (None, None): False,
}
"""What a browser wants a page for that another site names; only a link is followed."""


def filled(path: str) -> str:
    for name, value in (("{id}", ID), ("{target}", "warehouse"), ("{entity}", "leads"), ("{digest}", "0")):
        path = path.replace(name, value)
    return path


@pytest.fixture
async def plain(build: Callable[..., web.Application], aiohttp_client: Callable[..., Awaitable[Client]]) -> Client:
    """A client that says nothing of itself."""
    return await aiohttp_client(build())


def headers(site: str | None, mode: str | None, dest: str | None) -> dict[str, str]:
    said = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
    return {name: value for name, value in said.items() if value}


@pytest.mark.parametrize("path", READ)
async def test_another_site_may_link_to_a_page_and_do_nothing_else_with_it(path: str, plain: Client) -> None:
    for site, (wanted, follows) in product(SITES, WANTED.items()):
        answer = await plain.get(filled(path), headers=headers(site, *wanted), allow_redirects=False)
        refused = answer.status == 403
        assert refused is not (SITES[site] or follows), (site, wanted)


@pytest.mark.parametrize("path", ACTS)
@pytest.mark.parametrize("origin", [None, "https://evil.example", "null"])
async def test_no_other_site_sends_a_form(path: str, origin: str | None, plain: Client) -> None:
    for site, wanted in product(SITES, WANTED):
        said = headers(site, *wanted) | ({"Origin": origin} if origin else {})
        answer = await plain.post(filled(path), headers=said, data={}, allow_redirects=False)
        own = SITES[site] if site else origin is None
        assert (answer.status == 403) is not own, said


@pytest.mark.parametrize("path", STREAMS)
async def test_no_other_site_opens_a_stream_not_even_in_a_tab(path: str, plain: Client) -> None:
    for wanted in WANTED:
        for site in ("cross-site", "same-site"):
            assert (await plain.get(filled(path), headers=headers(site, *wanted))).status == 403


@pytest.mark.parametrize("path", [*READ, *ACTS])
async def test_another_host_name_is_refused_where_no_token_is_needed(path: str, plain: Client) -> None:
    """DNS rebinding."""
    method = "GET" if path in READ else "POST"
    for host, good in {"127.0.0.1:8081": True, "localhost": True, "evil.example": False}.items():
        answer = await plain.request(method, filled(path), headers={"Host": host}, allow_redirects=False)
        assert (answer.status != 421) is good


@pytest.mark.parametrize("page", PAGES, ids=lambda each: f"{each.method} {each.path}")
async def test_without_log_in_a_page_is_the_way_to_it_unless_it_is_public(page: Any, guarded: Client) -> None:
    answer = await guarded.request(page.method, filled(page.path), allow_redirects=False)
    if page.public:
        assert answer.status in (200, 303, 401) and not answer.headers.get("Location", "").startswith("/login")
    elif page.method == "GET":
        assert (answer.status, answer.headers["Location"].partition("?")[0]) == (303, "/login")
    else:
        assert answer.status == 401 and answer.content_type == "text/html"


async def test_the_page_where_to_log_in_has_its_style_scripts_and_icon(guarded: Client) -> None:
    files = re.findall(r'(?:href|src)="(/static/[^"]+|/favicon.svg)"', (await see(guarded, "/login")).source)
    assert len(files) >= 3
    for each in files:
        assert (await guarded.get(each, headers={"Sec-Fetch-Site": "same-origin"})).status == 200
        assert (await guarded.get(each, headers={"Sec-Fetch-Site": "cross-site"})).status == 403


async def test_a_script_without_log_in_is_not_shown_the_form_in_place_of_what_it_asked_for(guarded: Client) -> None:
    for path in ("/deliveries", "/live/stream"):
        asked = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
        assert (await guarded.get(path, headers=asked, allow_redirects=False)).status == 401


@pytest.mark.parametrize("path", [each for each in READ if each != "/webhooks/{id}/body"])  # which has nothing else
async def test_a_viewer_opens_the_same_pages_as_an_operator_without_their_forms(path: str, guarded: Client) -> None:
    told = [await guarded.get(filled(path), headers=who, allow_redirects=False) for who in (OPERATOR, VIEWER)]
    assert told[0].status == told[1].status
    posts = {each["action"].partition("#")[0] for each in Seen(await told[1].text()).forms if each["method"] == "post"}
    assert posts <= OF_THE_BROWSER
