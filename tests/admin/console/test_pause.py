"""The buttons that pause and resume a target: done once, said on the next page, conflicts shown."""

from relay.store.contract import Archive
from tests.admin.console.conftest import OPERATOR, VIEWER, Client, see, send, sent

PAUSE, RESUME = "/targets/warehouse/pause", "/targets/warehouse/resume"


async def test_a_target_is_paused_with_a_reason_and_resumed(browser: Client, store: Archive) -> None:
    paused = await sent(browser, await see(browser, "/"), PAUSE, reason="upgrade")
    assert "Paused warehouse" in paused.text and "upgrade" in paused.text
    assert (await store.status()).targets["warehouse"].pause
    resumed = await sent(browser, paused, RESUME)
    assert "Resumed warehouse." in resumed.text
    assert sorted(each.command for each in await store.audit(limit=9)) == ["pause", "resume"]


async def test_the_form_asks_why(browser: Client) -> None:
    assert '<input name="reason" maxlength="500" required>' in (await see(browser, "/")).source


async def test_a_form_that_is_sent_twice_acts_once(browser: Client, store: Archive) -> None:
    page = await see(browser, "/")
    answers = [await send(browser, page, PAUSE) for _ in range(2)]
    assert [each.status for each in answers] == [303, 303]
    assert len(await store.audit(limit=9)) == 1


async def test_what_somebody_else_did_meanwhile_is_shown(browser: Client) -> None:
    paused = await sent(browser, await see(browser, "/"), PAUSE)
    await sent(browser, paused, RESUME)
    again = await browser.post(RESUME, data=paused.form(RESUME) | {"key": "another"}, allow_redirects=False)
    assert "warehouse is not paused" in (await see(browser, again.headers["Location"])).text


async def test_what_was_said_is_said_once(browser: Client) -> None:
    assert "Paused warehouse" in (await sent(browser, await see(browser, "/"), PAUSE)).text
    assert "Paused warehouse" not in (await see(browser, "/")).text


async def test_a_viewer_sees_no_button_and_can_send_no_form(guarded: Client, store: Archive) -> None:
    seen = await see(guarded, "/", headers=VIEWER)
    assert not [each for each in seen.forms if each["method"] == "post" and each["action"] != "/language"]
    form = (await see(guarded, "/", headers=OPERATOR)).form(PAUSE)
    await guarded.post(PAUSE, data=form, headers=VIEWER)
    assert not await store.audit(limit=9)


async def test_a_form_leads_to_no_other_site(browser: Client) -> None:
    page = await see(browser, "/")
    for back in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/\t/evil"):
        assert (await send(browser, page, PAUSE, back=back)).headers["Location"] == "/"
