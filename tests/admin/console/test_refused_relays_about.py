"""/refused, /relays, /about: what was not taken, who takes it, and what they are made of."""

from dataclasses import replace

import pytest

from relay.admin.console.static import FOLDER
from relay.store.contract import Archive
from tests.admin.console.conftest import VIEWER, Client, see, sent
from tests.store.test_questions import refused


async def test_refused_requests_are_listed_by_minute_with_their_reason(browser: Client, store: Archive) -> None:
    await store.questions.record_refused([refused(0), refused(1, "-", "unauthorized", 7)])
    seen = await see(browser, "/refused")
    assert "without a right token wrong token 7" in seen.text
    only = await see(browser, "/refused?source=crm")
    assert "wrong token 7" not in only.text and "crm" in only.text
    assert "Nothing for this filter." in (await see(browser, "/refused?reason=incomplete")).text


async def test_a_viewer_does_not_see_who_sent_them(guarded: Client, store: Archive) -> None:
    await store.questions.record_refused([replace(refused(1), detail="canary", remote="203.0.113.9")])
    seen = await see(guarded, "/refused", headers=VIEWER)
    assert "***" in seen.text and "canary" not in seen.source and "203.0.113.9" not in seen.source


@pytest.mark.parametrize(("path", "text"), [("/refused", "✓ No request was refused."), ("/relays", "One relay")])
async def test_an_empty_page_says_what_will_stand_here(path: str, text: str, browser: Client) -> None:
    assert text in (await see(browser, path)).text


async def test_about_has_the_version_the_keys_and_every_licence(browser: Client) -> None:
    seen = await see(browser, "/about")
    assert "amocrm-relay 0." in seen.text and "search" in seen.text
    vendored = [each.name.removesuffix(".min.js") for each in (FOLDER / "vendor").glob("*.js")]
    assert len(vendored) > 1 and all(name in seen.text for name in vendored)
    assert "Permission to use, copy, modify" in seen.text


async def test_the_store_is_verified_by_an_operator(browser: Client, guarded: Client) -> None:
    """Where no process can be begun, as here, it says so: the act was asked for."""
    seen = await sent(browser, await see(browser, "/relays"), "/relays/verify")
    assert "no relay runs here that could verify its store" in seen.text
    shown = await see(guarded, "/relays", headers=VIEWER)
    assert "/relays/verify" not in [each["action"] for each in shown.forms]
