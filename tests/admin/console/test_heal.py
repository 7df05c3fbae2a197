"""/heal: what healing found of a source, what waits, and the webhook in amoCRM that the guard saw switched off."""

from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from relay.admin.api.asking import Asking
from relay.model.subscription import GuardRecord, SubscriptionState
from relay.routes import config as routes_file
from relay.routes.config import Config
from relay.store.contract import Archive
from tests.admin.console.conftest import OPERATOR, VIEWER, Client, see, send, sent
from tests.cli.conftest import NOON, ROUTES, SECRETS
from tests.cli.test_heal import HEALING, find

APPROVE, GUARD, RUN = "/heal/approve", "/heal/guard", "/heal/runs"
GUARDED = HEALING.replace(
    "    heal: report\n", "    heal: report\n    guard: {reenable: true, url: https://h.example}\n"
)


@pytest.fixture(params=[GUARDED])
def config(folder: Path, request: pytest.FixtureRequest) -> Config:
    (folder / "routes.yaml").write_text(request.param)
    return routes_file.load(folder / "routes.yaml", SECRETS)


@pytest.fixture
async def found(store: Archive) -> None:
    """A source that heals, with something of everything, and a webhook that somebody switched off."""
    await find(store)
    off = SubscriptionState.DISABLED
    await store.guard.record(
        GuardRecord(source="crm", state=off, since=NOON, checked_at=NOON, disabled_at=NOON, detail="by a person <b>")
    )


async def test_a_source_shows_what_was_found_what_waits_and_what_the_guard_saw(found: None, browser: Client) -> None:
    seen = await see(browser, "/heal")
    assert "1 event waits for an approval." in seen.text
    assert "leads.status · cannot be healed" in seen.text.replace("✗", "·")
    assert "the account has it no more" in seen.text
    assert "switched off" in seen.text and "by a person <b>" in seen.text


async def test_what_waits_is_approved_once(found: None, browser: Client, store: Archive) -> None:
    page = await see(browser, "/heal")
    answers = [await send(browser, page, APPROVE) for _ in range(2)]
    assert "1 event is healed with the next scan." in (await see(browser, answers[0].headers["Location"])).text
    assert [each.command for each in await store.audit(limit=9)] == ["heal approve"]


async def test_the_guard_is_told_to_switch_the_webhook_on(found: None, browser: Client, store: Archive) -> None:
    done = await sent(browser, await see(browser, "/heal"), GUARD)
    assert "The guard switches the webhook of crm on at its next look" in done.text
    assert [each.command for each in await store.audit(limit=9)] == ["guard resume"]


async def test_a_look_is_asked_for_and_shows_what_came_of_it(found: None, browser: Client, store: Archive) -> None:
    asked = await sent(browser, await see(browser, "/heal"), RUN, since="2h")
    assert "within a minute or two" in asked.text
    [request] = await store.healing.heal_requests()
    assert request.dry_run
    counted = {"action": "leads.add", "exactness": "exact", "state": "would_heal", "number": 3}
    await store.healing.answer_heal(request.id, {"found": [counted], "stopped": [], "scanned_upto": None})
    assert "leads.add … would be healed exact 3" in (await see(browser, f"{RUN}/{request.id}")).text


async def test_a_form_sent_twice_asks_for_one_look(
    found: None, browser: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, seconds = await see(browser, "/heal"), count()
    monkeypatch.setattr(Asking, "now", lambda _self: NOON + timedelta(seconds=next(seconds)))
    one, other = [await send(browser, page, RUN, since="2h") for _ in range(2)]
    assert one.headers["Location"] == other.headers["Location"] != "/heal"
    assert len(await store.healing.heal_requests()) == 1


async def test_a_look_that_cannot_be_done_says_why(found: None, browser: Client) -> None:
    refused = await sent(browser, await see(browser, "/heal"), RUN, source="nowhere")
    assert "no source 'nowhere'" in refused.text


@pytest.mark.parametrize("config", [ROUTES], indirect=True)
async def test_without_an_account_it_says_what_one_would_bring(browser: Client) -> None:
    seen = await see(browser, "/heal")
    assert "No source is looked after." in seen.text and "heal: report" in seen.text


async def test_a_viewer_has_no_button_and_can_send_no_form(found: None, guarded: Client, store: Archive) -> None:
    seen = await see(guarded, "/heal", headers=VIEWER)
    actions = {each["action"] for each in seen.forms}
    assert not actions & {APPROVE, GUARD, RUN}
    operators = await see(guarded, "/heal", headers=OPERATOR)
    for action in (APPROVE, GUARD, RUN):
        await guarded.post(action, data=operators.form(action), headers=VIEWER, allow_redirects=False)
    assert await store.audit(limit=9) == []
