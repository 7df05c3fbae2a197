"""The theme and the keys: a choice of the browser, kept in its cookies."""

import pytest

from tests.admin.console.conftest import Client, see, sent


async def test_a_theme_and_keys_are_chosen_and_kept(browser: Client) -> None:
    seen = await see(browser, "/preferences")
    assert 'data-theme="system" data-keys="on"' in seen.source
    seen = await sent(browser, seen, "/preferences", theme="dark", keys="off")
    assert "Kept in this browser." in seen.text
    assert 'data-theme="dark" data-keys="off"' in (await see(browser, "/deliveries")).source


@pytest.mark.parametrize("cookie", ['dark"><script>', "blue", ""])
async def test_a_cookie_that_says_something_else_says_nothing(browser: Client, cookie: str) -> None:
    seen = await see(browser, "/", headers={"Cookie": f"theme={cookie}; keys={cookie}"})
    assert 'data-theme="system" data-keys="on"' in seen.source


async def test_a_form_that_says_something_else_changes_nothing(browser: Client) -> None:
    seen = await see(browser, "/preferences")
    await sent(browser, seen, "/preferences", theme="blue", keys="")
    assert 'data-theme="system" data-keys="on"' in (await see(browser, "/")).source
