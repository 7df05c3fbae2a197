"""`relay explain`: from bodies and ids to routes, conditions and requests; nothing is sent, nothing secret is shown."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.amocrm import form, sample_bodies
from relay.delivery.batch import batch_id
from relay.model import Event, RoutedEvent
from relay.store.contract import Archive
from tests.cli.conftest import (
    CALL,
    CONTACT,
    CYRILLIC,
    GARBLED,
    NOON,
    OFFER,
    ROUTES,
    SECRETS,
    Run,
    Use,
    event_of,
    keep,
    on_terminal,
    unread,
)

BODY = form.encode(sample_bodies.body("leads.status"))


@pytest.fixture
def body(folder: Path) -> str:
    (folder / "body.form").write_bytes(BODY)
    return "body.form"


def test_every_route_is_shown_with_what_held_and_what_did_not(run: Run, body: str) -> None:
    lines = [" ".join(line.split()) for line in run("explain", body).stdout.splitlines()]
    assert "offer-made takes it: sales-bot, warehouse" in lines
    assert "held status_id wanted 16203337 is 16203337" in lines
    assert "talks-to-us does not take it" in lines
    assert "not action wanted [call_in, mail_in] is status" in lines
    assert "everything-else not needed: another route takes it" in lines


def test_each_target_is_shown_the_request_it_would_get(run: Run, body: str) -> None:
    document = json.loads(run("explain", body, "--json").stdout)
    [event] = document["events"]
    bot, warehouse = event["requests"]
    assert (bot["method"], warehouse["method"]) == ("POST", "POST")
    assert bot["url"] == "https://bot.example/amocrm"
    assert bot["headers"]["content-type"] == "application/json"
    assert bot["headers"]["webhook-id"] == event["event"]["id"]
    assert json.loads(bot["body"]) == event["event"]
    masked = {name.lower() for name, value in warehouse["headers"].items() if value == "***"}
    assert masked == {"webhook-signature", "authorization"}
    assert warehouse["url"] == "https://dwh.example/${DWH_PATH}"


def test_a_target_that_takes_batches_is_shown_a_list_of_one(run: Run, body: str, folder: Path) -> None:
    routes = folder / "routes.yaml"
    routes.write_text(routes.read_text().replace("amocrm\n", "amocrm\n    batch: {most: 10}\n", 1))
    [event] = json.loads(run("explain", body, "--json").stdout)["events"]
    bot, warehouse = event["requests"]
    assert json.loads(bot["body"]) == [event["event"]]
    assert bot["headers"]["webhook-id"] == batch_id([event["event"]["id"]])
    assert json.loads(warehouse["body"]) == event["event"]


def test_a_request_that_is_rendered_is_shown_as_it_would_go_out_with_its_secrets_unresolved(
    run: Run, body: str, folder: Path
) -> None:
    routes = folder / "routes.yaml"
    rendered = """
    url: https://dwh.example/${DWH_PATH}/{{ data.id }}
    method: PUT
    query: {stage: "{{ data.status_id }}", key: "${DWH_TOKEN}"}
    body: {id: "{{ data.id }}", key: "${DWH_TOKEN}"}"""
    routes.write_text(routes.read_text().replace("\n    url: https://dwh.example/${DWH_PATH}", rendered))
    [event] = json.loads(run("explain", body, "--json").stdout)["events"]
    _, warehouse = event["requests"]
    lead = event["event"]["data"]["id"]
    assert warehouse["method"] == "PUT"
    assert warehouse["url"] == f"https://dwh.example/${{DWH_PATH}}/{lead}?stage=16203337&key=${{DWH_TOKEN}}"
    assert json.loads(warehouse["body"]) == {"id": lead, "key": "${DWH_TOKEN}"}
    assert f"warehouse  PUT https://dwh.example/${{DWH_PATH}}/{lead}?stage=16203337" in run("explain", body).stdout


def test_a_request_that_cannot_be_rendered_is_shown_with_why(run: Run, folder: Path) -> None:
    routes = folder / "routes.yaml"
    routes.write_text(
        routes.read_text().replace("https://bot.example/amocrm", "https://bot.example/{{ data.name }}/in")
    )
    sent = BODY + b"&leads[status][0][name]=.."
    [event] = json.loads(run("explain", "-", "--json", stdin=sent).stdout)["events"]
    [bot] = [each for each in event["requests"] if each["target"] == "sales-bot"]
    assert bot.keys() == {"target", "method", "failed"}
    assert bot["failed"].startswith("url: ")
    assert f"sales-bot  cannot be rendered, {bot['failed']}" in run("explain", "-", stdin=sent).stdout


def test_a_body_may_come_from_standard_input(run: Run, body: str) -> None:
    piped = json.loads(run("explain", "-", "--json", stdin=BODY).stdout)
    assert piped["events"][0]["routes"] == json.loads(run("explain", body, "--json").stdout)["events"][0]["routes"]


def test_a_body_is_explained_as_if_it_came_with_a_query(run: Run, body: str, folder: Path) -> None:
    routes = folder / "routes.yaml"
    routes.write_text(
        routes.read_text()
        .replace("routes:\n", "routes:\n  - {name: second, match: {query.try: '2'}, to: sales-bot}\n", 1)
        .replace("amocrm\n", "amocrm\n    format: form\n", 1)
    )
    taken = {}
    for query in ("try=1", "?try=2"):
        [event] = json.loads(run("explain", body, "--query", query, "--json").stdout)["events"]
        assert event["event"]["query"] == {"try": query[-1]}
        assert event["requests"][0]["url"] == f"https://bot.example/amocrm?try={query[-1]}"
        taken[query] = [each["route"] for each in event["routes"] if each["matched"]]
    assert taken == {"try=1": ["offer-made"], "?try=2": ["second", "offer-made"]}


def test_a_webhook_in_the_store_has_its_own_query(run: Run, kept: Path) -> None:
    refused = run("explain", CALL, "--query", "try=1")
    assert (refused.exit_code, "--query is for a body" in refused.stderr) == (2, True)


def test_each_event_of_a_body_is_explained(run: Run) -> None:
    tree = {"leads": {"add": {"0": {"id": "1"}, "1": {"id": "2"}}}}
    events = json.loads(run("explain", "-", "--json", stdin=form.encode(tree)).stdout)["events"]
    assert [each["event"]["data"]["id"] for each in events] == [1, 2]


def test_an_event_of_the_store_is_explained_by_its_id_or_its_start(run: Run, kept: Path) -> None:
    [event] = json.loads(run("explain", event_of(CALL), "--json").stdout)["events"]
    assert (event["event"]["id"], event["requests"][0]["target"]) == (event_of(CALL), "sales-bot")
    assert run("explain", CALL[:18]).exit_code == 0


def test_an_unparsed_webhook_is_explained_by_why_it_cannot_be_read(run: Run, kept: Path) -> None:
    assert run("explain", CYRILLIC).stderr.startswith("relay: not UTF-8")
    ended = run("explain", GARBLED)
    assert (ended.exit_code, ended.stdout) == (1, "")


def test_what_is_neither_file_nor_id_is_reported(run: Run, kept: Path) -> None:
    ended = run("explain", "0fffffff")
    assert (ended.exit_code, ended.stderr) == (
        1,
        "relay: no such file, and no id in the store starts with '0fffffff'\n",
    )


def test_a_name_that_can_only_be_a_files_needs_no_store(run: Run) -> None:
    ended = run("explain", "nosuch.form")
    assert (ended.exit_code, ended.stderr) == (1, "relay: no such file, and no such id in the store: 'nosuch.form'\n")


def test_a_url_that_comes_from_a_default_says_where_it_leads(run: Run, folder: Path, body: str) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("https://bot.example/amocrm", "${BOT:-http://127.0.0.1:9/in}"))
    assert "sales-bot  POST http://127.0.0.1:9/in\n" in run("explain", body).stdout


def test_a_request_shows_the_proxy_that_it_goes_through_without_its_user(run: Run, folder: Path, body: str) -> None:
    proxied = "  warehouse:\n    proxy: 'http://relay:${PW:-canary}@own.example:1'\n    no_proxy: [.other]\n"
    text = ROUTES.replace("  warehouse:\n", proxied, 1)
    text = text.replace(
        "targets:\n", "defaults: {proxy: 'http://u:canary@proxy.example:3128', no_proxy: '*'}\ntargets:\n", 1
    )
    (folder / "routes.yaml").write_text(text)
    document = json.loads(run("explain", body, "--json").stdout)
    shown = {each["target"]: each["proxy"] for each in document["events"][0]["requests"]}
    assert shown == {"sales-bot": None, "warehouse": "http://***@own.example:1"}
    said = run("explain", body).stdout
    assert " through http://***@own.example:1\n" in said
    assert "canary" not in said


def test_a_file_that_cannot_be_read_is_one_line(run: Run, folder: Path) -> None:
    for name, why in ((".", "Is a directory"), ("x" * 5000, "File name too long"), ("\0", "null byte")):
        ended = run("explain", name)
        assert (ended.exit_code, why in ended.stderr, ended.stderr.count("\n")) == (1, True, 1)


def test_a_file_that_is_not_amocrms_is_one_line(run: Run) -> None:
    ended = run("explain", "-", stdin=b"hello=world")
    assert (ended.exit_code, ended.stderr.count("\n")) == (1, 1)
    assert "no events" in ended.stderr


def test_a_body_in_another_charset_is_explained_byte_for_byte(run: Run) -> None:
    ended = run("explain", "-", stdin="leads[add][0][name]=Анна".encode("cp1251"))
    assert (ended.exit_code, ended.stderr.startswith("relay: not UTF-8: byte 0xc0")) == (1, True)


def test_with_several_sources_one_must_be_named(run: Run, folder: Path, body: str) -> None:
    two = ROUTES.replace("targets:\n", "  shop:\n    token: ${CRM_TOKEN}-shop\ntargets:\n", 1)
    (folder / "routes.yaml").write_text(two)
    assert (run("explain", body).exit_code, "(known: crm, shop)" in run("explain", body).stderr) == (2, True)
    [event] = json.loads(run("explain", body, "--source", "shop", "--json").stdout)["events"]
    assert event["event"]["source"] == "shop"
    assert run("explain", body, "--source", "nope").stderr == "relay: no source 'nope' (known: crm, shop)\n"


def test_an_event_that_no_route_takes_goes_nowhere(run: Run, folder: Path, body: str) -> None:
    (folder / "routes.yaml").write_text(
        ROUTES.replace("16203337", "5").replace("otherwise: true", "match: {entity: task}")
    )
    ended = run("explain", body)
    assert ended.exit_code == 0
    assert "It goes nowhere." in ended.stdout


def test_nothing_of_a_payload_steers_the_terminal(kept: Path) -> None:
    shown = on_terminal("explain", "019ab000-0003")
    assert "\x1b[1m" in shown, "on a terminal there is colour"
    assert shown.count("\x1b[31m") == len(re.findall("\x1b\\[31mnot *\x1b\\[0m", shown))
    assert not any(value in shown for value in SECRETS.values())


def test_a_long_body_stays_within_80_columns(kept: Path) -> None:
    lines = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal("explain", CONTACT)).split("\r\n")
    assert max(map(len, lines)) == 80


def test_offers_are_explained_alike_before_and_after_they_are_kept(run: Run, kept: Path, body: str) -> None:
    before = json.loads(run("explain", body, "--json").stdout)["events"][0]["routes"]
    assert json.loads(run("explain", OFFER, "--json").stdout)["events"][0]["routes"] == before


# ---- what cannot be read

RAW = ROUTES.replace(
    "  - name: everything-else", "  - {name: raw, unparsed: true, to: warehouse}\n  - name: everything-else"
)


def test_a_body_that_cannot_be_read_is_shown_as_it_would_go_on(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(RAW)
    raw = json.loads(run("explain", "-", "--query", "a=1", "--json", stdin=b"hello").stdout)["raw"]
    assert raw["routes"] == [{"route": "raw", "matched": True, "targets": ["warehouse"]}]
    [request] = raw["requests"]
    assert (request["body"], request["url"]) == ("hello", "https://dwh.example/${DWH_PATH}?a=1")
    assert request["headers"]["relay-unparsed"] == raw["unparsed"]
    assert request["headers"]["authorization"] == request["headers"]["webhook-signature"] == "***"
    shown = run("explain", "-", stdin=b"hello").stdout
    assert "sent on as it came, by raw" in shown


def test_so_is_an_unparsed_webhook_of_the_store(run: Run, kept: Path, folder: Path) -> None:
    (folder / "routes.yaml").write_text(RAW)
    [request] = json.loads(run("explain", GARBLED, "--json").stdout)["raw"]["requests"]
    assert request["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert request["body"].startswith("hello")
    assert request["headers"]["webhook-id"] == "given-at-arrival", "no route took it then: it has no raw deliveries"


def test_raw_deliveries_of_the_store_are_explained_with_their_own_id(
    run: Run, kept: Path, folder: Path, refill: Callable[[Use], None]
) -> None:
    (folder / "routes.yaml").write_text(RAW)
    webhook, went_on = "019ab000-0009-7000-8000-000000000000", "019ab000-0009-7000-8000-00000000000f"
    event = Event(id=went_on, source="crm", received_at=NOON, account={}, entity="", action="", data={})
    refill(lambda store: store.keep(unread(webhook, b"hello", "no events"), [RoutedEvent(event=event, payload=b"")]))
    for id_ in (webhook, went_on):
        [request] = json.loads(run("explain", id_, "--json").stdout)["raw"]["requests"]
        assert request["headers"]["webhook-id"] == went_on


def test_the_id_of_one_that_was_read_since_explains_its_events(
    run: Run, kept: Path, refill: Callable[[Use], None]
) -> None:
    webhook, went_on = "019ab000-0009-7000-8000-000000000000", "019ab000-0009-7000-8000-00000000000f"

    async def use(store: Archive) -> None:
        event = Event(id=went_on, source="crm", received_at=NOON, account={}, entity="", action="", data={})
        await store.keep(unread(webhook, BODY, "no events"), [RoutedEvent(event=event, payload=b"")])
        await keep(store, webhook, BODY)

    refill(use)
    [event] = json.loads(run("explain", went_on, "--json").stdout)["events"]
    assert event["event"]["type"] == "leads.status"


def test_if_no_route_takes_it_that_is_said(run: Run, kept: Path) -> None:
    ended = run("explain", "-", stdin=b"hello")
    assert (ended.exit_code, "no route with `unparsed: true` takes it" in ended.stderr) == (1, True)


def test_of_a_readable_body_such_a_route_says_that_it_takes_only_others(run: Run, body: str, folder: Path) -> None:
    (folder / "routes.yaml").write_text(RAW)
    lines = [" ".join(line.split()) for line in run("explain", body).stdout.splitlines()]
    assert "raw takes only unparsed webhooks" in lines
