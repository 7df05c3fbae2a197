"""/deliveries: the table, the filters in its address, and its pages."""

import re
from datetime import timedelta

import pytest
from yarl import URL

from relay.store import looks
from tests.admin.console.conftest import Client, Seen, see
from tests.cli.conftest import OFFER, event_of, use_zone


async def test_the_table_has_every_delivery_newest_first(browser: Client) -> None:
    seen = await see(browser, "/deliveries")
    events = [each for each in seen.links if each.startswith("/events/")]
    assert len(events) == 4 and events == sorted(events, reverse=True)
    assert f"/events/{event_of(OFFER)}" in events


async def test_a_filter_is_a_parameter_of_the_operation_and_an_empty_field_is_none(browser: Client) -> None:
    seen = await see(browser, "/deliveries?state=dead&target=warehouse&entity=&since=")
    assert [each for each in seen.links if each.startswith("/events/")] == [f"/events/{event_of(OFFER)}"]
    assert "400 is in dead_on" in seen.text
    assert "/deliveries?target=warehouse" in seen.links  # the chip takes `state` out


async def test_the_cursor_of_the_next_page_is_a_link(browser: Client) -> None:
    first = await see(browser, "/deliveries?limit=3&state=pending&state=delivered&state=dead")
    [older] = [each for each in first.links if "before=" in each]
    last = await see(browser, older)
    shown = [[each for each in page.links if each.startswith("/events/")] for page in (first, last)]
    assert [len(each) for each in shown] == [3, 1]
    assert [each for each in last.links if "before=" in each] == [older]  # itself, to be renewed
    assert "/deliveries?state=pending&state=delivered&state=dead" in last.links  # to the newest


async def test_a_look_that_ends_by_its_budget_says_how_far_it_went(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "STEP", 1)
    monkeypatch.setattr("relay.operations.deliveries.LOOK", timedelta())
    page, pages = await see(browser, "/deliveries?pipeline=1"), 1
    while further := [each for each in page.links if "before=" in each]:
        assert "Searched back to 2026-11-22 12:00:00 . Look further" in page.text
        page, pages = await see(browser, further[0]), pages + 1
    assert pages > 2 and "Nothing for this filter." in page.text


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("stat=dead", "stat: no parameter"),
        ("state=gone", "state/0: invalid enum value"),
        ("before=nonsense", "cursor"),
    ],
)
async def test_what_cannot_be_read_is_said_in_a_sentence(query: str, text: str, browser: Client) -> None:
    answer = await browser.get(f"/deliveries?{query}")
    assert answer.status == 400 and answer.content_type == "text/html"
    assert text in Seen(await answer.text()).text


@pytest.mark.parametrize("path", ["/deliveries", "/unrouted", "/refused"])
async def test_a_time_that_cannot_be_read_is_said_at_its_field_and_the_form_is_kept(path: str, browser: Client) -> None:
    answer = await browser.get(f"{path}?source=crm&since=soonish&until=1h")
    seen = Seen(await answer.text())
    assert answer.status == 400 and "cannot be read: write 2h" in seen.text
    kept = {"source": "crm", "since": "soonish", "until": "1h"}
    assert seen.form(path).items() >= kept.items() and "Nothing for" not in seen.text


