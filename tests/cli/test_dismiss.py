"""`relay dismiss` and `relay drop`: what they print, and what the other commands say after them."""

import json
from pathlib import Path

from tests.cli.conftest import GARBLED, ROUTES, Run


def dead(run: Run) -> dict[str, int]:
    return {each["target"]: each["dead"] for each in json.loads(run("status", "--json").stdout)["targets"]}


def test_what_is_dismissed_is_out_of_the_count_and_of_all_dead_and_listed_alone(run: Run, kept: Path) -> None:
    ended = run("dismiss", "--target", "warehouse")
    assert ended.stdout.splitlines()[-1] == "dismissed 1"
    assert dead(run)["warehouse"] == 0
    assert run("replay", "--all-dead").stdout == "replayed 0\n"
    assert run("replay", "--target", "warehouse").stdout == "replayed 0\n"
    [only] = json.loads(run("list", "--dismissed", "--json").stdout)["data"]
    assert (only["target"], only["state"]) == ("warehouse", "dead") and only["dismissed_at"]
    assert "400 is in dead_on, dismissed" in run("list", "--dismissed").stdout
    assert "400 is in dead_on, dismissed" in run("list", "--state", "dead").stdout, "nothing is hidden"
    assert run("replay", "--target", "warehouse", "--dismissed").stdout.splitlines()[-1] == "replayed 1"
    assert json.loads(run("list", "--dismissed", "--json").stdout)["data"] == []


def test_every_flag_of_a_filter_narrows_what_is_dismissed(run: Run, kept: Path) -> None:
    for flag, other in (
        ("--reason", "5xx"),
        ("--source", "shop"),
        ("--account", "other"),
        ("--settled-until", "2020-01-01"),
    ):
        assert run("dismiss", flag, other).stdout == "dismissed 0\n", flag
    assert run("dismiss", "--reason", "4xx", "--source", "crm").stdout.splitlines()[-1] == "dismissed 1"


def test_an_unparsed_webhook_that_is_dismissed_is_listed_apart(run: Run, kept: Path) -> None:
    assert run("dismiss", GARBLED).stdout == "dismissed 0, 1 unparsed webhook\n"
    assert [each["id"] for each in json.loads(run("list", "--unparsed", "--dismissed", "--json").stdout)["data"]] == [
        GARBLED
    ]
    assert len(json.loads(run("list", "--unparsed", "--json").stdout)["data"]) == 1
    assert json.loads(run("status", "--json").stdout)["webhooks"]["unparsed"] == 1


def test_a_dry_run_and_json_say_what_would_be(run: Run, kept: Path) -> None:
    assert run("dismiss", "--all-dead", "--dry-run").stdout.splitlines()[-1] == "would dismiss 1"
    assert json.loads(run("dismiss", "--all-dead", "--dry-run", "--json").stdout) == {
        "dry_run": True,
        "deliveries": 1,
        "targets": {"warehouse": 1},
        "unparsed": 0,
    }
    assert dead(run)["warehouse"] == 1


def test_a_choice_that_names_nothing_or_too_much_is_misused(run: Run, kept: Path) -> None:
    for arguments in (
        [],
        ["--dry-run"],
        ["--all-dead", "--target", "warehouse"],
        ["--unparsed", "--target", "warehouse"],
        [GARBLED, "--since", "1h"],
    ):
        assert run("dismiss", *arguments).exit_code == 2, arguments


def test_a_target_that_is_gone_is_dropped_and_one_that_is_there_is_not(run: Run, kept: Path, folder: Path) -> None:
    refused = run("drop", "--target", "warehouse")
    assert (refused.exit_code, refused.stderr) == (
        1,
        "relay: the routes file has the target 'warehouse': remove it there first, or relay pause it\n",
    )
    (folder / "routes.yaml").write_text(ROUTES.replace("warehouse", "erp"))
    assert run("drop", "--target", "warehouse", "--dry-run").stdout == "would drop 1 pending, dismiss 1 dead\n"
    assert run("drop", "--target", "warehouse").stdout == "dropped 1 pending, dismissed 1 dead\n"
    assert "warehouse" not in dead(run)
    assert "dropped, dismissed" in run("list", "--target", "warehouse").stdout


def test_stored_events_are_rerouted_to_a_target_that_was_added_later(run: Run, kept: Path, folder: Path) -> None:
    more = '  new: {url: "https://new.example/in"}\nroutes:\n  - {name: to-new, match: {entity: leads}, to: new}\n'
    (folder / "routes.yaml").write_text(ROUTES.replace("routes:\n", more, 1))
    wanted = ("replay", "--reroute", "--target", "new", "--since", "2026-11-22T12:00:00Z")
    assert run(*wanted, "--dry-run").stdout.splitlines()[-1] == "would replay 2"
    assert run(*wanted).stdout.splitlines()[-1] == "replayed 2"
    assert run(*wanted).stdout == "replayed 0\n"


def test_a_reroute_wants_to_know_how_far_back_and_takes_no_states(run: Run, kept: Path) -> None:
    for arguments in (
        [],
        ["--target", "warehouse"],
        ["--since", "1h", "--state", "dead"],
        ["--since", "1h", "--unrouted"],
    ):
        assert run("replay", "--reroute", *arguments).exit_code == 2, arguments
