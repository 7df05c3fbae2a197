"""Commands find the relay that systemd runs on this machine, if nothing else says which they are about."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.cli import installed
from tests.cli.conftest import Run
from tests.docs.pages import ROOT


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed relay, its folders below a temporary one."""
    before = dict(os.environ)
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "routes.yaml").write_text("version: 1\n")
    monkeypatch.setattr(installed, "UNIT", etc / "relay.service")
    monkeypatch.setattr(installed, "CONFIG", etc / "routes.yaml")
    monkeypatch.setattr(installed, "VARIABLES", etc / "relay.env")
    monkeypatch.setattr(installed, "STORE", f"sqlite:///{tmp_path}/var/relay.db")
    yield tmp_path
    for name in os.environ.keys() - before.keys():
        del os.environ[name]


def test_an_installed_relay_is_found_from_any_folder(machine: Path) -> None:
    environment: dict[str, str] = {}
    assert installed.adopt(environment, here=machine)
    assert environment == {
        "RELAY_CONFIG": f"{machine}/etc/routes.yaml",
        "RELAY_STORE": f"sqlite:///{machine}/var/relay.db",
        "RELAY_SPOOL": "/var/lib/relay/relay-spool.db",
    }


def test_status_says_whose_state_it_shows(machine: Path, run: Run, kept: Path) -> None:
    (machine / "routes.yaml").unlink()
    (machine / "var").mkdir()
    kept.rename(machine / "var/relay.db")
    ended = run("status")
    assert ended.exit_code == 0
    assert f"the relay that systemd runs here: {machine}/etc/routes.yaml, {machine}/var/relay.db" in ended.stderr
    assert "systemd" not in run("status", "--json").stderr


def test_the_daemon_takes_nothing_that_it_was_not_given(machine: Path, run: Run) -> None:
    (machine / "routes.yaml").unlink()
    assert "routes.yaml: no such file" in run("run").stderr.lower()


def test_the_unit_and_its_drop_ins_say_where_things_are(machine: Path) -> None:
    (machine / "etc/relay.service").write_text(
        "[Service]\nEnvironment=RELAY_CONFIG=/srv/routes.yaml\n# Environment=X=1\n"
    )
    drop_ins = machine / "etc/relay.service.d"
    drop_ins.mkdir()
    (drop_ins / "20-last.conf").write_text("[Service]\nEnvironment=RELAY_ADMIN=127.0.0.1:9000 'PGOPTIONS=-c a=5%%'\n")
    (drop_ins / "10-first.conf").write_text(
        "[Service]\nEnvironment=RELAY_STORE=postgresql://relay:${file:/x}@db1/relay RELAY_ADMIN=127.0.0.1:1\n"
        "Environment='unclosed\n"
    )
    environment: dict[str, str] = {}
    assert installed.adopt(environment, here=machine)
    assert environment == {
        "RELAY_CONFIG": "/srv/routes.yaml",
        "RELAY_STORE": "postgresql://relay:${file:/x}@db1/relay",
        "RELAY_SPOOL": "/var/lib/relay/relay-spool.db",
        "RELAY_ADMIN": "127.0.0.1:9000",
        "PGOPTIONS": "-c a=5%",
    }


def test_its_variables_come_first_and_those_of_the_shell_before_them(machine: Path) -> None:
    (machine / "etc/relay.env").write_text(
        "# the store\n; of both\n\nRELAY_STORE='postgresql://relay:${file:/x}@db1/relay'\n"
        'RELAY_ADMIN_TOKEN = "0123456789abcdefghij"\nDWH_TOKEN=a=b \nnothing\n'
    )
    environment = {"DWH_TOKEN": "of the shell"}
    assert installed.adopt(environment, here=machine)
    assert environment["RELAY_STORE"] == "postgresql://relay:${file:/x}@db1/relay"
    assert environment["RELAY_ADMIN_TOKEN"] == "0123456789abcdefghij"
    assert environment["DWH_TOKEN"] == "of the shell"
    assert environment.keys() == {"DWH_TOKEN", "RELAY_CONFIG", "RELAY_STORE", "RELAY_SPOOL", "RELAY_ADMIN_TOKEN"}


@pytest.mark.parametrize("file", ["routes.yaml", "relay.db"])
def test_a_relay_in_the_working_directory_is_the_one_that_is_meant(machine: Path, file: str) -> None:
    (machine / file).touch()
    environment: dict[str, str] = {}
    assert not installed.adopt(environment, here=machine)
    assert environment == {}


@pytest.mark.parametrize("chosen", ["RELAY_CONFIG", "RELAY_STORE"])
def test_a_variable_says_which_relay_is_meant(machine: Path, chosen: str) -> None:
    environment = {chosen: "x"}
    assert not installed.adopt(environment, here=machine)
    assert environment == {chosen: "x"}


def test_a_variables_file_that_may_not_be_read_has_nothing(machine: Path) -> None:
    (machine / "etc/relay.env").mkdir()
    environment: dict[str, str] = {}
    assert installed.adopt(environment, here=machine)
    assert environment["RELAY_CONFIG"] == f"{machine}/etc/routes.yaml"


def test_the_paths_are_those_of_the_unit() -> None:
    text = (ROOT / "config/systemd/relay.service").read_text()
    assert f"Environment=RELAY_CONFIG={installed.CONFIG}\n" in text
    assert f"Environment=RELAY_STORE={installed.STORE}\n" in text
    assert f"EnvironmentFile=-{installed.VARIABLES}\n" in text
    drop_in = (ROOT / "config/systemd/relay.service.d/several-machines.conf").read_text()
    assert f"Environment=RELAY_SPOOL={installed.SPOOL}\n" in drop_in
