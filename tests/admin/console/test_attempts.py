"""/attempts: when each began, how long it took and what it returned; and which were slow."""

import pytest

from tests.admin.console.conftest import VIEWER, Client, see


async def test_attempts_are_listed_with_how_long_each_took(browser: Client) -> None:
    seen = await see(browser, "/attempts")
    assert seen.text.count("12 ms") == 4
    assert {"/targets/warehouse", "/targets/sales-bot", "/leads/4831596"} <= {*seen.links}
    assert "400: bad price" in seen.text


@pytest.mark.parametrize(
    ("query", "number"), [("slower=11ms", 4), ("slower=11ms&target=warehouse", 2), ("failed=true", 3)]
)
async def test_attempts_are_narrowed_by_how_long_they_took(browser: Client, query: str, number: int) -> None:
    seen = await see(browser, f"/attempts?{query}")
    assert seen.text.count("12 ms") == number


@pytest.mark.parametrize("slower", ["11ms", "11 ms", "11мс", "11 мс", "11 миллисекунд"])
async def test_a_length_is_read_as_people_write_it(browser: Client, slower: str) -> None:
    seen = await see(browser, f"/attempts?slower={slower}")
    assert seen.text.count("12 ms") == 4 and f'value="{slower}"' in seen.source


async def test_where_none_was_so_slow_the_page_says_so(browser: Client) -> None:
    seen = await see(browser, "/attempts?slower=2s&target=warehouse")
    assert "Nothing for this filter." in seen.text and "without Slower than: 2s" in seen.text
    assert "/attempts?target=warehouse" in seen.links


@pytest.mark.parametrize("slower", ["fast", "0s", "2h30m", "999d", "1 2s", "1 m s"])
async def test_what_is_no_length_of_time_is_said_at_its_field(browser: Client, slower: str) -> None:
    answer = await browser.get("/attempts", params={"slower": slower})
    text = await answer.text()
    assert answer.status == 400
    assert 'id="wrong-slower"' in text and "is no length of time: write 500ms, 2 s or 5 minutes" in text


async def test_pages_of_deliveries_and_of_a_target_lead_there(browser: Client) -> None:
    assert "/attempts" in (await see(browser, "/deliveries")).links
    seen = await see(browser, "/targets/warehouse")
    assert "/attempts?target=warehouse&slower=1s" in seen.links
    assert seen.text.count("12 ms") == 2


async def test_a_viewer_sees_how_long_it_took_and_not_what_was_answered(guarded: Client) -> None:
    seen = await see(guarded, "/attempts?slower=11ms", headers=VIEWER)
    assert seen.text.count("12 ms") == 4 and "bad price" not in seen.source


@pytest.mark.parametrize(("failed", "word"), [("true", "yes"), ("false", "no")])
async def test_a_filter_that_is_off_does_not_read_as_on(browser: Client, failed: str, word: str) -> None:
    assert f"Failed: {word}" in (await see(browser, f"/attempts?slower=2s&failed={failed}")).text
