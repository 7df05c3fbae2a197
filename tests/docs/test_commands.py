"""Every command in the documents is run here, or by the test of its guide."""

import re
import selectors
import shlex
import subprocess
from pathlib import Path
from signal import SIGINT
from time import sleep

import pytest

from tests.docs.conftest import done, set_up
from tests.docs.pages import DOCS, PAGES, ROOT, assert_parses, commands, name, read, relay_commands

pytestmark = pytest.mark.timeout(240)  # many commands, each a process

_DOCS = ("routes", "targets", "recipes", "amocrm", "access", "api", "operate", "performance", "develop")
HERE = ["README.md", *(f"docs/{page}.md" for page in _DOCS)]
"""Pages whose commands are run here, one after another, beside the daemon that README.md starts."""

ENDLESS = ("relay status --watch", "relay tail", "relay sink", "relay forward")
"""Commands that end with Ctrl-C."""

ELSEWHERE = {
    "apt install": "test_the_packages_that_the_tests_need_are_those_of_ci",
    "python3 -m venv /opt/relay": "test_guides.py",
    "/opt/relay/bin/pip install .": "test_guides.py",
    "export PATH=/opt/relay/bin": "test_guides.py",
    "export RELAY_CONFIG=": "test_guides.py",
    "export RELAY_URL=": "tests/admin/api/test_front_ends.py",
    "export RELAY_TOKEN=": "tests/admin/api/test_front_ends.py",
    ".venv/bin/python -m tests.docs.reference": "test_reference.py",
    "relay run ": "conftest.py: the daemon",
    "relay names": "tests/cli/test_names.py",  # README.md's file has no account
    "relay connect": "tests/account/test_connect_command.py",
}
"""How a command begins -> what checks it."""


@pytest.mark.parametrize("page", HERE)
def test_every_command_of_a_page_does_what_it_is_shown_for(
    page: str, folder: Path, environment: dict[str, str], daemon: None
) -> None:
    (folder / "body.form").write_text("leads[add][0][id]=7")
    (folder / "routes.new.yaml").write_text((folder / "routes.yaml").read_text())
    shown = [
        each for each in commands(read(page)) if not each.startswith(("make ", *ELSEWHERE)) and each not in set_up()
    ]
    for command in shown:
        if exported := re.fullmatch(r"export (\w+)=(\S+)", command):  # each command has a shell of its own
            environment = {**environment, exported[1]: exported[2]}
        elif command.startswith(ENDLESS):
            endless(folder, environment, command)
        else:
            done(folder, environment, command)


LEFT = ("/opt", "python3 -m", "export PATH", "export RELAY_CONFIG")


def test_what_a_page_leaves_to_the_systemd_guide_is_run_there() -> None:
    left = [each for page in HERE for each in commands(read(page)) if each.startswith(LEFT)]
    assert len(left) >= 3
    assert set(left) <= set(commands(read("docs/guides/systemd.md")))


def endless(folder: Path, environment: dict[str, str], command: str) -> None:
    """It says something and goes on, and Ctrl-C ends it without a complaint."""
    with (
        subprocess.Popen(
            shlex.split(command), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
        selectors.DefaultSelector() as said,
    ):
        for stream in (process.stdout, process.stderr):
            assert stream
            said.register(stream, selectors.EVENT_READ)
        assert said.select(20), command
        sleep(0.5)
        assert process.poll() is None, command
        process.send_signal(SIGINT)
        _, complaint = process.communicate(timeout=10)
        assert "Traceback" not in complaint, command
        assert process.returncode in (0, 130), command


MADE = {each for page in PAGES for each in commands(page.read_text("utf-8")) if each.startswith("make ")}


@pytest.mark.parametrize("command", sorted(MADE))
def test_every_make_target_exists(command: str) -> None:
    run = subprocess.run(["bash", "-c", f"{command} --dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relay_command_in_a_sentence_is_one_with_such_options(page: Path) -> None:
    if page.name != "CHANGELOG.md":  # it tells of commands as they were
        for words in relay_commands(page.read_text("utf-8")):
            assert_parses(words)


def test_every_page_with_commands_is_run_somewhere() -> None:
    """Guides have a test of their own, which names them; so has the page about several machines."""
    with_commands = {name(page) for page in PAGES if commands(page.read_text("utf-8"))}
    guides = {name(page) for page in DOCS.glob("guides/*.md")} | {"docs/several-machines.md"}
    assert with_commands <= {*HERE, *guides}
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [page for page in sorted(guides & with_commands) if f'"{page}"' not in tests] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_command_hides_in_a_block_that_is_not_run(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^    \S.*$", text, re.MULTILINE) == [], "use a fenced block of a language"
    languages = set(re.findall(r"^```(\S+)$", page.read_text("utf-8"), re.MULTILINE))
    assert languages <= {"sh", "yaml", "json", "nginx", "caddyfile", "python", "php", "js", "ini", "haproxy"}


def test_the_packages_that_the_tests_need_are_those_of_ci() -> None:
    [shown] = [command for command in commands(read("docs/develop.md")) if command.startswith("apt install ")]
    installed = set(re.findall(r"missing\+=\(([\w-]+)\)", (ROOT / ".ci/run").read_text()))
    of_any_debian = {"make", "python3", "python3-venv", "e2fsprogs", "util-linux", "mount"}
    assert set(shown.split()[2:]) == installed - of_any_debian
