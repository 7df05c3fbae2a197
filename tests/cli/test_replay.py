"""`relay replay`: what it changes in the store, what it refuses, and what it only counts."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.store.contract import Archive
from tests.cli.conftest import CALL, GARBLED, MINUTE, OFFER, Run, Use, event_of


def states(run: Run, *arguments: str) -> dict[str, str]:
    """The offer's deliveries: target -> state."""
    deliveries = json.loads(run("list", "--json", "--id", "4831596", *arguments).stdout)
    return {each["target"]: each["state"] for each in deliveries}


def test_without_ids_or_a_filter_replay_refuses(run: Run, kept: Path) -> None:
    for arguments in ([], ["--state", "delivered"], ["--dry-run"]):
        ended = run("replay", *arguments)
        assert ended.exit_code == 2
        assert "give ids, a filter like --target or --since, --unrouted or --all-dead" in ended.stderr
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

    async def use(store: Archive) -> None:
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
