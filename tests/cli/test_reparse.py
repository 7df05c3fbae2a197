"""`relay reparse`: what it changes in the store, what it refuses, and what it only counts."""

import json
from collections.abc import Callable
from pathlib import Path

from relay.operations.reparse import PAGE
from relay.store.contract import Archive
from tests.cli.conftest import CYRILLIC, GARBLED, ROUTES, Run, Use, unread


def webhook(run: Run, id_: str) -> dict:
    return json.loads(run("show", id_, "--json").stdout)


def test_what_can_be_read_by_now_becomes_events_and_deliveries(run: Run, kept: Path) -> None:
    ended = run("reparse", CYRILLIC, "--charset", "cp1251")
    assert ended.exit_code == 0
    assert ended.stdout == f"{CYRILLIC}  1 event, 1 delivery\n1 read, 0 left unparsed\n"
    shown = webhook(run, CYRILLIC)
    assert shown["webhook"]["unparsed"] is None
    [event] = shown["events"]
    assert (event["event"]["data"]["name"], event["event"]["timestamp"]) == ("Анна", "2026-11-22T12:00:00.000Z")
    assert [(each["target"], each["state"], each["claimed"]) for each in event["deliveries"]] == [
        ("warehouse", "pending", False)
    ]


def test_what_cannot_be_read_stays_and_says_why(run: Run, kept: Path) -> None:
    ended = run("reparse")
    lines = ended.stdout.splitlines()
    assert ended.exit_code == 1
    assert lines[0].startswith(f"{GARBLED}  unparsed: no events")
    assert lines[1].startswith(f"{CYRILLIC}  unparsed: not UTF-8")
    assert lines[2] == "0 read, 2 left unparsed"
    assert len(json.loads(run("list", "--unparsed", "--json").stdout)["data"]) == 2


def test_a_dry_run_keeps_everything_as_it_was(run: Run, kept: Path) -> None:
    ended = run("reparse", CYRILLIC, "--charset", "cp1251", "--dry-run")
    assert ended.stdout.splitlines()[-1] == "1 can be read, 0 left unparsed"
    assert webhook(run, CYRILLIC)["webhook"]["unparsed"] == "not UTF-8: byte 0xc0"


def test_reparsed_twice_is_not_done_twice(run: Run, kept: Path) -> None:
    run("reparse", CYRILLIC, "--charset", "cp1251")
    ended = run("reparse", CYRILLIC, "--charset", "cp1251")
    assert (ended.exit_code, ended.stderr) == (1, f"relay: {CYRILLIC} is not unparsed: see relay show\n")


def test_an_account_that_is_not_welcome_stays_out(run: Run, kept: Path, folder: Path) -> None:
    guarded = ROUTES.replace("token: ${CRM_TOKEN}", "token: ${CRM_TOKEN}\n    accounts: [elsewhere]")
    (folder / "routes.yaml").write_text(guarded)
    ended = run("reparse", CYRILLIC, "--charset", "cp1251")
    assert ended.exit_code == 1
    assert "account 30110022 or example is not in accounts of crm" in ended.stdout
    assert webhook(run, CYRILLIC)["events"] == []


def test_a_charset_that_nobody_knows_reads_nothing(run: Run, kept: Path) -> None:
    ended = run("reparse", GARBLED, "--charset", "klingon")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "'klingon' is not one of 'utf-8'" in ended.stderr
    assert run("reparse", CYRILLIC, "--charset", "CP1251").exit_code == 0


def test_with_nothing_unparsed_there_is_nothing_to_do(run: Run, folder: Path, refill: Callable[[Use], None]) -> None:
    refill(lambda store: store.probe())
    ended = run("reparse")
    assert (ended.exit_code, ended.stdout) == (0, "0 read, 0 left unparsed\n")


def test_every_page_of_unparsed_webhooks_is_read(run: Run, folder: Path, refill: Callable[[Use], None]) -> None:
    async def use(store: Archive) -> None:
        for number in range(PAGE + 1):
            await store.keep(
                unread(f"019ab000-1000-7000-8000-{number:012}", b"leads[add][0][id]=7", unparsed="old"), []
            )

    refill(use)
    ended = run("reparse")
    assert (ended.exit_code, ended.stdout.splitlines()[-1]) == (0, f"{PAGE + 1} read, 0 left unparsed")
