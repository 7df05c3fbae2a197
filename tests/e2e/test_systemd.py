"""The relay as systemd runs it: what it tells, what the units ask of it, and whether they hold."""

import asyncio
import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM

import aiohttp
import pytest

from relay.cli.run import run as run_command
from relay.daemon.process import STOP_LIMIT
from tests.e2e.processes import RELAY, RelayProcess, free_port, running, until, variables

UNITS = Path(__file__).parents[2] / "config" / "systemd"
ROUTES = """\
version: 1
sources: {crm: {token: "${TOKEN}"}}
targets: {bot: {url: "http://127.0.0.1:9/"}}
routes: [{name: all, match: {}, to: bot}]
"""


# ---- a process


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """Where systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        yield systemd


async def test_systemd_is_notified_of_ready_and_of_stopping(systemd: socket.socket, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    relay = RelayProcess(tmp_path, ROUTES, NOTIFY_SOCKET=str(tmp_path / "notify"))
    try:
        await relay.spawn()
        async with asyncio.timeout(20):
            assert await loop.sock_recv(systemd, 100) == b"READY=1"
            assert await _answers(relay.hook)
            relay.signal(SIGTERM)
            assert await loop.sock_recv(systemd, 100) == b"STOPPING=1"
        assert await relay.ended() == 0
    finally:
        await relay.kill()


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd is not here")
async def test_a_socket_of_systemd_itself_is_listened_on(tmp_path: Path) -> None:
    port = free_port()
    activate = ("systemd-socket-activate", f"--listen=127.0.0.1:{port}", "--fdname=public")
    environment = tuple(f"--setenv={name}" for name in variables())
    relay = RelayProcess(tmp_path, ROUTES, command=(*activate, *environment, *RELAY))
    relay.port = port
    try:
        await relay.spawn()
        await until(lambda: _answers(relay.hook))  # the first to connect has it started
    finally:
        await relay.kill()


async def _answers(hook: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(hook) as answer:
            return answer.status == 405
    except aiohttp.ClientError:
        return False


async def test_a_socket_that_is_passed_takes_the_place_of_the_flag(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        async with running(tmp_path, ROUTES, passed=ours) as relay:
            [ready] = await relay.said("ready")
            assert f"127.0.0.1:{ours.getsockname()[1]}/hooks/crm/" in ready["hooks"]


# ---- the units


def unit(name: str) -> dict[str, list[str]]:
    """Key -> its values, in order; a key that systemd forgets without a word is not in it."""
    lines = (UNITS / name).read_text().splitlines()
    pairs = [line.split("=", 1) for line in lines if re.match(r"[A-Z]\w*=", line)]
    return {key: [value for other, value in pairs if other == key] for key, _ in pairs}


SERVICE, SOCKET = unit("relay.service"), unit("relay.socket")
FLAGS = {name: parameter for parameter in run_command.params for name in parameter.opts}


def test_the_service_runs_a_command_that_there_is() -> None:
    _, command, *flags = shlex.split(SERVICE["ExecStart"][0])
    assert command == run_command.name
    assert {flag.partition("=")[0] for flag in flags} <= set(FLAGS)


def test_every_variable_of_the_service_is_one_that_relay_run_reads() -> None:
    given = {each.partition("=")[0] for each in SERVICE["Environment"]}
    assert given == {"RELAY_CONFIG", "RELAY_STORE"} <= {parameter.envvar for parameter in FLAGS.values()}


def test_the_store_is_where_the_service_may_write() -> None:
    store = dict(each.split("=", 1) for each in SERVICE["Environment"])["RELAY_STORE"]
    assert store.startswith(f"sqlite:////var/lib/{SERVICE['StateDirectory'][0]}/")


def test_the_service_is_given_the_time_to_end_and_is_started_whatever_happened() -> None:
    assert float(SERVICE["TimeoutStopSec"][0]) > STOP_LIMIT
    assert (SERVICE["Restart"], SERVICE["StartLimitIntervalSec"], SERVICE["Type"]) == (["always"], ["0"], ["notify"])


def test_the_socket_is_where_the_flag_would_listen() -> None:
    assert SOCKET["ListenStream"] == [FLAGS["--listen"].default]
    assert SOCKET["FileDescriptorName"] == ["public"]
    assert "relay.socket" in SERVICE["Requires"]


@pytest.mark.parametrize(
    "right",
    [
        "DynamicUser=yes",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "MemoryDenyWriteExecute=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
        "UMask=0077",
    ],
)
def test_the_service_may_do_little(right: str) -> None:
    key, _, value = right.partition("=")
    assert value in SERVICE[key]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
@pytest.mark.parametrize("pattern", ["*.*", "**/*.*"], ids=["one machine", "several machines"])
def test_systemd_understands_the_units_and_finds_them_safe(tmp_path: Path, pattern: str) -> None:
    for file in UNITS.glob(pattern):
        if file.is_file():
            text = file.read_text().replace("/opt/relay/bin/relay", shutil.which("true") or "")
            copy = tmp_path / file.relative_to(UNITS)
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(text)
    names = sorted(f"./{file.name}" for file in tmp_path.iterdir() if file.is_file())
    verified = subprocess.run(["systemd-analyze", "verify", *names], cwd=tmp_path, capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")
    judge = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "./relay.service"]
    judged = subprocess.run(judge, cwd=tmp_path, capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout[-200:] + judged.stderr
