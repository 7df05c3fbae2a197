"""The frame around the commands: help, errors, exit codes, and how little is imported."""

import os
import subprocess
import sys
from importlib import import_module
from inspect import cleandoc
from pathlib import Path

import click
import pytest

from relay.cli import COMMANDS, relay
from tests.cli.conftest import ROUTES, Run

ENTRIES = {name: entry for section in COMMANDS.values() for name, entry in section.items()}


def imported_by(*arguments: str) -> set[str]:
    """Every module that a command has imported when it ends."""
    code = "import sys; sys.argv[0] = 'relay'\ntry:\n  from relay.cli import main; main()\nfinally: print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=30)
    return set(ended.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", ENTRIES)
def test_the_help_of_a_command_begins_with_its_line_in_the_list(name: str) -> None:
    module, attribute = ENTRIES[name][0].split(":")
    command: click.Command = getattr(import_module(module), attribute)
    assert command.name == name
    assert (command.help or "").splitlines()[0] == ENTRIES[name][1]


@pytest.mark.parametrize("name", ENTRIES)
def test_every_command_has_a_help_of_80_columns(run: Run, name: str) -> None:
    helped = run(name, "--help")
    assert helped.exit_code == 0
    assert f"Usage: relay {name}" in helped.stdout
    assert max(map(len, helped.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", ENTRIES)
def test_the_examples_of_a_command_stand_on_lines_of_their_own(run: Run, name: str) -> None:
    helped = run(name, "--help").stdout
    assert "\\b" not in helped, "click's sign is not for people"
    module, attribute = ENTRIES[name][0].split(":")
    source = cleandoc(getattr(import_module(module), attribute).callback.__doc__)
    examples = [line for line in source.splitlines() if line.startswith(("relay ", "… | relay "))]
    assert name == "demo" or examples
    assert set(examples) <= {line.strip() for line in helped.splitlines()}


def test_the_help_lists_every_command_under_its_heading(run: Run) -> None:
    helped = run("--help").stdout
    for heading, section in COMMANDS.items():
        assert f"{heading}:" in helped
        assert all(line in helped for _where, line in section.values())


def test_the_help_imports_no_command() -> None:
    modules = imported_by("--help")
    assert "relay.cli" in modules
    assert not [name for name in modules if name.startswith(("relay.cli.", "aiohttp", "rich.", "apsw", "asyncio."))]


def test_looking_at_the_store_imports_no_server() -> None:
    modules = imported_by("list", "--store", "sqlite:///nowhere.db")
    assert "apsw" in modules
    assert not modules & {"aiohttp", "uvloop", "prometheus_client", "relay.daemon.wiring"}


def test_a_relay_on_a_file_imports_nothing_of_postgresql() -> None:
    modules = imported_by("demo", "--once")
    assert {"relay.daemon.wiring", "relay.store.sqlite.store"} <= modules
    assert not [name for name in modules if name.startswith(("psycopg", "relay.store.postgres", "relay.store.spool"))]


def test_the_version_is_reported(run: Run) -> None:
    assert run("--version").stdout.startswith("relay 0.")


def test_no_such_command_is_misuse(run: Run) -> None:
    assert run("lsit").exit_code == 2


def test_an_error_of_ours_is_one_line_and_exit_code_1(run: Run) -> None:
    ended = run("list")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == "relay: no store at relay.db: start `relay run`, or name the store with --store\n"


def test_an_invalid_routes_file_is_reported_line_by_line(run: Run, folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("to: sales-bot", "to: sales-bott").replace("url:", "ulr:"))
    ended = run("explain", "-", stdin=b"")
    assert ended.exit_code == 1
    lines = ended.stderr.splitlines()
    assert len(lines) > 2
    assert all(line.startswith("relay: routes.yaml:") for line in lines)


def test_an_interruption_ends_quietly_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("interrupted")
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(relay), "get_command", lambda *_: interrupted)
    ended = run("interrupted")
    assert (ended.exit_code, ended.output) == (130, "")


def test_a_reader_that_went_away_is_no_trouble(kept: Path) -> None:
    command = f"{sys.executable} -m relay show 019ab000-0003 | head -n 1"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, cwd=kept.parent)
    assert ended.stdout.startswith("webhook")
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [("show 019ab000-0003", 0), ("show 019ab000-0003 --raw", 0), ("list --json", 0), ("--help", 0),
     ("schema routes", 0), ("check bad.yaml", 1), ("check bad.yaml --json", 1),
     ("list --help", 0), ("status", 0), ("status --watch", 0),
     ("reparse --dry-run", 1), ("lsit 2>&1", 2), ("verify", 0), ("demo --once", 0)],
)  # fmt: skip
def test_a_reader_that_went_away_changes_no_exit_code(kept: Path, arguments: str, code: int) -> None:
    (kept.parent / "bad.yaml").write_text("version: 1\nsources: 7\n" * 50)
    command = f"(sleep 0.3; {sys.executable} -m relay {arguments}; echo $? >&3) 3>code | true"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, cwd=kept.parent)
    assert (int((kept.parent / "code").read_text()), ended.stderr) == (code, "")


