"""/unrouted: what no route took, by type and one by one, and its replay through the routes of today."""

from pathlib import Path

import pytest

from relay.admin.console import counted
from relay.admin.console.languages import COOKIE
from relay.amocrm import form, sample_bodies
from relay.store.contract import Archive
from relay.store.records import Filter
from tests.admin.console.conftest import OPERATOR, VIEWER, Client, see, send, sent
from tests.cli.conftest import LOST, ROUTES, event_of, keep

REPLAY, TRY = "/unrouted/replay", "/unrouted/replay/try"


@pytest.fixture
async def lost(store: Archive, folder: Path, browser: Client) -> None:
    """A contact that no route took, for there was none for the rest then."""
    (folder / "routes.yaml").write_text(ROUTES.partition("  - name: everything-else")[0])
    await keep(store, LOST, form.encode(sample_bodies.body("contacts.add", fields={"id": "78"})))
    (folder / "routes.yaml").write_text(ROUTES)


async def test_kinds_are_counted_and_lead_to_their_events(lost: None, browser: Client) -> None:
    seen = await see(browser, "/unrouted")
    [events] = [each for each in seen.links if "by=event" in each]
    assert "contacts.add 1 2026-11-22 12:00:00" in seen.text
    assert f"/events/{event_of(LOST)}" in (await see(browser, events)).links
    assert "Nothing for this filter." in (await see(browser, "/unrouted?entity=leads")).text


async def test_a_replay_is_counted_first_and_done_once(lost: None, browser: Client, store: Archive) -> None:
    asked = await see(browser, f"{REPLAY}?entity=contacts&since=2026-11-22T00:00:00Z")
    counted_at = (await send(browser, asked, TRY, rate="5")).headers["Location"]
    tried = await see(browser, counted_at)
    assert "warehouse 1 1 event was looked at, 0 of them stay unrouted." in tried.text
    assert tried.form(REPLAY)["rate"] == "5"
    assert await store.audit(limit=9) == [] and len(await store.events(Filter(), limit=9, unrouted=True)) == 1
    done = [await send(browser, tried, REPLAY) for _ in range(2)]
    assert "1 delivery is due now." in (await see(browser, done[0].headers["Location"])).text
    [entry] = await store.audit(limit=9)
    assert (entry.command, entry.count, entry.details["rate"]) == ("replay --unrouted", 1, 5)
    assert await store.events(Filter(), limit=9, unrouted=True) == []
    back = await see(browser, counted_at)
    assert "This act was begun after the count:" in back.text
    assert REPLAY not in [each["action"] for each in back.forms] and f"/acts/{entry.id}" in back.links


async def test_over_a_thousand_the_number_is_typed_and_never_more_than_were_counted(
    lost: None, browser: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = await sent(browser, await see(browser, f"{REPLAY}?entity=contacts"), TRY)
    again = await sent(browser, tried, REPLAY, count="0")
    assert "1 are found now, and 0 were counted before" in again.text
    monkeypatch.setattr(counted, "TYPED_ABOVE", 0)
    assert "type the number 1" in (await sent(browser, again, REPLAY)).text
    assert not await store.audit(limit=9)
    done = await sent(browser, again, REPLAY, typed="1")
    assert "1 delivery is due now." in done.text and f"/events/{event_of(LOST)}" in done.links


async def test_what_is_replayed_was_there_when_it_was_counted(lost: None, browser: Client) -> None:
    tried = await sent(browser, await see(browser, f"{REPLAY}?since=2h"), TRY)
    fields = tried.form(REPLAY)
    assert (fields["since"], fields["until"]) == ("2026-11-22T10:00:00.000Z", "2026-11-22T12:00:00.001Z")


async def test_where_todays_routes_take_nothing_either_it_says_so(lost: None, browser: Client) -> None:
    tried = await sent(browser, await see(browser, f"{REPLAY}?entity=leads"), TRY)
    assert REPLAY not in [each["action"] for each in tried.forms]
    assert "Today's routes take none of them" in tried.text
    assert "/routes/diff?draft=1" in tried.links


async def test_words_are_those_of_the_page_and_settings_stay_as_the_file_has_them(lost: None, browser: Client) -> None:
    russian = {"Cookie": f"{COOKIE}=ru"}
    assert "<code>otherwise: true</code>" in (await see(browser, "/unrouted", headers=russian)).source
    assert "<code>unparsed: true</code>" in (await see(browser, "/unparsed", headers=russian)).source
    replay = await see(browser, f"{REPLAY}?entity=contacts&action=add", headers=russian)
    assert "entity" not in replay.text and "contacts" not in replay.text and "контакт" in replay.text


@pytest.mark.parametrize(("query", "said"), [("rate=fast", "rate"), ("since=never", "since")])
async def test_what_cannot_be_read_is_said(query: str, said: str, browser: Client) -> None:
    name, _, value = query.partition("=")
    answer = await browser.post(TRY, data={name: value}, allow_redirects=False)
    text = await answer.text() if answer.status == 400 else (await see(browser, answer.headers["Location"])).text
    assert said in text and answer.status in (303, 400)


async def test_that_a_route_took_everything_is_good(browser: Client) -> None:
    assert "✓ A route took every event." in (await see(browser, "/unrouted")).text


async def test_a_viewer_has_no_button_and_can_send_no_form(lost: None, guarded: Client, store: Archive) -> None:
    seen = await see(guarded, "/unrouted", headers=VIEWER)
    assert not [each for each in seen.links if each.startswith(REPLAY)]
    assert TRY not in [each["action"] for each in (await see(guarded, REPLAY, headers=VIEWER)).forms]
    form = (await see(guarded, REPLAY, headers=OPERATOR)).form(TRY)
    for action in (TRY, REPLAY):
        await guarded.post(action, data=form, headers=VIEWER, allow_redirects=False)
    assert await store.audit(limit=9) == []
