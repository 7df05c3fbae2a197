"""`relay pause` and `relay resume`: what they change in the store, and what they refuse."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.model import Health
from relay.store.records import HealthReport
from tests.cli.conftest import NOON, ROUTES, Run, Use


def paused(run: Run) -> list[str]:
    return [each["target"] for each in json.loads(run("status", "--json").stdout)["targets"] if each["paused"]]


def test_a_target_is_paused_until_it_is_resumed(run: Run, kept: Path) -> None:
    assert run("pause", "warehouse").stdout == "warehouse is paused\n"
    assert paused(run) == ["warehouse"]
    assert run("resume", "warehouse").stdout == "warehouse is resumed\n"
    assert paused(run) == []


def test_paused_twice_is_paused_once(run: Run, kept: Path) -> None:
    run("pause", "warehouse", "--reason", "upgrade")
    ended = run("pause", "warehouse", "--reason", "another")
    assert (ended.exit_code, ended.stdout) == (0, "warehouse was already paused: see relay status\n")
    assert "upgrade" in run("status").stdout


def test_a_reason_is_bounded_for_it_is_stored_and_shown(run: Run, kept: Path) -> None:
    ended = run("pause", "warehouse", "--reason", "ж" * 501)
    assert ended.exit_code == 2
    assert "Invalid value for '--reason': it has 501 characters: write at most 500\n" in ended.stderr
    assert paused(run) == []
    assert run("pause", "warehouse", "--reason", "ж" * 500).exit_code == 0


def test_what_is_not_paused_is_not_resumed(run: Run, kept: Path) -> None:
    ended = run("resume", "warehouse")
    assert (ended.exit_code, ended.stderr) == (1, "relay: warehouse is not paused: see relay status\n")


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_an_unknown_name_is_refused_in_a_line_with_the_one_that_was_meant(run: Run, kept: Path, command: str) -> None:
    ended = run(command, "warehose")
    assert (ended.exit_code, ended.stderr) == (1, "relay: no target 'warehose' (did you mean 'warehouse'?)\n")
    assert paused(run) == []


def test_a_target_that_the_routes_file_no_longer_names_can_be_paused(run: Run, kept: Path, folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("sales-bot", "new-bot"))
    assert run("pause", "sales-bot").exit_code == 0


def test_a_broken_routes_file_keeps_nobody_from_pausing(
    run: Run, kept: Path, folder: Path, refill: Callable[[Use], None]
) -> None:
    condition = HealthReport(health=Health.OK, since=NOON, as_of=NOON)
    refill(lambda store: store.publish_health({"quiet-bot": condition}))
    (folder / "routes.yaml").write_text("targets: [")
    for target in ("warehouse", "quiet-bot"):
        ended = run("pause", target)
        said = "relay: routes.yaml cannot be used, `relay check routes.yaml` says why: 1 problem\n"
        assert (ended.exit_code, ended.stderr) == (0, said)
    assert run("pause", "nobody").exit_code == 1