CP1251 = os.fsdecode("Иван".encode("cp1251"))
"""As a terminal in another charset sends it."""


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--target", CP1251],
        ["list", "--entity", CP1251],
        ["list", f"--id={CP1251}"],
        ["list", "--unparsed", "--after", CP1251],
        ["list", "--since", CP1251],
        ["replay", "--route", CP1251],
        ["replay", CP1251],
        ["show", CP1251],
        ["explain", CP1251],
        ["pause", CP1251],
        ["pause", "warehouse", "--reason", CP1251],
        ["resume", CP1251],
        ["send", "--event", "contacts.add", "--set", f"name={CP1251}", "--dry-run"],
        ["status", "--store", f"sqlite:///{CP1251}.db"],
        ["backup", CP1251],
        ["tail", "--target", CP1251],
        [CP1251],
    ],
)
def test_an_argument_that_is_not_utf8_is_misuse(run: Run, kept: Path, arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "Error: the argument '" in ended.stderr
    assert "is not UTF-8: have the terminal use UTF-8" in ended.stderr
    assert not [each for each in kept.parent.iterdir() if CP1251 in each.name]


def test_a_file_may_have_any_name(run: Run, kept: Path) -> None:
    (kept.parent / CP1251).write_text(ROUTES)
    for arguments in (["check", CP1251], ["check", f"--config={CP1251}"], ["status", "-c", CP1251]):
        command = [sys.executable, "-m", "relay", *arguments]
        ended = subprocess.run(command, capture_output=True, timeout=30, cwd=kept.parent)
        assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RELAY_STORE", f"sqlite:///{CP1251}.db", "the variable RELAY_STORE: 'sqlite:///\\udcc8"),
        ("RELAY_ADMIN_TOKEN", CP1251 * 10, "relay: the variable RELAY_ADMIN_TOKEN is not UTF-8"),
        ("RELAY_LISTEN", CP1251, "the variable RELAY_LISTEN: '\\udcc8"),
        ("CRM_TOKEN", CP1251, "the variable CRM_TOKEN is not UTF-8"),
    ],
)
def test_a_variable_that_is_not_utf8_is_named(folder: Path, name: str, value: str, said: str) -> None:
    command = [sys.executable, "-m", "relay", "run", "--admin", "127.0.0.1:0"]
    environment = {**os.environ, name: value}
    ended = subprocess.run(command, capture_output=True, timeout=30, cwd=folder, env=environment)
    assert (ended.returncode in (1, 2), b"Traceback" in ended.stderr) == (True, False)
    assert said in ended.stderr.decode()


def test_a_charset_without_cyrillic_gets_escapes_instead_of_a_traceback(kept: Path) -> None:
    command = [sys.executable, "-m", "relay", "show", "019ab000-0003"]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=kept.parent, env=environment)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert r"[name]=\u0410\u043d\u043d\u0430" in ended.stdout


@pytest.mark.parametrize(
    ("closed", "said"), [("<&-", "daemon        not running"), (">&-", ""), ("2>&-", "daemon        not running")]
)
def test_a_command_without_one_of_its_three_files_works(kept: Path, closed: str, said: str) -> None:
    command = f"{sys.executable} -m relay status --store sqlite:///{kept} {closed}"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, cwd=kept.parent)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert said in ended.stdout


@pytest.mark.parametrize("arguments", ["list", "status", "list --json", "--help", "schema event", "list --help"])
def test_output_that_cannot_be_written_is_one_line(kept: Path, arguments: str) -> None:
    command = f"{sys.executable} -m relay {arguments} >/dev/full"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, cwd=kept.parent)
    assert (ended.returncode, ended.stderr) == (1, "relay: cannot write: No space left on device\n")


@pytest.mark.parametrize(
    ("arguments", "usage", "said"),
    [
        ("list --json=x", "relay list", "'--json' takes no value, or lines: --json=lines"),
        ("status --json=lines", "relay status", "'--json' takes no value"),
        ("heal status --json=lines", "relay heal", "'--json' takes no value"),
        (
            "backup x --relay u",
            "relay backup",
            "'--relay' asks a relay elsewhere, and this command works on this machine",
        ),
        ("list --since", "relay list", "Option '--since' requires an argument."),
    ],
)
def test_a_flag_with_a_value_that_it_does_not_take_is_explained(
    run: Run, arguments: str, usage: str, said: str
) -> None:
    ended = run(*arguments.split())
    assert ended.exit_code == 2
    assert ended.stderr.startswith(f"Usage: {usage}") and f"Error: {said}" in ended.stderr


def test_no_flag_is_suggested_that_the_help_hides(run: Run) -> None:
    ended = run("list", "--json-line")
    assert "No such option '--json-line'." in ended.stderr and "'--json'" in ended.stderr
    assert "--json-lines" not in ended.stderr
