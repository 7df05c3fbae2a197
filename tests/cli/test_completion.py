"""Shells complete commands, options, and the names of targets and routes; `relay help` shows help."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from relay.cli import COMMANDS
from tests.cli.conftest import Run

ALL = [name for section in COMMANDS.values() for name in section]


def complete(folder: Path, line: str) -> list[str]:
    """What bash is offered at the end of `line`."""
    words = line.split(" ")
    asked = {"_RELAY_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    environment = {**os.environ, **asked}
    ended = subprocess.run(
        [sys.executable, "-m", "relay"], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return [offered.partition(",")[2] for offered in ended.stdout.splitlines() if offered]


def test_commands_are_completed(folder: Path) -> None:
    assert complete(folder, "relay ") == ALL
    assert complete(folder, "relay re") == [name for name in ALL if name.startswith("re")]
    assert complete(folder, "relay heal s") == ["status"]


@pytest.mark.parametrize("line", ["relay pause ", "relay resume ", "relay list --target ", "relay tail --target "])
def test_targets_are_those_of_the_routes_file(folder: Path, line: str) -> None:
    assert complete(folder, line) == ["sales-bot", "warehouse"]
    assert complete(folder, f"{line}wa") == ["warehouse"]


def test_routes_are_completed_too(folder: Path) -> None:
    assert complete(folder, "relay list --route ") == ["offer-made", "talks-to-us", "everything-else"]


def test_a_routes_file_that_cannot_be_used_offers_nothing_and_fails_nothing(folder: Path) -> None:
    (folder / "routes.yaml").write_text("version: [")
    assert complete(folder, "relay pause ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_asks_relay(run: Run, shell: str) -> None:
    ended = run("completion", shell)
    assert ended.exit_code == 0
    assert f"_RELAY_COMPLETE={shell}_complete" in ended.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_script_is_one_that_bash_can_read(run: Run) -> None:
    subprocess.run(["bash", "-n"], input=run("completion", "bash").stdout, text=True, check=True)


def test_an_unknown_shell_is_misuse(run: Run) -> None:
    ended = run("completion", "tcsh")
    assert ended.exit_code == 2
    assert "'tcsh' is not one of" in ended.stderr


def test_help_shows_what_the_option_shows(run: Run) -> None:
    assert run("help").stdout == run("--help").stdout
    assert run("help", "replay").stdout == run("replay", "--help").stdout
    assert run("help", "heal", "status").stdout == run("heal", "status", "--help").stdout


def test_help_of_what_there_is_not_is_misuse_with_a_suggestion(run: Run) -> None:
    unknown = run("help", "replya")
    assert unknown.exit_code == 2
    assert "No such command 'replya'. Did you mean 'replay'?" in unknown.stderr
    deeper = run("help", "replay", "now")
    assert deeper.exit_code == 2
    assert "relay replay has no commands below it" in deeper.stderr


def test_a_mistyped_command_is_misuse_with_a_suggestion(run: Run) -> None:
    near = run("stauts")
    assert near.exit_code == 2
    assert "No such command 'stauts'. Did you mean 'status'?" in near.stderr
    assert "No such command 'xyzzy'.\n" in run("xyzzy").stderr
