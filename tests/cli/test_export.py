"""`relay export`: what is stored -> lines of JSON, all of it, as it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.cli import export as command
from relay.model import RoutedEvent
from relay.store.contract import Archive
from tests.cli.conftest import CALL, CONTACT, CYRILLIC, GARBLED, OFFER, Run, Use, event_of, unread
from tests.store.conftest import routed


def lines(run: Run, *arguments: str) -> list[dict]:
    ended = run("export", *arguments)
    assert ended.exit_code == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_events_are_lines_as_targets_receive_them_oldest_first(run: Run, kept: Path) -> None:
    found = lines(run)
    assert [each["id"] for each in found] == [event_of(OFFER), event_of(CALL), event_of(CONTACT)]
    shown = json.loads(run("show", OFFER, "--json").stdout)["events"][0]["event"]
    assert found[0] == shown
    assert [each["id"] for each in lines(run, "--entity", "contacts")] == [event_of(CONTACT)]
    assert lines(run, "--until", "2026-11-22T12:00:00Z") == []


def test_webhooks_have_their_bodies_and_all_that_came_of_them(run: Run, kept: Path) -> None:
    found = lines(run, "--webhooks")
    assert {each["webhook"]["id"] for each in found} == {OFFER, CALL, CONTACT, GARBLED, CYRILLIC}
    by_id = {each["webhook"]["id"]: each for each in found}
    assert by_id[GARBLED]["webhook"]["unparsed"] and by_id[GARBLED]["webhook"]["body"].startswith("hello")
    assert by_id[CYRILLIC]["webhook"]["body"] is None and by_id[CYRILLIC]["webhook"]["body_base64"]
    [event] = by_id[OFFER]["events"]
    assert {each["target"]: len(each["attempts"]) for each in event["deliveries"]} == {"sales-bot": 1, "warehouse": 2}
    assert lines(run, "--webhooks", "--until", "2026-11-22T12:00:00Z") == []


def test_it_is_all_there_however_many_pages_it_takes(
    run: Run, kept: Path, refill: Callable[[Use], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def more(store: Archive) -> None:
        for number in range(100, 107):
            body = unread(f"019ab000-0{number}-7000-8000-000000000000", b"a=1")
            await store.keep(body, [RoutedEvent(event=routed(number).event, payload=b'{"id":"%d"}' % number)])

    refill(more)
    monkeypatch.setattr(command, "PAGE", 3)
    assert len(lines(run)) == 10
    ids = [each["webhook"]["id"] for each in lines(run, "--webhooks")]
    assert len(ids) == len({*ids}) == 12


def test_what_narrows_no_events_is_misused(run: Run, kept: Path) -> None:
    for arguments in (
        ["--target", "warehouse"],
        ["--route", "offer-made"],
        ["--reason", "5xx"],
        ["--webhooks", "--entity", "leads"],
    ):
        assert run("export", *arguments).exit_code == 2, arguments
