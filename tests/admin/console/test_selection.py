"""Acts on all that a filter finds: counted first, frozen, done once, and never more than was counted."""

import asyncio
import re
from datetime import timedelta

import pytest

from relay.admin.api import acts
from relay.admin.console import counted as many
from relay.admin.console import frozen
from relay.admin.console.frozen import as_json, as_query, freeze
from relay.errors import ConflictError, StoreBusy
from relay.model import Health, State
from relay.operations.desk import Desk
from relay.operations.dismiss import DISMISS, Dismiss
from relay.operations.pause import PAUSE, Pause
from relay.operations.replays import REPLAYS, Replays
from relay.operations.which import Which
from relay.store.contract import Archive
from relay.store.records import Filter, HealthReport
from tests.admin.console.conftest import OPERATOR, VIEWER, Client, Seen, see, send, sent
from tests.cli.conftest import NOON, OFFER, event_of
from tests.e2e.processes import until
from tests.operations.conftest import desk as desk

REPLAY, DISMISS_PATH = "/deliveries/replay", "/deliveries/dismiss"


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the store it is noon; what died in it died a minute later."""
    monkeypatch.setattr(frozen, "MILLISECOND", timedelta(minutes=2))


async def counted(browser: Client, query: str, path: str = REPLAY) -> Seen:
    return await sent(browser, await see(browser, f"/deliveries?{query}"), f"{path}/count")


async def states(store: Archive) -> list[State]:
    return sorted(each.state for each in await store.find(Filter(), limit=50))


async def test_what_a_filter_finds_is_counted_shown_and_replayed(browser: Client, store: Archive) -> None:
    page = await counted(browser, "state=dead&target=warehouse")
    assert "Replay 1 delivery" in page.text and "400 is in dead_on" in page.text
    assert "dead" in await states(store)  # it has only been counted
    done = await sent(browser, page, REPLAY)
    assert "1 delivery is due now." in done.text and "How many 1 " in done.text
    assert "The deliveries of this act, as they are now" in done.text and "queued : 1 of 1 still waits" in done.text
    assert "dead" not in await states(store)
    assert [each.command for each in await store.audit(limit=9)] == ["replay"]


async def test_dead_ones_are_dismissed_in_the_same_way(browser: Client, store: Archive) -> None:
    page = await counted(browser, "state=dead", DISMISS_PATH)
    assert "Dismiss 1 delivery" in page.text
    assert "1 dead delivery was dismissed." in (await sent(browser, page, DISMISS_PATH)).text
    [dead] = await store.find(Filter(states=(State.DEAD,)), limit=9)
    assert dead.dismissed_at


async def test_what_is_dead_is_counted_before_it_is_dismissed_where_it_is_seen(browser: Client, store: Archive) -> None:
    pages = ("/", "/targets/warehouse", "/deliveries?state=dead&dismissed=false", "/deliveries?state=dead")
    for page in pages:
        counted = await sent(browser, await see(browser, page), "/deliveries/dismiss/count")
        assert "Dismiss 1 delivery" in counted.text, page
    [dead] = await store.find(Filter(states=(State.DEAD,)), limit=2)
    assert dead.dismissed_at is None
    await sent(browser, counted, "/deliveries/dismiss")
    for page in pages:
        assert "/deliveries/dismiss/count" not in [each["action"] for each in (await see(browser, page)).forms], page


async def test_a_viewer_is_offered_no_dismissal(guarded: Client) -> None:
    for page in ("/", "/targets/warehouse", "/deliveries?state=dead", f"/events/{event_of(OFFER)}"):
        seen = await see(guarded, page, headers=VIEWER)
        assert "Dismiss" not in seen.text
        assert not [each for each in seen.forms if "dismiss" in str(each["action"])]


async def test_the_button_says_what_is_replayed_and_is_absent_where_nothing_is(browser: Client, store: Archive) -> None:
    offered = {
        "target=warehouse": "Replay the dead ones…",
        "target=sales-bot": "",
        "target=sales-bot&limit=1": "Replay the dead ones…",  # there may be some on another page
        "target=sales-bot&state=delivered": "Replay these…",
        "state=dead": "Replay these…",
    }
    for query, label in offered.items():
        seen = await see(browser, f"/deliveries?{query}")
        assert re.findall("Replay the dead ones…|Replay these…", seen.text) == ([label] if label else []), query
    await sent(browser, await counted(browser, "state=dead", DISMISS_PATH), DISMISS_PATH)
    for query, label in {
        "target=warehouse": [],
        "state=dead": [],
        "state=dead&dismissed=true": ["Replay these…"],
    }.items():
        seen = await see(browser, f"/deliveries?{query}")
        assert re.findall("Replay the dead ones…|Replay these…", seen.text) == label, query


async def test_pending_ones_are_due_now(browser: Client, store: Archive) -> None:
    page = await counted(browser, "state=pending")
    [number] = re.findall(r"Replay (\d+) deliver", page.text)
    assert int(number) >= 1
    assert "due now" in (await sent(browser, page, REPLAY)).text


async def test_a_second_click_does_nothing_twice(browser: Client, store: Archive) -> None:
    page = await counted(browser, "state=dead")
    answers = [await send(browser, page, REPLAY) for _ in range(2)]
    assert [each.status for each in answers] == [303, 303]
    assert len(await store.audit(limit=9)) == 1
    said = (await see(browser, answers[1].headers["Location"])).text
    assert "1 delivery is due now. It was sent twice, and done once." in said


@pytest.mark.parametrize("path", [REPLAY, DISMISS_PATH])
async def test_an_act_that_is_done_is_not_offered_again_by_the_page_of_its_count(
    path: str, browser: Client, store: Archive
) -> None:
    counting = await send(browser, await see(browser, "/deliveries?state=dead"), f"{path}/count")
    page = await see(browser, counting.headers["Location"])
    await sent(browser, page, path)
    back = await see(browser, counting.headers["Location"])
    assert "✓ done This act was begun after the count:" in back.text
    assert path not in [each["action"] for each in back.forms] and f"{path}/count" in [
        each["action"] for each in back.forms
    ]
    [act] = [each for each in back.links if each.startswith("/acts/")]
    assert act == f"/acts/{(await store.audit(limit=9))[0].id}"


async def test_a_count_that_was_kept_is_not_confirmed_twice_whoever_does_it(guarded: Client, store: Archive) -> None:
    counting = await guarded.post(f"{REPLAY}/count", data={"state": "dead"}, headers=OPERATOR, allow_redirects=False)
    pages = [await see(guarded, counting.headers["Location"], headers=OPERATOR) for _ in range(2)]
    assert pages[0].form(REPLAY)["key"] != pages[1].form(REPLAY)["key"]
    answers = [
        await guarded.post(REPLAY, data=each.form(REPLAY), headers=OPERATOR, allow_redirects=False) for each in pages
    ]
    [entry] = await store.audit(limit=9)
    assert answers[1].headers["Location"] == f"/acts/{entry.id}"
    assert "nothing was done again" in (await see(guarded, f"/acts/{entry.id}", headers=OPERATOR)).text


async def test_a_count_is_confirmed_once_though_two_do_it_at_the_same_time(browser: Client, store: Archive) -> None:
    counting = await send(browser, await see(browser, "/deliveries?state=dead"), f"{REPLAY}/count")
    pages = [await see(browser, counting.headers["Location"]) for _ in range(2)]
    answers = await asyncio.gather(*(send(browser, each, REPLAY) for each in pages))
    assert [each.status for each in answers] == [303, 303]
    assert all(each.headers["Location"].startswith("/acts") for each in answers)
    assert len(await store.audit(limit=9)) == 1


async def test_an_act_that_failed_after_a_second_may_be_asked_for_again(
    browser: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, begun = await counted(browser, "state=dead"), asyncio.Event()
    replay = store.replay

    async def broken(*_given: object, **_named: object) -> int:
        await begun.wait()
        raise StoreBusy("the database is locked")

    monkeypatch.setattr(acts, "PATIENCE", 0.0)
    monkeypatch.setattr(store, "replay", broken)
    first = await send(browser, page, REPLAY)
    assert first.headers["Location"].startswith("/acts/")
    other = await send(browser, page, REPLAY, key="another")
    assert "nothing was done again" in (await see(browser, other.headers["Location"])).text
    begun.set()
    monkeypatch.setattr(acts, "PATIENCE", 60.0)
    await until(lambda: ended(browser, first.headers["Location"]))
    monkeypatch.setattr(store, "replay", replay)
    assert "1 delivery is due now." in (await sent(browser, page, REPLAY, key="a-third")).text


async def ended(browser: Client, act: str) -> bool:
    return "failed" in (await see(browser, act)).text


async def test_who_may_not_act_learns_nothing_of_what_followed_a_count(guarded: Client) -> None:
    counting = await guarded.post(f"{REPLAY}/count", data={"state": "dead"}, headers=OPERATOR, allow_redirects=False)
    page = await see(guarded, counting.headers["Location"], headers=OPERATOR)
    await guarded.post(REPLAY, data=page.form(REPLAY), headers=OPERATOR, allow_redirects=False)
    answer = await guarded.post(
        REPLAY, data=page.form(REPLAY) | {"key": "another"}, headers=VIEWER, allow_redirects=False
    )
    assert "/acts/" not in answer.headers.get("Location", "") + await answer.text()


async def test_an_act_that_was_refused_is_offered_again(browser: Client) -> None:
    page = await counted(browser, "state=dead")
    refused = await sent(browser, page, REPLAY, count="0")
    assert "1 are found now" in refused.text
    assert "1 delivery is due now." in (await sent(browser, refused, REPLAY)).text


async def test_the_filter_is_frozen_when_it_is_counted(browser: Client) -> None:
    form = (await counted(browser, "state=dead&since=2h")).form(REPLAY)
    assert form["since"] == "2026-11-22T10:00:00.000Z"
    assert form["until"] == form["settled_until"] == "2026-11-22T12:02:00.000Z"


async def test_over_a_thousand_the_number_is_typed(
    browser: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "TYPED_ABOVE", 0)
    page = await counted(browser, "state=dead")
    for typed in ("", "2", "1 0", "all"):
        refused = await sent(browser, page, REPLAY, typed=typed)
        assert "type the number 1" in refused.text
    assert not await store.audit(limit=9)
    assert "1 delivery is due now." in (await sent(browser, page, REPLAY, typed="1")).text


@pytest.mark.parametrize("count", ["", "-1", "٣", "9" * 19, "9" * 5_000])
async def test_a_count_that_is_no_number_of_64_bits_is_refused(count: str, browser: Client, store: Archive) -> None:
    answer = await send(browser, await counted(browser, "state=dead"), REPLAY, count=count, typed=count)
    assert answer.status == 400 and "count" in await answer.text()
    assert not await store.audit(limit=9)


async def test_more_than_were_counted_are_not_done(browser: Client, store: Archive) -> None:
    page = await counted(browser, "state=dead")
    refused = await sent(browser, page, REPLAY, count="0")
    assert "1 are found now, and 0 were counted before: nothing was done" in refused.text
    assert "dead" in await states(store)


async def test_that_none_was_left_is_no_success_and_says_why(browser: Client, store: Archive) -> None:
    one, other = [await counted(browser, "state=dead") for _ in range(2)]
    await sent(browser, one, REPLAY)
    none = await sent(browser, other, REPLAY)
    assert "· Nothing was left to replay: they went out meanwhile" in none.text and "flash note" in none.source


@pytest.mark.parametrize("rate", ["0", "-1", "many", "nan", "1e99"])
async def test_a_rate_that_is_none_is_refused_and_nothing_is_done(rate: str, browser: Client, store: Archive) -> None:
    page = await counted(browser, "state=dead")
    answer = await send(browser, page, REPLAY, rate=rate)
    assert answer.status in (303, 400)
    assert not await store.audit(limit=9)


async def test_the_rate_that_is_typed_beside_the_button_is_the_one_that_is_kept(
    browser: Client, store: Archive
) -> None:
    page = await counted(browser, "state=dead")
    assert page.source.count('name="rate"') == 1 and 'type="hidden" name="rate"' not in page.source
    await sent(browser, page, REPLAY, rate="0.5")
    assert [each.details["rate"] for each in await store.audit(limit=9)] == [0.5]


async def test_a_rate_says_how_long_it_takes(browser: Client) -> None:
    page = await counted(browser, "state=dead")
    again = await sent(browser, page, f"{REPLAY}/count", rate="0.5")
    assert "about 2 s" in again.text and again.form(REPLAY)["rate"] == "0.5"


async def test_nothing_found_offers_nothing(browser: Client) -> None:
    page = await counted(browser, "state=dead&target=warehouse")
    await sent(browser, page, REPLAY)
    empty = await sent(browser, page, f"{REPLAY}/count")
    assert "Nothing is found." in empty.text and REPLAY not in [each["action"] for each in empty.forms]


@pytest.mark.parametrize("path", [REPLAY, DISMISS_PATH])
async def test_a_viewer_is_offered_nothing_and_does_nothing(path: str, guarded: Client, store: Archive) -> None:
    seen = await see(guarded, f"{path}?state=dead", headers=VIEWER)
    assert "You may only look: this needs the role of an operator." in seen.text
    assert not [each for each in seen.forms if path in str(each["action"])]
    for action in (path, f"{path}/count"):
        await guarded.post(action, data={"state": "dead", "count": "9", "key": "x"}, headers=VIEWER)
    assert not await store.audit(limit=9) and "dead" in await states(store)


# ---- the frozen filter


def test_a_frozen_filter_survives_its_address() -> None:
    given = {"state": ["dead", "delivered"], "since": ["1h"], "id": ["7"], "dismissed": ["false"], "reason": ["5xx"]}
    found = freeze(given, NOON, otherwise=State.DEAD)
    later = freeze(as_query(found), NOON + timedelta(hours=3), otherwise=State.DEAD)
    assert later == found and as_json(later) == as_json(found)


def test_an_earlier_end_stays_and_pending_ones_have_no_end_of_their_settling() -> None:
    found = freeze({"state": ["pending"], "until": ["1h"]}, NOON, otherwise=State.DEAD)
    assert (found.until, found.settled_until) == (NOON - timedelta(hours=1), None)


# ---- the operations


async def test_an_act_on_more_than_were_counted_is_a_conflict(desk: Desk, store: Archive) -> None:
    dead = Which(state=(State.DEAD,))
    for operation, asked in ((REPLAYS, Replays(filter=dead, most=0)), (DISMISS, Dismiss(target="warehouse", most=0))):
        with pytest.raises(ConflictError, match="count again"):
            await desk.ask(operation, asked)
    assert "dead" in await states(store) and not await store.audit(limit=9)
    assert (await desk.ask(REPLAYS, Replays(filter=dead, most=1))).done == 1


async def test_a_target_that_would_not_get_them_now_is_said_before(browser: Client, store: Archive, desk: Desk) -> None:
    await desk.ask(PAUSE, Pause(target="warehouse"))
    text = (await counted(browser, "state=dead")).text
    assert re.search("warehouse 1 . paused", text), text


async def test_a_target_with_dead_deliveries_is_not_said_to_be_well(browser: Client, store: Archive) -> None:
    await store.publish_health({"warehouse": HealthReport(health=Health.OK, since=NOON, as_of=NOON)})
    for path in (REPLAY, "/deliveries/dismiss"):
        text = (await counted(browser, "state=dead", path)).text
        assert "warehouse 1 ✗ 1 dead" in text and "State: dead" in text, text


@pytest.mark.parametrize("path", [REPLAY, DISMISS_PATH])
async def test_an_act_leads_to_its_page_with_what_it_found(path: str, browser: Client, store: Archive) -> None:
    answer = await send(browser, await counted(browser, "state=dead&target=warehouse", path), path)
    [entry] = await store.audit(limit=9)
    assert answer.headers["Location"] == f"/acts/{entry.id}"
    assert f"/events/{event_of(OFFER)}" in (await see(browser, answer.headers["Location"])).links


async def test_a_replay_that_found_nothing_leads_to_the_list_where_they_are(browser: Client) -> None:
    pages = [await counted(browser, "state=dead&target=warehouse") for _ in range(2)]
    await sent(browser, pages[0], REPLAY)
    assert f"/events/{event_of(OFFER)}" in (await sent(browser, pages[1], REPLAY)).links


async def test_an_act_that_is_refused_leads_back_to_its_form(browser: Client) -> None:
    answer = await send(browser, await counted(browser, "state=dead"), REPLAY, count="0")
    assert answer.headers["Location"].startswith(f"{REPLAY}?until=")
