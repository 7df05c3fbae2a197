"""/routes, /routes/try, /routes/diff: what is in force, what it would do, and what a draft would change."""

import html
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

import pytest
from aiohttp import FormData, web

from relay.admin.api.asking import Asking
from relay.admin.console.drafts import Draft, draft_of
from relay.admin.console.languages import COOKIE
from relay.amocrm import sample_bodies
from relay.model import Secret
from relay.model.notify import Kind, Notify, Slack
from relay.routes.config import Config, parse
from relay.store.contract import Archive
from tests.admin.console.conftest import BEARERS, FOLLOWED, OPERATOR, VIEWER, Client, Seen, see, sent
from tests.cli.conftest import OFFER, ROUTES, SECRETS, event_of
from tests.notify.fakes import FakeSlack, served

Build: TypeAlias = Callable[..., web.Application]
ClientOf: TypeAlias = Callable[..., Awaitable[Client]]

EDITED = ROUTES.replace("to: [sales-bot, warehouse]", "to: [sales-bot]")
BODY = "leads[status][0][id]=5&leads[status][0][status_id]=16203337&leads[status][0][pipeline_id]=7&account[id]=1"


async def put(client: Client, path: str, **filled: str) -> Seen:
    answer = await client.post(path, data=filled)
    assert answer.status == 200, await answer.text()
    return Seen(await answer.text())


async def test_the_file_in_force_is_shown_without_its_secrets(browser: Client) -> None:
    seen = await see(browser, "/routes")
    assert "offer-made" in seen.text
    assert "token: ${CRM_TOKEN}" in seen.text
    assert not any(secret in seen.source for secret in SECRETS.values())
    assert "#L13" in seen.links
    assert 'id="L13"' in seen.source


async def test_a_viewer_sees_the_routes_but_neither_conditions_nor_acts(guarded: Client) -> None:
    seen = await see(guarded, "/routes", headers=VIEWER)
    assert "offer-made" in seen.text
    assert "16203337" not in seen.source
    assert "/routes/reload" not in seen.source
    answer = await guarded.post("/routes/reload", headers=VIEWER, allow_redirects=False)
    assert answer.cookies["flash"].value.startswith("failed:")


async def test_the_files_are_loaded_again(browser: Client) -> None:
    seen = await sent(browser, await see(browser, "/routes"), "/routes/reload")
    assert "✓ Loaded" in seen.text
    assert "Last reloads by people" in seen.text


async def test_a_receiver_of_notifications_gets_a_test(
    build: Build, aiohttp_client: ClientOf, store: Archive, config: Config
) -> None:
    slack = FakeSlack()
    async with served(slack.answer) as url:
        hooks = (f"{url}/services/T0/B0/canary-in-path", f"{url}/services/gone")
        notify = tuple(
            Notify(
                name=f"slack-{number}", installation="<b>ООО", kinds=frozenset({Kind.DEAD}), to=Slack(url=Secret(each))
            )
            for number, each in enumerate(hooks, 1)
        )
        asking = Asking(store, lambda: replace(config, notify=notify))
        browser = await aiohttp_client(build(asking=asking), headers=FOLLOWED)
        seen = await see(browser, "/routes")
        assert "slack-1 <b>ООО dead Send a test slack-2" in seen.text
        assert "canary" not in seen.source
        answer = await browser.post("/routes/notify-test", data={"to": "1"}, allow_redirects=False)
        assert "slack-1: sent." in (await see(browser, answer.headers["Location"])).text
        assert slack.payloads[0]["text"].startswith("<b>ООО\n✓ ".replace("<", "&lt;").replace(">", "&gt;"))
        not_sent = (
            ("2", "✗ slack-2: not sent: 404 no_service"),
            ("3", "no receiver 3"),
            ("x", "to"),
            ("9" * 5_000, "to"),
        )
        for to, said in not_sent:
            answer = await browser.post("/routes/notify-test", data={"to": to}, allow_redirects=False)
            assert said in (await see(browser, answer.headers["Location"])).text
        guarded = await aiohttp_client(build(asking=asking, bearers=BEARERS))
        assert "/routes/notify-test" not in (await see(guarded, "/routes", headers=VIEWER)).source
        await guarded.post("/routes/notify-test", data={"to": "1"}, headers=VIEWER, allow_redirects=False)
        assert len(slack.payloads) == 1


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_without_receivers_there_is_an_example_that_can_be_used(browser: Client, language: str) -> None:
    seen = await see(browser, "/routes", headers={"Cookie": f"{COOKIE}={language}"})
    assert "docs/notifications.md" in seen.text and "/routes/diff?draft=1" in seen.links
    [example] = re.findall(r"(notify:.*?)</pre>", seen.source, re.DOTALL)
    whole = parse(ROUTES + html.unescape(example), file="routes.yaml", env={}, stand_ins=True, sealed=True)
    assert [(each.name, each.language.value) for each in whole.notify] == [("telegram", language)]


