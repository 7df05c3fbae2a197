"""`relay show`: one webhook with all that came of it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.cli.show import readable
from relay.model import Event, PlannedDelivery, RoutedEvent
from relay.model.trace import attempt_span_id
from relay.store.contract import Archive
from tests.cli.conftest import (
    CALL,
    CONTACT,
    CYRILLIC,
    GARBLED,
    MINUTE,
    NOON,
    OFFER,
    REFUSED,
    Run,
    Use,
    event_of,
    on_terminal,
    settle,
    unread,
)


@pytest.mark.parametrize("id_", [OFFER, OFFER[:18], event_of(OFFER)])
def test_a_webhook_is_shown_by_its_id_its_events_or_a_start(run: Run, kept: Path, id_: str) -> None:
    shown = run("show", id_)
    assert shown.exit_code == 0
    assert OFFER in shown.stdout and event_of(OFFER) in shown.stdout


def test_it_shows_the_body_the_event_and_every_attempt(run: Run, kept: Path) -> None:
    lines = [" ".join(line.split()) for line in run("show", OFFER).stdout.splitlines()]
    assert "leads[status][0][status_id]=16203337" in lines
    assert '"type": "leads.status",' in lines
    assert f"trace id {OFFER.replace('-', '')}" in lines
    assert "sales-bot delivered (routes offer-made)" in lines
    assert "1 11-22 12:00:00Z 12 ms delivered 2xx 200" in lines
    assert "warehouse dead: 400 is in dead_on (routes offer-made)" in lines
    assert r"1 11-22 12:00:00Z 12 ms retry 5xx 503 \u001b[31mcome back later" in lines
    assert "2 11-22 12:00:00Z 12 ms dead 4xx 400 bad price" in lines


def test_what_is_next_is_reported(run: Run, kept: Path) -> None:
    assert "sales-bot  pending: attempt 2 is due" in run("show", CALL).stdout
    assert "warehouse  pending: interrupted: retried at the next start" in run("show", CONTACT).stdout


def test_a_replay_is_marked(run: Run, kept: Path, refill: Callable[[Use], None]) -> None:
    async def attempt(store: Archive) -> None:
        now = datetime.now(UTC)
        for claimed in await store.claim("warehouse", limit=9, max_bytes=10_000, now=now, lease=MINUTE):
            await settle(store, claimed, REFUSED)

    assert "replayed" not in run("show", OFFER).stdout
    for said in ("replayed once)", "replayed 2 times)"):
        assert run("replay", OFFER).exit_code == 0
        [line] = [line for line in run("show", OFFER).stdout.splitlines() if line.startswith("  warehouse")]
        assert line.endswith(said)
        refill(attempt)


def test_the_trace_id_is_that_of_the_traceparent_that_came(run: Run, refill: Callable[[Use], None]) -> None:
    came = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    refill(lambda store: store.keep(replace(unread(GARBLED, b"hello"), traceparent=came), []))
    assert "trace id    4bf92f3577b34da6a3ce929d0e0e4736" in run("show", GARBLED).stdout
    document = json.loads(run("show", GARBLED, "--json").stdout)["webhook"]
    assert (document["traceparent"], document["trace_id"]) == (came, "4bf92f3577b34da6a3ce929d0e0e4736")


def test_an_unparsed_webhook_says_why(run: Run, kept: Path) -> None:
    shown = run("show", CYRILLIC).stdout
    assert "unparsed    not UTF-8: byte 0xc0" in shown
    assert "event" not in shown


def test_raw_is_the_body_byte_for_byte(run: Run, kept: Path) -> None:
    assert run("show", GARBLED, "--raw").stdout_bytes == b"hello\x1b[31m"


def test_raw_does_not_steer_a_terminal(kept: Path) -> None:
    shown = on_terminal("show", GARBLED, "--raw")
    assert "\x1b" not in shown
    assert "write it to a file or a pipe" in shown
    assert on_terminal("show", OFFER, "--raw").startswith("leads%5Bstatus")


def test_nothing_of_a_payload_steers_the_terminal(kept: Path) -> None:
    for id_ in (OFFER, CONTACT, GARBLED):
        shown = on_terminal("show", id_).replace("\x1b[31mdead", "").replace("\x1b[31mno events", "")
        assert "\x1b[31m" not in shown
        assert r"\u001b[31m" in shown


def test_a_line_end_in_a_value_makes_no_line_of_its_own(run: Run, kept: Path) -> None:
    assert readable(b"a=1%0Aunparsed%3D2&b=3") == "a=1\\nunparsed=2\nb=3"


def test_as_json_it_is_one_document(run: Run, kept: Path) -> None:
    document = json.loads(run("show", OFFER, "--json").stdout)
    assert document["webhook"]["request_id"] == "00000000-0000-4000-8000-00000000000a"
    assert document["webhook"]["traceparent"] is None
    assert document["webhook"]["trace_id"] == OFFER.replace("-", "")
    [event] = document["events"]
    assert event["event"]["data"]["status_id"] == 16203337
    [_, warehouse] = event["deliveries"]
    assert (warehouse["state"], warehouse["why"]) == ("dead", "400 is in dead_on")
    assert [(each["number"], each["verdict"], each["status"]) for each in warehouse["attempts"]] == [
        (1, "retry", 503),
        (2, "dead", 400),
    ]
    assert [each["span_id"] for each in warehouse["attempts"]] == [
        attempt_span_id(event_of(OFFER), "warehouse", number) for number in (1, 2)
    ]


@pytest.mark.parametrize("id_", ["0fff", "*", "", "[a-z]*", "019AB000"])
def test_an_id_that_names_nothing_is_reported(run: Run, kept: Path, id_: str) -> None:
    ended = run("show", id_)
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == f"relay: no id in the store starts with {id_!r}\n"


def test_of_an_id_that_names_several_some_are_reported(run: Run, kept: Path) -> None:
    ended = run("show", "019ab000")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.startswith("relay: several webhooks have an id that starts with '019ab000': 019ab000-")
    assert ended.stderr.count(", ") == 4
    assert ended.stderr.endswith(", …\n")


def test_a_wildcard_is_no_id_even_where_only_one_could_be_meant(run: Run, refill: Callable[[Use], None]) -> None:
    refill(lambda store: store.keep(unread(GARBLED, b"hello"), []))
    assert run("show", GARBLED[:4]).exit_code == 0
    assert run("show", "*").exit_code == 1


def test_it_reads_well_at_80_columns(kept: Path) -> None:
    for id_ in (OFFER, CONTACT):
        lines = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal("show", id_)).split("\r\n")
        assert max(map(len, lines)) <= 80


def test_what_went_on_unparsed_is_shown_with_its_deliveries(
    run: Run, kept: Path, refill: Callable[[Use], None]
) -> None:
    webhook = replace(
        unread("019ab000-0007-7000-8000-000000000000", b"hello", "no events"), query="a=1", signature="0af1"
    )
    event = Event(
        id="019ab000-0007-7000-8000-000000000001",
        source="crm",
        received_at=NOON,
        account={},
        entity="",
        action="",
        data={},
    )
    raw = RoutedEvent(
        event=event, payload=b"", planned=(PlannedDelivery(target="sales-bot", routes=("raw",)),), routes=("raw",)
    )
    refill(lambda store: store.keep(webhook, [raw]))
    for id_ in (webhook.id, event.id):
        shown = " ".join(run("show", id_).stdout.split())
        assert "query a=1 signature 0af1" in shown
        assert f"as it came {event.id} sales-bot pending" in shown
        document = json.loads(run("show", id_, "--json").stdout)
        assert (document["webhook"]["query"], document["webhook"]["signature"]) == ("a=1", "0af1")
        assert [each["type"] for each in document["raw"]["deliveries"]] == ["unparsed"]
    assert json.loads(run("show", GARBLED, "--json").stdout)["raw"] is None
    listed = json.loads(run("list", "--target", "sales-bot", "--json").stdout)["data"]
    assert listed[0]["type"] == "unparsed"