@pytest.mark.parametrize(
    ("since", "read"),
    [
        ("yesterday", "2026-11-21 00:00:00"),
        ("Вчера 20:40", "2026-11-21 20:40:00"),
        ("10:53", "2026-11-22 10:53:00"),
        ("2ч", "2026-11-22 10:00:00"),
        ("1 ч 30 мин", "2026-11-22 10:30:00"),
        ("5 минут назад", "2026-11-22 11:55:00"),
        ("3 days", "2026-11-19 12:00:00"),
        ("1ч30мин", "2026-11-22 10:30:00"),
        ("11-20", "2026-11-20 00:00:00"),
        ("2026-11-22T10:53:00.000Z", "2026-11-22 10:53:00"),
        ("20.11.2026 23:16", "2026-11-20 23:16:00"),
        ("20.11.2026, 23:16:05", "2026-11-20 23:16:05"),
        ("20.11.26", "2026-11-20 00:00:00"),
        ("1.9 23.16", "2026-09-01 23:16:00"),
        ("20.11 23:16 +03:00", "2026-11-20 20:16:00"),
        ("11.53", "2026-11-22 11:53:00"),
        ("30.11", "2025-11-30 00:00:00"),
        ("10.11", None),
        ("31.02.2026", None),
        ("13.13.2026", None),
    ],
)
async def test_times_are_read_as_the_command_line_reads_them_and_shown(
    since: str, read: str | None, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_zone("UTC", monkeypatch)
    answer = await browser.get("/deliveries", params={"since": since})
    text = await answer.text()
    assert answer.status == (200 if read else 400)
    assert read is None or f"{read}</time></small>" in text


@pytest.mark.parametrize("path", ["/deliveries", "/unrouted", "/refused"])
async def test_a_time_is_of_the_zone_that_a_script_sends_and_the_address_has_the_instant(
    path: str, browser: Client
) -> None:
    fields = {"since": "21.11.2026 23:16", "until": "30m", "source": "", "zone": "+03:00 Europe/Moscow"}
    answer = await browser.get(path, params=fields, allow_redirects=False)
    assert answer.status == 303
    assert answer.headers["Location"] == f"{path}?since=2026-11-21T23:16:00%2B03:00&until=30m"
    shown = await browser.get(URL(answer.headers["Location"], encoded=True))
    assert "2026-11-21 20:16:00</time></small>" in await shown.text()


@pytest.mark.parametrize(
    ("since", "zone", "read"),
    [
        ("2026-07-01 12:00", "+01:00 Europe/Berlin", "2026-07-01T12:00:00+02:00"),
        ("2026-07-01 12:00", "+05:45 Not/There", "2026-07-01T12:00:00+05:45"),
        ("2026-07-01T12:00:00Z", "+03:00 Europe/Moscow", "2026-07-01T12:00:00Z"),
        ("yesterday", "+14:00 Pacific/Kiritimati", "2026-11-22T00:00:00+14:00"),
        ("soonish", "+03:00 Europe/Moscow", "soonish"),
    ],
)
async def test_zones_have_summer_and_a_name_that_is_not_known_its_offset(
    since: str, zone: str, read: str, browser: Client
) -> None:
    answer = await browser.get("/deliveries", params={"since": since, "zone": zone}, allow_redirects=False)
    assert URL(answer.headers["Location"]).query == {"since": read}
    for none in ("../etc/passwd", "+24:00 Not/There", "+99:59 Not/There"):
        assert (await browser.get("/deliveries", params={"since": since, "zone": none})).status == 400


@pytest.mark.parametrize("path", ["/deliveries", "/unrouted", "/refused"])
async def test_without_scripts_the_relays_zone_stands_beside_the_field(
    path: str, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_zone("MST", monkeypatch)
    source = (await see(browser, path)).source
    assert 'Since<span class="no-js">, MST</span>' in source
    assert "this is the relay's time: MST." in re.sub("<details.*?</details>", "", source, flags=re.DOTALL)


async def test_a_time_in_the_future_is_said_aloud(browser: Client) -> None:
    assert "In the future: Since: 23:16" in (await see(browser, "/deliveries?since=23:16")).text
    assert "In the future" not in (await see(browser, "/deliveries?since=2h")).text


async def test_that_nothing_is_dead_is_good_and_an_empty_filter_is_said(browser: Client) -> None:
    assert "Nothing for this filter." in (await see(browser, "/deliveries?entity=customers")).text
    seen = await see(browser, "/deliveries?target=warehose")
    assert "warehouse" in seen.text


@pytest.mark.parametrize("page", ["/deliveries", "/deliveries/replay"])
async def test_an_instant_of_a_filter_is_a_time_as_those_of_the_rows(browser: Client, page: str) -> None:
    seen = await see(browser, f"{page}?until=2026-11-30T20:20:49.143Z&since=2h")
    assert "Until: 2026-11-30 20:20:49" in seen.text and "Since: 2h" in seen.text
    assert '<time datetime="2026-11-30T20:20:49.143000+00:00" title="2026-11-30 20:20:49 UTC">' in seen.source


@pytest.mark.parametrize("query", ["", "?limit=3&state=pending&state=delivered&state=dead", "?state=dead"])
async def test_a_listing_says_how_much_it_shows_from_when_and_is_renewed_by_a_link(query: str, browser: Client) -> None:
    seen = await see(browser, f"/deliveries{query}")
    rows = len([each for each in seen.links if each.startswith("/events/")])
    said = "row as it was" if rows == 1 else "rows as they were"
    assert f"{rows} {said} at 2026-11-22 12:00:00" in seen.text
    assert "No row moves or changes by itself." in seen.text and f"/deliveries{query}" in seen.links


async def test_attempts_say_from_when_they_are_too(browser: Client) -> None:
    seen = await see(browser, "/attempts?failed=true")
    assert "rows as they were at 2026-11-22 12:00:00" in seen.text and "/attempts?failed=true" in seen.links


@pytest.mark.parametrize("path", ["/acts", "/refused", "/unparsed", "/unrouted", "/customers/1"])
async def test_a_page_without_rows_has_none_to_renew(path: str, browser: Client) -> None:
    assert ("Renew" in (await see(browser, path)).text) is (path == "/unparsed")


@pytest.mark.parametrize(
    ("query", "links"),
    [
        (
            "target=gone&since=2h",
            {"/attempts?target=gone&since=2h&failed=true", "/unrouted?since=2h&by=event", "/unparsed"},
        ),
        ("state=dead&target=gone", {"/attempts?target=gone&failed=true"}),
        ("state=delivered&target=gone", set()),
        ("entity=customers&id=7", {"/unrouted?entity=customers&id=7&by=event"}),
        ("source=shop", {"/unrouted?source=shop&by=event", "/unparsed"}),
        ("route=gone&entity=leads", set()),
    ],
)
async def test_a_filter_that_finds_nothing_says_where_else_to_look(
    browser: Client, query: str, links: set[str]
) -> None:
    seen = await see(browser, f"/deliveries?{query}")
    place = Seen(seen.source.partition("Nothing for this filter.")[2].partition("</div>")[0])
    assert {each for each in place.links if not each.startswith("/deliveries")} == links
    assert ("Or look elsewhere:" in place.text) == bool(links)
    for each in links:
        await see(browser, each)
