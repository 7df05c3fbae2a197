"""The guides for machines: their commands are run in order, in a folder that stands for the machine."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.docs.pages import commands, read, section
from tests.docs.sandbox import Sandbox
from tests.example import SECRETS

pytestmark = pytest.mark.timeout(240)  # many commands, each a process

SYSTEMD = read("docs/guides/systemd.md")
MOVE = read("docs/guides/move.md")
UPGRADE = read("docs/guides/upgrade.md")
ROUTES = """\
version: 1
sources: {crm: {token: "${file:/etc/relay/secrets/crm_token}"}}
targets: {bot: {url: "http://127.0.0.1:9/"}}
routes: [{name: all, match: {}, to: bot}]
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Sandbox]:
    """A new one."""
    sandbox = Sandbox(tmp_path / "machine")
    yield sandbox
    sandbox.stop()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Sandbox]:
    """Another one."""
    sandbox = Sandbox(tmp_path / "other")
    yield sandbox
    sandbox.stop()


@pytest.fixture
def installed(machine: Sandbox) -> Sandbox:
    """One on which a relay runs, with a backlog."""
    machine.install()
    etc = machine.root / "etc/relay"
    (etc / "secrets").mkdir(parents=True, mode=0o750)
    (etc / "secrets/crm_token").write_text(SECRETS["crm_token"])
    (etc / "routes.yaml").write_text(machine.here(ROUTES))
    machine.run(["systemctl start relay.service"])
    for lead in range(5):
        assert post(machine, lead) == 200
    return machine


def post(machine: Sandbox, lead: int) -> int:
    """The status that a webhook is answered."""
    connection = HTTPConnection(machine.environment["RELAY_LISTEN"], timeout=10)
    connection.request("POST", f"/hooks/crm/{SECRETS['crm_token']}", f"leads[add][0][id]={lead}".encode())
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def pending(machine: Sandbox, store: str = "/var/lib/relay/relay.db") -> set[str]:
    """The leads that are, as `relay list` shows them."""
    listed = machine.run([f"/opt/relay/bin/relay list --state pending --store sqlite:///{store}"])
    return set(re.findall(r"leads\.add (\d+)", listed))


LEADS = {"0", "1", "2", "3", "4"}


# ---- systemd


def test_the_systemd_guide_makes_a_relay_that_takes_webhooks(machine: Sandbox) -> None:
    printed = machine.run(commands(SYSTEMD))
    assert " ready " in printed, "journalctl shows the start"
    assert "\n200 after" in printed, "relay send"
    assert re.search(r"daemon +running", printed), "relay status"
    assert not machine.running, "the last command stops it"
    secrets = machine.root / "etc/relay/secrets"
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o640}
    assert secrets.stat().st_mode & 0o777 == 0o750


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_understands_the_units_with_the_drop_in_of_the_guide(machine: Sandbox, tmp_path: Path) -> None:
    machine.run(
        [each for each in commands(SYSTEMD) if each.startswith(("install", "printf", "python3", "/opt/relay/bin/pip"))]
    )
    units = machine.root / "etc/systemd/system"
    verified = subprocess.run(
        ["systemd-analyze", "verify", "relay.service", "relay.socket"],
        env={**machine.environment, "SYSTEMD_UNIT_PATH": f"{units}:"},
        cwd=units,
        capture_output=True,
        text=True,
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    shown = (units / "relay.service.d/secrets.conf").read_text()
    [in_the_unit] = re.findall(r"^# (SupplementaryGroups=.+)$", (units / "relay.service").read_text(), re.MULTILINE)
    assert shown == f"[Service]\n{in_the_unit}\n"


# ---- move


def test_a_relay_moves_with_its_backlog_and_misses_nothing(installed: Sandbox, other: Sandbox) -> None:
    other.install()
    copy, unpack = [
        [each for each in commands(section(MOVE, "## Copy")) if each.startswith(part)] for part in ("", "tar --extract")
    ]
    stop, pack, *there = copy
    assert there[0] == unpack[0] and len(there) == 2
    installed.run([stop, pack])
    assert not installed.running
    shutil.move(installed.checkout / "relay-move.tar", other.checkout)
    other.run([there[0]])
    etc = other.root / "etc/relay/routes.yaml"  # it names the folder that stands for the old machine
    etc.write_text(etc.read_text().replace(str(installed.root), str(other.root)))
    other.run([there[1]])
    *verify, disable, remove = commands(section(MOVE, "## Verify"))
    printed = other.run(verify)
    assert "sound" in printed and "missing" not in printed
    assert "\n200 after" in printed
    assert pending(other) >= LEADS
    installed.run([disable])
    other.run([remove])
    assert sorted(each for part in ("## Copy", "## Verify") for each in commands(section(MOVE, part))) == sorted(
        commands(MOVE)
    )


# ---- upgrade


def test_an_upgrade_keeps_the_backlog_and_a_roll_back_reports_what_came_after_the_copy(installed: Sandbox) -> None:
    up, back = (commands(section(UPGRADE, heading)) for heading in ("## Upgrade", "## Roll back"))
    assert [*up, *back] == commands(UPGRADE)
    printed = installed.run(up)
    assert "verified: 5 webhooks" in printed
    assert pending(installed) == LEADS
    assert post(installed, 6) == 200
    exported = [each for each in up if each.startswith("export ")]
    printed = installed.run([*exported, *back])
    assert "1 webhook" in printed, "what came after the copy is missing, and is reported"
    assert pending(installed) == LEADS
    assert pending(installed, "/var/backups/relay-after-upgrade.db") == {*LEADS, "6"}
    assert "sound" in installed.run([*exported, "relay verify"]), "the loss is accepted"
    assert post(installed, 7) == 200


# ---- Docker


def test_the_commands_of_the_docker_guide_are_dockers(machine: Sandbox) -> None:
    machine.run(commands(read("docs/guides/docker.md")))


def test_the_container_is_run_as_the_dockerfile_says(machine: Sandbox) -> None:
    text = read("docs/guides/docker.md")
    [run] = [each for each in commands(text) if "--detach --name relay" in each]
    dockerfile = read("Dockerfile")
    for mounted in re.findall(r"--volume \S+:(/\S+?)(?::ro)? ", run):
        assert mounted == "/data" or f"RELAY_CONFIG={mounted}/" in dockerfile
    [port] = re.findall(r"--publish 127\.0\.0\.1:\d+:(\d+)", run)
    assert f"RELAY_LISTEN=0.0.0.0:{port}" in dockerfile
    [seconds] = re.findall(r"--stop-timeout (\d+)", run)
    assert int(seconds) > 8