DRAFT_ERRORS = """\
version: 1
sources: {crm: {token: "${TOKEN}"}}
targts: {}
targets:
  bot: {url: bot.example, timeout: soon, order: entty}
routes:
  - {name: one, to: both, match: {entity: leads}}
  - {name: one, to: [bot]}
  - {name: two, match: {entity: leads}}
"""


async def test_errors_of_a_draft_are_in_the_language_of_the_page(browser: Client) -> None:
    answer = await browser.post("/routes/diff", data={"text": DRAFT_ERRORS}, headers={"Cookie": f"{COOKIE}=ru"})
    text = Seen(await answer.text()).text
    for said in (
        "неизвестный ключ 'targts' (может быть, 'targets'?)",
        "нужен URL, который начинается с http:// или https://",
        "нужна длительность вида 200ms, 2s, 5m, 1h, 3d",
        "нужно одно из",
        "нужно либо match, либо otherwise",
        "не указано",
    ):
        assert said in text, (said, text)
    assert "must" not in text
    answer = await browser.post(
        "/routes/diff", data={"text": "version: 1\nroutes: 7"}, headers={"Cookie": f"{COOKIE}=ru"}
    )
    assert "нужен список" in await answer.text()


async def test_a_body_shows_what_held_and_what_did_not_and_each_request(browser: Client) -> None:
    seen = await put(browser, "/routes/try", body=BODY)
    assert "offer-made ✓ yes → sales-bot, warehouse" in seen.text
    assert "✗ did not hold action: status ≠ [call_in, mail_in]" in seen.text
    assert "Request to sales-bot" in seen.text
    assert "POST https://bot.example/amocrm" in seen.text
    assert not any(secret in seen.source for secret in SECRETS.values())
    assert BODY.replace("&", "&amp;") in seen.source


async def test_a_draft_begins_with_the_routes_in_force_and_is_tried_without_their_secrets(browser: Client) -> None:
    begun = await see(browser, "/routes/try?draft=1&sample=leads.status")
    [draft] = re.findall(r'<textarea name="text"[^>]*>(.*?)</textarea>', begun.source, re.DOTALL)
    text = html.unescape(draft)
    assert 'url: "${MASKED_1}"' in text and "offer-made" in text
    assert "masked, on lines 7, 9, 10" in begun.text and "tests are left out" in begun.text
    assert not any(secret in begun.source for secret in SECRETS.values())
    edited = text.replace("to: [sales-bot, warehouse]", "to: [sales-bot]").replace("\n", "\r\n")
    seen = await put(browser, "/routes/try", body=BODY, text=edited)
    assert "offer-made ✓ yes → sales-bot" in seen.text and "sales-bot, warehouse" not in seen.text
    assert "Request to sales-bot POST ${MASKED_1}" in seen.text
    broken = await put(browser, "/routes/try", body=BODY, text="version: 1\nroutes: 7")
    assert "routes: must be a list" in broken.text and "routes: 7" in broken.source


