"""`relay check`: what it says of good, doubtful, failing and broken files, and how it ends."""

import json
from pathlib import Path

from tests.cli.conftest import ROUTES, Run

UNUSED = ROUTES.replace("routes:\n", "  spare:\n    url: https://spare.example/\nroutes:\n", 1)
FAILING = ROUTES.replace("expect: {targets: [sales-bot, warehouse]}", "expect: {targets: sales-bot}")


def test_a_good_file_is_summed_up_in_one_line(run: Run) -> None:
    ended = run("check")
    assert ended.exit_code == 0
    assert ended.stdout == ("routes.yaml: good: 1 source, 2 targets, 3 routes, 0 warnings, 1 of 1 test passed\n")


def test_the_file_may_be_named_with_or_without_a_flag(run: Run, folder: Path) -> None:
    (folder / "other.yaml").write_text(ROUTES)
    assert run("check", "other.yaml").stdout == run("check", "-c", "other.yaml").stdout
    assert run("check", "other.yaml").stdout.startswith("other.yaml: good")


def test_every_error_has_its_line_and_column(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(
        ROUTES.replace("to: sales-bot", "to: sales-bott").replace("version: 1", "version: 2")
    )
    ended = run("check")
    lines = ended.stdout.splitlines()
    assert ended.exit_code == 1
    assert lines[0].startswith("routes.yaml:1:")
    assert lines[1].startswith("routes.yaml:18:5  routes[1].to: no target 'sales-bott'")
    assert lines[-1] == "routes.yaml: 2 errors"


def test_a_missing_file_is_an_error(run: Run) -> None:
    ended = run("check", "nowhere.yaml")
    advice = "copy config/routes.example.yaml, or name another with --config"
    assert (ended.exit_code, ended.stdout.splitlines()[0]) == (1, f"nowhere.yaml: no such file: {advice}")


def test_warnings_alone_are_good_unless_strict(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(UNUSED)
    ended, strict = run("check"), run("check", "--strict")
    assert (ended.exit_code, strict.exit_code) == (0, 1)
    assert "warning targets.spare: no route feeds it" in ended.stdout
    assert ": good: " in ended.stdout
    assert ": not good: " in strict.stdout


def test_a_failed_test_says_what_differs(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(FAILING)
    ended = run("check")
    assert ended.exit_code == 1
    assert "failed 'an offer reaches both': targets: expected sales-bot, got sales-bot, warehouse" in ended.stdout
    assert "0 of 1 test passed" in ended.stdout


def test_as_json_all_of_it_is_one_document(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(
        UNUSED.replace("expect: {targets: [sales-bot, warehouse]}", "expect: {targets: []}")
    )
    document = json.loads(run("check", "--json").stdout)
    assert (document["good"], document["errors"]) == (False, [])
    assert document["warnings"][0]["path"] == "targets.spare"
    assert [test["passed"] for test in document["tests"]] == [False]


def test_errors_as_json_have_their_places(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("to: sales-bot", "to: sales-bott"))
    ended = run("check", "--json")
    document = json.loads(ended.stdout)
    assert (ended.exit_code, document["good"]) == (1, False)
    assert [(each["line"], each["column"], each["path"]) for each in document["errors"]] == [(18, 5, "routes[1].to")]


def test_a_diff_says_which_stored_events_would_be_routed_differently(run: Run, folder: Path, kept: Path) -> None:
    old, new = "routes.yaml", folder / "new.yaml"
    new.write_text(ROUTES)
    same = run("check", "--diff", old, "new.yaml", "--since", "2020-01-01")
    assert same.exit_code == 0
    assert same.stdout == "3 events since 2020-01-01T00:00:00.000Z, all routed as before\n"
    new.write_text(ROUTES.replace("otherwise: true", "match: {entity: {exists: true}}"))
    ended = run("check", "--diff", old, "new.yaml", "--since", "2020-01-01")
    assert ended.exit_code == 0
    assert "would also go to" in ended.stdout
    counted = json.loads(run("check", "--diff", old, "new.yaml", "--since", "2020-01-01", "--json").stdout)
    assert sum(counted["also"].values()) > 0
    assert counted["no_longer"] == {}
    swapped = json.loads(run("check", "--diff", "new.yaml", old, "--since", "2020-01-01", "--json").stdout)
    assert (swapped["also"], swapped["no_longer"]) == ({}, counted["also"])
    assert json.loads(run("check", "--diff", old, "new.yaml", "--since", "1s", "--json").stdout)["events"] == 0


def test_a_file_that_others_may_write_is_a_warning(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").chmod(0o666)
    said = "anybody may change this file, and so where events go: chmod go-w"
    ended = run("check")
    assert ended.stdout.splitlines()[0] == f"routes.yaml: warning {said}"
    assert (ended.exit_code, run("check", "--strict").exit_code) == (0, 1)
    assert json.loads(run("check", "--json").stdout)["warnings"] == [
        {"line": 0, "column": 0, "path": "", "message": said}
    ]
