"""/live: a row for each thing that happens, strangers' text as text, and no more rows than a page can take."""

import re
from datetime import timedelta
from itertools import count

import pytest

from relay.admin import tail
from relay.admin.console.languages import language, speak
from relay.admin.console.live_rows import LiveRows
from relay.admin.console.pages.live import MOST
from relay.observe import EventStream
from relay.signals import DuplicateReceived, Rejection, WebhookRejected
from relay.store.contract import Archive
from relay.store.records import Filter
from tests.admin.api.test_tail import failed
from tests.admin.console.conftest import OPERATOR, VIEWER, Client, see
from tests.cli.conftest import OFFER, event_of
from tests.observe.conftest import event as event_about
from tests.observe.conftest import kept

EVENTS = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


def refused(detail: str) -> WebhookRejected:
    return WebhookRejected(
        source="crm", reason=Rejection.UNAUTHORIZED, remote="203.0.113.7", detail=detail, took=timedelta()
    )


async def event(client: Client, path: str, live: EventStream, *signals: object, **more: object) -> str:
    """What the stream of a page sends of signals."""
    async with client.get(path, **{"headers": EVENTS, **more}) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        for each in signals:
            live(each)
        lines = []
        while (line := (await answer.content.readline()).decode()) != "\n" or not lines:
            lines.append(line)
    return "".join(line.removeprefix("data: ") for line in lines)


async def test_the_page_begins_with_the_last_attempts_the_newest_last(browser: Client) -> None:
    seen = await see(browser, "/live")
    times = [line for line in seen.source.splitlines() if 'data-form="clock"' in line]
    assert times
    assert times == sorted(times)
    assert 'data-hx-sse:connect="/live/stream"' in seen.source


async def test_a_target_is_chosen_and_that_nothing_fits_is_said(browser: Client) -> None:
    seen = await see(browser, "/live?target=crm")
    assert "Nothing has come that fits this filter yet." in seen.text
    assert re.search('<select name="target">.*<option value="crm" selected>crm</option>', seen.source, re.DOTALL)
    assert '<option value="warehouse">warehouse</option>' in seen.source
    assert "Nothing has come" not in (await see(browser, "/live")).text


async def test_a_duplicate_is_a_row_with_its_lead(browser: Client, live: EventStream) -> None:
    stored = kept(event_about())
    again = DuplicateReceived(webhook=stored.webhook, first="w-0", took=timedelta(), routed=stored.routed)
    html = await event(browser, "/live/stream?id=4831596", live, again)
    assert 'href="/webhooks/w-0"' in html and 'href="/leads/4831596"' in html


async def test_its_filter_goes_to_the_stream(browser: Client) -> None:
    seen = await see(browser, "/live?target=warehouse&failed=true&id=&refresh=1")
    assert 'data-hx-sse:connect="/live/stream?target=warehouse&amp;failed=true"' in seen.source
    assert '<meta http-equiv="refresh" content="10">' in seen.source
    assert "sales-bot" not in seen.source.partition("<tbody")[2]
    assert (await browser.get("/live?targt=a")).status == 400


async def test_what_comes_in_and_attempts_are_shown_apart(browser: Client, store: Archive, live: EventStream) -> None:
    attempt = await failed(store)
    html = await event(browser, "/live/stream?only=attempts", live, refused("not this"), attempt)
    assert html.count("<tr>") == 1 and "503 · 1000 ms" in html
    html = await event(browser, "/live/stream?only=incoming", live, attempt, refused("but this"))
    assert html.count("<tr>") == 1 and "but this" in html


async def test_the_page_of_what_comes_in_begins_with_the_last_events(browser: Client, store: Archive) -> None:
    seen = await see(browser, "/live?only=incoming")
    events = {f"/events/{each.event_id}" for each in await store.find(Filter(), limit=50)}
    assert sorted(each for each in seen.links if each.startswith("/events/")) == sorted(events)
    assert 'data-hx-sse:connect="/live/stream?only=incoming"' in seen.source
    assert '<option value="incoming" selected>what comes in</option>' in seen.source
    assert "offer-made" in seen.text
    assert not re.search("/events/", (await see(browser, "/live?only=incoming&failed=true")).source)