@pytest.mark.parametrize("id_", [OFFER, event_of(OFFER), event_of(OFFER).upper(), f" {OFFER[:23]} "])
async def test_a_draft_is_tried_with_the_id_of_a_stored_event(id_: str, browser: Client) -> None:
    begun = await see(browser, f"/routes/try?draft=1&id={OFFER}")
    [draft] = re.findall(r'<textarea name="text"[^>]*>(.*?)</textarea>', begun.source, re.DOTALL)
    assert "offer-made ✓ yes → sales-bot, warehouse" in begun.text and f">{OFFER}</textarea>" in begun.source
    edited = html.unescape(draft).replace("to: [sales-bot, warehouse]", "to: [sales-bot]")
    seen = await put(browser, "/routes/try", body=id_, text=edited)
    assert "offer-made ✓ yes → sales-bot" in seen.text and "sales-bot, warehouse" not in seen.text
    assert "Request to sales-bot POST ${MASKED_1}" in seen.text
    assert "body" in (await see(browser, "/routes/diff")).form("/routes/try#result")
    file = FormData({"body": id_, "text": ""})
    file.add_field("file", edited.encode(), filename="routes.yaml")
    answer = await browser.post("/routes/try", data=file)
    assert "offer-made ✓ yes → sales-bot" in Seen(await answer.text()).text


async def test_an_id_that_nothing_has_is_said_and_stays_in_the_form(browser: Client, guarded: Client) -> None:
    unknown = "019ab000-9999"
    headers = {"Cookie": f"{COOKIE}=ru"}
    text = await (await browser.post("/routes/try", data={"body": unknown, "text": ""}, headers=headers)).text()
    assert f"✗ в хранилище нет id, который начинается с '{unknown}'" in Seen(text).text
    assert f">{unknown}</textarea>" in text
    refused = await guarded.post("/routes/try", data={"body": OFFER, "text": ROUTES}, headers=VIEWER)
    assert "sees no field values" in Seen(await refused.text()).text


async def test_warnings_of_a_draft_are_in_the_language_of_the_page(browser: Client) -> None:
    draft = """\
version: 1
sources: {crm: {token: "${TOKEN}"}}
targets:
  bot: {url: "http://bot.example/"}
  spare: {url: "https://bot.example/"}
routes:
  - name: one
    match: {entity: leads, action: status, status_id: 7, statu: 5}
    to: bot
"""
    answer = await browser.post("/routes/diff", data={"text": draft}, headers={"Cookie": f"{COOKIE}=ru"})
    text = Seen(await answer.text()).text
    for said in (
        "ни один маршрут его не называет",
        "могут прочитать по пути",
        "не доставляются",
        "сделка, созданная сразу на этапе",
    ):
        assert said in text, said
    assert "amoCRM, насколько известно, не присылает поля 'statu'" in text
    assert "no route names it" not in text


async def test_a_draft_that_hides_too_much_says_so_and_blames_no_line_alone(
    build: Build, aiohttp_client: ClientOf, store: Archive
) -> None:
    text = ROUTES.replace("warehouse", "warehouse-of-the-company").partition("tests:")[0]
    config = parse(text, file="routes.yaml", env={}, stand_ins=True)
    browser = await aiohttp_client(build(asking=Asking(store, lambda: config)), headers=FOLLOWED)
    said = "this draft cannot be used as it is: edit a copy of the file itself"
    for page in ("/routes/diff", "/routes/try"):
        begun = await see(browser, f"{page}?draft=1")
        assert said in begun.text
    [draft] = re.findall(r'<textarea name="text"[^>]*>(.*?)</textarea>', begun.source, re.DOTALL)
    assert said in (await put(browser, "/routes/diff", text=html.unescape(draft))).text
    assert said not in (await put(browser, "/routes/diff", text="version: 1")).text
    usable = await put(browser, "/routes/diff", text=text)
    assert said not in usable.text and "It can be used." in usable.text


async def test_a_draft_to_compare_begins_with_the_routes_in_force(browser: Client, guarded: Client) -> None:
    begun = await see(browser, "/routes/diff?draft=1")
    assert "${MASKED_1}" in begun.source and "offer-made" in begun.source
    for page in ("/routes/diff", "/routes/try"):
        assert (await guarded.get(f"{page}?draft=1", headers=VIEWER)).status == 403
        assert f"{page}?draft=1" not in (await see(guarded, page, headers=VIEWER)).links


