"""`relay replay` and `relay reparse`: what they change in the store, what they refuse, and what they only count."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.cli.mend import PAGE
from relay.store.contract import Store
from tests.cli.conftest import CALL, CYRILLIC, GARBLED, MINUTE, OFFER, ROUTES, Run, Use, event_of, unread


def states(run: Run, *arguments: str) -> dict[str, str]:
    """The offer's deliveries: target -> state."""
    deliveries = json.loads(run("list", "--json", "--id", "4831596", *arguments).stdout)
    return {each["target"]: each["state"] for each in deliveries}


def webhook(run: Run, id_: str) -> dict:
    return json.loads(run("show", id_, "--json").stdout)


# ---- replay


def test_without_ids_or_a_filter_replay_refuses(run: Run, kept: Path) -> None:
    for arguments in ([], ["--state", "delivered"], ["--dry-run"]):
        ended = run("replay", *arguments)
        assert ended.exit_code == 2
        assert "give ids, a filter like --target or --since, or --all-dead" in ended.stderr
    assert states(run) == {"sales-bot": "delivered", "warehouse": "dead"}


def test_all_dead_stands_alone(run: Run, kept: Path) -> None:
    assert run("replay", "--all-dead", "--target", "warehouse").exit_code == 2
    assert run("replay", "--all-dead").stdout.splitlines()[-1] == "replayed 1"


def test_a_dry_run_counts_by_target_and_changes_nothing(run: Run, kept: Path) -> None:
    ended = run("replay", "--target", "warehouse", "--dry-run")
    assert [line.split() for line in ended.stdout.splitlines()] == [
        ["TARGET", "DELIVERIES"],
        ["warehouse", "1"],
        ["would", "replay", "1"],
    ]
    assert states(run)["warehouse"] == "dead"


def test_the_dead_become_pending_and_are_due_at_once(run: Run, kept: Path, refill: Callable[[Use], None]) -> None:
    ended = run("replay", "--target", "warehouse")
    assert (ended.exit_code, ended.stdout.splitlines()[-1]) == (0, "replayed 1")
    assert states(run) == {"sales-bot": "delivered", "warehouse": "pending"}

    async def use(store: Store) -> None:
        claimed = await store.claim("warehouse", limit=9, max_bytes=10**6, now=datetime.now(UTC), lease=MINUTE)
        assert [each.policy_attempt for each in claimed if each.event_id == event_of(OFFER)] == [1]
        assert [each.replay for each in claimed if each.event_id == event_of(OFFER)] == [True]

    refill(use)


@pytest.mark.parametrize("id_", [OFFER, OFFER[:18], event_of(OFFER)])
def test_ids_may_be_of_the_webhook_or_the_event(run: Run, kept: Path, id_: str) -> None:
    assert run("replay", id_).stdout.splitlines()[-1] == "replayed 1"
    assert states(run) == {"sales-bot": "delivered", "warehouse": "pending"}


def test_the_delivered_are_replayed_on_request(run: Run, kept: Path) -> None:
    assert run("replay", OFFER, "--state", "delivered", "--state", "dead").exit_code == 0
    assert states(run) == {"sales-bot": "pending", "warehouse": "pending"}


def test_ids_with_nothing_to_replay_are_not_done(run: Run, kept: Path) -> None:
    ended = run("replay", CALL)
    assert ended.exit_code == 1
    assert ended.stderr == "relay: nothing dead under these ids: see relay show, or give another --state\n"
    assert run("replay", GARBLED).stderr == "relay: no events came of these webhooks: see relay show\n"
    assert run("replay", "0fff").exit_code == 1


def test_a_filter_that_takes_nothing_is_done(run: Run, kept: Path) -> None:
    ended = run("replay", "--target", "nobody")
    assert (ended.exit_code, ended.stdout) == (0, "replayed 0\n")


# ---- reparse


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
    assert len(json.loads(run("list", "--unparsed", "--json").stdout)) == 2


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
    assert (ended.exit_code, "unknown charset 'klingon'" in ended.stdout) == (1, True)


def test_with_nothing_unparsed_there_is_nothing_to_do(run: Run, folder: Path, refill: Callable[[Use], None]) -> None:
    refill(lambda store: store.probe())
    ended = run("reparse")
    assert (ended.exit_code, ended.stdout) == (0, "0 read, 0 left unparsed\n")


def test_every_page_of_unparsed_webhooks_is_read(run: Run, folder: Path, refill: Callable[[Use], None]) -> None:
    async def use(store: Store) -> None:
        for number in range(PAGE + 1):
            await store.keep(
                unread(f"019ab000-1000-7000-8000-{number:012}", b"leads[add][0][id]=7", unparsed="old"), []
            )

    refill(use)
    ended = run("reparse")
    assert (ended.exit_code, ended.stdout.splitlines()[-1]) == (0, f"{PAGE + 1} read, 0 left unparsed")