async def test_a_viewer_is_told_why_texts_are_hidden(guarded: Client) -> None:
    for path in ("/live", "/targets/warehouse", f"/events/{event_of(OFFER)}"):
        assert "(viewer) has no payloads: yes" in (await see(guarded, path, headers=VIEWER)).text, path
        assert "no payloads: yes" not in (await see(guarded, path, headers=OPERATOR)).text, path


async def test_an_attempt_is_a_row(browser: Client, store: Archive, live: EventStream) -> None:
    html = await event(browser, "/live/stream?target=warehouse", live, await failed(store))
    assert html.count("<tr>") == 1
    assert "503 · 1000 ms" in html
    assert "Ann is not here" in html


async def test_a_viewer_sees_no_text_of_a_target(guarded: Client, store: Archive, live: EventStream) -> None:
    html = await event(guarded, "/live/stream", live, await failed(store), headers=VIEWER)
    assert "Ann" not in html
    assert "warehouse" in html


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a\n\ndata: <b>", '"><img src=x onerror=alert(1)>'])
async def test_what_strangers_send_is_text(browser: Client, live: EventStream, text: str) -> None:
    html = await event(browser, "/live/stream", live, refused(text))
    assert html.count("<tr>") == 1
    assert set(re.findall("<([a-z]+)", html)) == {"tr", "td", "time", "span"}


async def test_of_more_than_a_page_can_take_it_says_how_many_there_were(browser: Client, live: EventStream) -> None:
    html = await event(browser, "/live/stream", live, *(refused(f"n{number}") for number in range(MOST + 7)))
    assert html.count("refused") == MOST
    assert "7 things happened that are not shown" in html


async def test_a_stream_ends_with_the_listener(browser: Client, live: EventStream) -> None:
    async with browser.get("/live/stream", headers=EVENTS) as answer:
        live.end()
        assert await answer.content.read() == b""


async def test_a_stream_with_nothing_to_say_says_so_more_often_than_a_page_takes_it_for_lost(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    [silence] = re.findall('data-silence="([0-9]+)"', (await see(browser, "/live")).source)
    assert int(silence) >= 3 * tail.HEARTBEAT
    monkeypatch.setattr(tail.flushes, "__kwdefaults__", {"every": 0.02})
    async with browser.get("/live/stream", headers=EVENTS) as answer:
        assert await answer.content.readuntil(b"\n\n") == b"event: alive\ndata:\n\n"


async def test_another_site_cannot_follow(browser: Client) -> None:
    for mode, dest in [("cors", "empty"), ("navigate", "iframe"), ("navigate", "document")]:
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
        assert (await browser.get("/live/stream", headers=headers)).status == 403


class Template:
    """Counts how often it is rendered."""

    def __init__(self) -> None:
        self.numbers = count()

    def get_template(self, _name: str) -> "Template":
        return self

    def render(self, **_values: object) -> str:
        return str(next(self.numbers))


def test_a_row_is_made_once_however_many_follow() -> None:
    rows = LiveRows(Template())  # type: ignore[arg-type]
    first, second = {"what": "probe"}, {"what": "probe"}
    assert [rows.html(each) for each in (first, first, second, first)] == ["0", "0", "1", "0"]
    before = language()
    speak("ru")
    try:
        assert rows.html(first) == "2"
    finally:
        speak(before)  # this thread's own: other tests would speak Russian


async def test_a_list_says_how_many_are_new_and_moves_no_row(browser: Client, store: Archive) -> None:
    seen = await see(browser, "/deliveries?target=warehouse&follow=true")
    address = re.search('sse:connect="([^"]*)"', seen.source)
    assert address
    [newest, *_, oldest] = await store.find(Filter(target="warehouse"), limit=50)
    path = address[1].replace("&amp;", "&")
    assert path == f"/deliveries/news?target=warehouse&first={newest.event_id}+warehouse"
    older = path.replace(newest.event_id, oldest.event_id)
    async with browser.get(older, headers=EVENTS) as answer:
        line = (await answer.content.readline()).decode()
    number = len(await store.find(Filter(target="warehouse"), limit=50)) - 1
    assert f"↑ {number} new – show" in line
    assert 'href="/deliveries?target=warehouse&amp;follow=true"' in line


async def test_a_list_follows_only_where_it_is_wanted(browser: Client) -> None:
    assert "sse:connect" not in (await see(browser, "/deliveries")).source
    assert "/deliveries?state=dead&follow=true" in (await see(browser, "/deliveries?state=dead")).links