@pytest.mark.parametrize(
    ("shown", "draft", "masked"),
    [
        ("a: ***\nb: {c: ***, d: ***}", 'a: "${MASKED_1}"\nb: {c: "${MASKED_2}", d: "${MASKED_3}"}', [1, 2]),
        ("- ***", '- "${MASKED_1}"', [1]),
        ('like: "***"', 'like: "***"', []),
        ("like: a***", "like: a***", []),
        ("tests:\n  - name: a\nroutes: ***", 'tests:\n  - name: a\nroutes: "${MASKED_1}"', [3]),
    ],
)
def test_hidden_values_become_variables(shown: str, draft: str, masked: list[int]) -> None:
    assert draft_of(shown) == Draft(text=draft, masked=masked)


@pytest.mark.parametrize(
    "tests", ["tests:\n  - event: {id: ***}\n\n  - b", "tests:\n- event: ***\n", "tests: [{event: ***}]"]
)
def test_hidden_tests_are_left_out(tests: str) -> None:
    assert draft_of(f"a: ***\n{tests}") == Draft(text='a: "${MASKED_1}"\n', masked=[1], without_tests=True)
    assert draft_of(f"{tests}\na: ***").text == 'a: "${MASKED_1}"'


async def test_a_stored_event_has_an_address_of_its_own(browser: Client, guarded: Client) -> None:
    seen = await see(browser, f"/routes/try?id={OFFER}")
    assert "offer-made ✓ yes" in seen.text
    masked = await see(guarded, f"/routes/try?id={OFFER}", headers=VIEWER)
    assert "offer-made ✓ yes" in masked.text
    assert "You see no requests" in masked.text
    assert (await browser.get("/routes/try?id=0000")).status == 404


@pytest.mark.parametrize("sample", sample_bodies.TYPES)
async def test_a_sample_is_put_into_the_form_and_can_be_tried(browser: Client, sample: str) -> None:
    seen = await see(browser, f"/routes/try?sample={sample}")
    body = seen.source.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0].replace("&amp;", "&")
    assert "everything-else" in (await put(browser, "/routes/try", body=body)).text


@pytest.mark.parametrize("body", ["{", "<script>alert(1)</script>", "a=1"])
async def test_a_body_that_cannot_be_read_stays_in_the_form(browser: Client, body: str) -> None:
    seen = await put(browser, "/routes/try", body=body)
    assert "no route with `unparsed: true` takes it" in seen.text
    assert body.strip() in seen.text
    assert "<script>alert" not in seen.source


async def test_a_draft_says_what_would_go_elsewhere(browser: Client) -> None:
    seen = await put(browser, "/routes/diff", text=EDITED.replace("\n", "\r\n"), since="24h")
    assert "It can be used. Not all its tests pass." in seen.text
    assert "warehouse − 1 it would get no longer" in seen.text
    assert "1 would go elsewhere" in seen.text


@pytest.mark.parametrize("masked", ["***", '"${MASKED_1}"'])
@pytest.mark.parametrize("role", [VIEWER, OPERATOR])
async def test_a_draft_with_masked_values_cannot_be_used_yet(
    guarded: Client, role: dict[str, str], masked: str
) -> None:
    text = ROUTES.replace("https://bot.example/amocrm", masked)
    line = 1 + text[: text.index(masked)].count("\n")
    answer = await guarded.post("/routes/diff", data={"text": text}, headers=role)
    seen = Seen(await answer.text())
    assert "It can be used" not in seen.text and "verdict ok" not in seen.source.partition('id="elsewhere"')[0]
    assert f"It cannot be used yet: put the real value in place of the masked one on line {line} first." in seen.text


async def test_the_verdict_of_a_draft_counts_its_warnings(browser: Client) -> None:
    text = ROUTES.replace("${CRM_TOKEN}", "a-secret-in-the-file-itself")
    seen = await put(browser, "/routes/diff", text=text)
    assert "! It can be used, with 1 warning. It does what its tests say." in seen.text
    assert 'class="verdict ok">✓ It can be used' not in seen.source


