"""`relay replay`: what it changes in the store, what it refuses, and what it only counts."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.amocrm import form, sample_bodies
from relay.model import Outcome, Reason, RetryAt
from relay.store.contract import Archive
from tests.cli.conftest import CALL, GARBLED, LOST, MINUTE, OFFER, ROUTES, Run, Use, event_of, keep

OUTCOME = Outcome(reason=Reason.SERVER_ERROR, started_at=datetime.now(UTC), took=timedelta(), status=503)


def states(run: Run, *arguments: str) -> dict[str, str]:
    """The offer's deliveries: target -> state."""
    deliveries = json.loads(run("list", "--json", "--id", "4831596", *arguments).stdout)["data"]
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


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_what_a_target_that_has_left_the_routes_file_gets_is_orphaned(
    run: Run, kept: Path, folder: Path, dry: list[str]
) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("warehouse", "archive"))
    ended = run("replay", "--all-dead", *dry)
    assert ended.exit_code == 0
    assert ended.stdout.splitlines()[-2] == "orphaned until the routes file has the target again: warehouse"
    (folder / "routes.yaml").write_text("version: 1\n")
    assert "orphaned" not in run("replay", "--state", "pending", "--target", "warehouse").stdout, "nobody knows"


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
    ended = run("replay", "--target", "sales-bot")
    assert (ended.exit_code, ended.stdout) == (0, "replayed 0\n")


# ---- at a rate


def test_at_a_rate_they_are_due_one_after_another(run: Run, kept: Path) -> None:
    run("replay", OFFER, "--state", "delivered", "--state", "dead", "--rate", "1/m")
    due = sorted(each["due_at"] for each in json.loads(run("list", "--json", "--id", "4831596").stdout)["data"])
    assert datetime.fromisoformat(due[1]) - datetime.fromisoformat(due[0]) == MINUTE


def test_a_rate_is_written_as_in_the_routes_file(run: Run, kept: Path) -> None:
    ended = run("replay", "--all-dead", "--rate", "50")
    assert (ended.exit_code, "must be a rate above 0 like 50/s" in ended.stderr) == (2, True)


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_name_that_nothing_has_is_not_done(run: Run, kept: Path, dry: list[str]) -> None:
    ended = run("replay", "--target", "warehous", *dry)
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == "relay: no target 'warehous' (did you mean 'warehouse'?)\n"
    ended = run("replay", "--target", "nope", "--route", "nowhere", "--since", "2h", *dry)
    assert ended.exit_code == 1
    assert ended.stderr.splitlines() == [
        "relay: no target 'nope' (known: sales-bot, warehouse)",
        "relay: no route 'nowhere' (known: everything-else, offer-made, talks-to-us)",
    ]
    ended = run("replay", "--unrouted", "--entity", "lead", *dry)
    assert (ended.exit_code, ended.stderr) == (1, "relay: no entity 'lead' (did you mean 'leads'?)\n")
    assert run("replay", "--target", "warehouse", *dry).stderr == ""
    assert run("replay", "--target", "sales-bot", *dry).stderr == "", "it has nothing dead, but there is one"


# ---- what no route took


def target_of_lost(run: Run) -> list[tuple[str, str]]:
    [event] = json.loads(run("show", LOST, "--json").stdout)["events"]
    return [(each["target"], each["state"]) for each in event["deliveries"]]


@pytest.mark.parametrize("arguments", [["--unrouted"], [LOST], ["--unrouted", "--entity", "contacts"]], ids=str)
def test_what_no_route_took_goes_through_todays_routes(run: Run, unrouted: None, arguments: list[str]) -> None:
    dry = run("replay", *arguments, "--dry-run")
    assert dry.stdout.splitlines()[-1] == "would replay 1"
    assert target_of_lost(run) == []
    assert run("replay", *arguments).stdout.splitlines()[-1] == "replayed 1"
    assert target_of_lost(run) == [("warehouse", "pending")]
    assert run("replay", "--unrouted").stdout == "replayed 0\n"


def test_what_no_route_takes_today_either_stays_and_is_reported(run: Run, unrouted: None, folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES.partition("  - name: everything-else")[0])
    for arguments in (["--unrouted"], [LOST]):
        ended = run("replay", *arguments)
        assert (ended.exit_code, ended.stdout) == (0, "no route takes 1 event today either\nreplayed 0\n")


def test_a_filter_narrows_events_too(run: Run, unrouted: None) -> None:
    assert run("replay", "--unrouted", "--entity", "leads").stdout == "replayed 0\n"
    assert run("replay", "--unrouted", "--since", "2026-11-22T12:00:01Z").stdout == "replayed 0\n"


@pytest.mark.parametrize(
    "other", [["--all-dead"], ["--state", "dead"], ["--target", "warehouse"], ["--route", "r"], [LOST]]
)
def test_what_is_said_of_deliveries_cannot_be_said_of_events(run: Run, unrouted: None, other: list[str]) -> None:
    assert run("replay", "--unrouted", *other).exit_code == 2


def test_such_a_replay_is_audited_once_for_all_its_pages(
    run: Run, unrouted: None, monkeypatch: pytest.MonkeyPatch, folder: Path, refill: Callable[[Use], None]
) -> None:
    (folder / "routes.yaml").write_text(ROUTES.partition("  - name: everything-else")[0])
    body = form.encode(sample_bodies.body("contacts.add", fields={"id": "79"}))
    refill(lambda store: keep(store, LOST.replace("-0006-", "-0007-"), body))
    (folder / "routes.yaml").write_text(ROUTES)
    monkeypatch.setattr("relay.operations.reroute.PAGE", 1)
    assert run("replay", "--unrouted").stdout.splitlines()[-1] == "replayed 2"
    assert [(each["command"], each["count"]) for each in json.loads(run("audit", "--json").stdout)] == [
        ("replay --unrouted", 2)
    ]


def test_what_waits_for_a_later_attempt_is_due_now_on_request(
    run: Run, kept: Path, refill: Callable[[Use], None]
) -> None:
    async def put_off(store: Archive) -> None:
        [call] = await store.claim("sales-bot", limit=9, max_bytes=10**6, now=datetime.now(UTC), lease=MINUTE)
        later = RetryAt(datetime.now(UTC) + timedelta(days=1))
        assert await store.settle(call, OUTCOME, later, now=datetime.now(UTC))

    refill(put_off)
    asked = ("replay", "--since", "9000d", "--state", "pending")
    assert run(*asked, "--dry-run").stdout.splitlines()[-1] == "would replay at most 2"
    ended = run(*asked)
    assert (ended.exit_code, ended.stdout.splitlines()[-2:]) == (
        0,
        ["left alone 1 that are in flight, due already, or behind an earlier one", "replayed 1"],
    )
    [due] = json.loads(run("list", "--json", "--state", "pending", "--target", "sales-bot").stdout)["data"]
    assert datetime.fromisoformat(due["due_at"]) <= datetime.now(UTC)