async def test_enter_in_the_field_of_an_event_tries_the_draft(browser: Client) -> None:
    form = (await see(browser, "/routes/diff")).source.partition('id="draft-form"')[2].partition("</form>")[0]
    first = re.findall("<button[^>]*>", form)[0]
    assert first == '<button formaction="/routes/try#result">', "that is the button which Enter presses"


async def test_a_draft_says_which_settings_it_changes_and_none_of_their_values(browser: Client) -> None:
    edited = ROUTES.replace("https://bot.example/amocrm", "https://moved.example/hidden-path").replace(
        "    secret: ${DWH_SECRET}\n", "    secret: ${OTHER_SECRET}\n    timeout: 5s\n"
    )
    seen = await put(browser, "/routes/diff", text=edited.partition("tests:")[0], since="24h")
    assert "It can be used. It has no tests." in seen.text
    assert "Target sales-bot – changes: url" in seen.text
    assert "Target warehouse – changes: secret , timeout" in seen.text
    assert "hidden-path" not in seen.source.partition("</textarea>")[2]


@pytest.mark.parametrize("hidden", ["***", '"***"'])
async def test_a_text_with_masks_is_compared_as_the_file_that_it_is_copied_from(browser: Client, hidden: str) -> None:
    shown = html.unescape(await in_force(browser)).replace("${CRM_TOKEN}", "***").replace("${DWH_SECRET}", "***")
    assert shown.count("***") > 4
    seen = await put(browser, "/routes/diff", text=shown.replace("***", hidden), since="24h")
    assert "0 would go elsewhere" in seen.text
    assert "What else would change" not in seen.text
    seen = await put(browser, "/routes/diff", text=shown.replace("url: ***", "url: https://new.example/", 1))
    assert "Target sales-bot – changes: url What would" in seen.text


async def in_force(browser: Client) -> str:
    """The text that /routes/diff begins with, its hidden values as /routes has them."""
    source = (await see(browser, "/routes/diff?draft=1")).source
    [draft] = re.findall(r'<textarea name="text"[^>]*>(.*?)</textarea>', source, re.DOTALL)
    return re.sub(r'"\$\{MASKED_[0-9]+\}"', "***", html.unescape(draft))


async def test_a_draft_with_errors_says_where(browser: Client) -> None:
    seen = await put(browser, "/routes/diff", text="version: 1\r\ntargts: {}\r\n", since="24h")
    assert "2:1 targts" in seen.text
    assert "it cannot be used" in seen.text
    assert "would go elsewhere" not in seen.text


async def test_a_viewer_may_check_a_draft_but_not_find_values_out_by_it(guarded: Client) -> None:
    answer = await guarded.post("/routes/diff", data={"text": EDITED, "since": "24h"}, headers=VIEWER)
    seen = Seen(await answer.text())
    assert answer.status == 200
    assert "Not compared with stored events" in seen.text
    assert "would go elsewhere" not in seen.text


async def test_a_draft_is_downloaded_and_written_nowhere(browser: Client) -> None:
    before = (await see(browser, "/routes")).text
    answer = await browser.post("/routes/diff/download", data={"text": "version: 1\r\n", "since": "24h"})
    assert await answer.text() == "version: 1\n"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="routes.yaml"'
    assert answer.content_type == "application/yaml"
    assert (await see(browser, "/routes")).text == before


async def test_an_empty_draft_is_no_error(browser: Client) -> None:
    assert "Draft" in (await put(browser, "/routes/diff", text=" ", since="x")).text


async def test_what_is_said_of_a_draft_is_where_its_form_leads(browser: Client) -> None:
    for text in ("version: 1\nroutes: 7", EDITED):
        source = (await put(browser, "/routes/diff", text=text, since="24h")).source
        assert 'action="/routes/diff#checked"' in source and '<h2 id="checked" tabindex="-1">' in source
    assert 'formaction="/routes/try#result"' in source
    source = (await put(browser, "/routes/try", body=BODY)).source
    assert 'action="/routes/try#result"' in source and '<h2 id="result" tabindex="-1">' in source
