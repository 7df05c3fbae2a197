"""Sockets as systemd passes them, to a process of its own; and what systemd is told."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from relay.http.systemd import notify
from tests.e2e.processes import passing

ASK = """\
import os
from relay.errors import ConfigurationError
from relay.http.systemd import passed
try:
    sockets = passed(os.environ, pid=os.getpid())
except ConfigurationError as refused:
    print(refused)
else:
    print(*(each.getsockname()[1] if each else None for each in (sockets.public, sockets.admin)))
"""


def said(*sockets: socket.socket, **more: str) -> str:
    """What a process that is started with these and that environment makes of them: two ports, or a complaint."""
    return subprocess.run(
        [*passing(*sockets), sys.executable, "-c", ASK],
        pass_fds=[each.fileno() for each in sockets],
        env=os.environ | more,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.fixture
def two() -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]


NAMES = {
    "": "01",
    "public:admin": "01",
    "admin:public": "10",
    "relay.socket:relay.socket": "01",
    "admin": "10",
    "unknown:public": "10",
}
"""LISTEN_FDNAMES -> which of two sockets is public, which admin."""


@pytest.mark.parametrize("names", NAMES)
def test_two_sockets_are_known_by_name_and_otherwise_by_their_order(names: str, two: list[socket.socket]) -> None:
    public, admin = (two[int(position)].getsockname()[1] for position in NAMES[names])
    assert said(*two, LISTEN_FDNAMES=names) == f"{public} {admin}"


def test_one_socket_is_public_unless_it_is_named_admin(two: list[socket.socket]) -> None:
    one, port = two[0], two[0].getsockname()[1]
    assert said(one) == f"{port} None"
    assert said(one, LISTEN_FDNAMES="relay.socket") == f"{port} None"
    assert said(one, LISTEN_FDNAMES="admin") == f"None {port}"


def test_more_than_one_of_a_kind_is_refused(two: list[socket.socket]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as third:
        assert said(*two, third).startswith("3 sockets are passed")
    assert said(*two, LISTEN_FDNAMES="public:public").startswith("2 sockets are passed")


def test_sockets_for_another_process_are_not_ours() -> None:
    ask = [sys.executable, "-c", ASK]
    for variables in ({}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "1"}):
        told = subprocess.run(ask, env=os.environ | variables, capture_output=True, text=True, check=True)
        assert told.stdout == "None None\n"


def test_what_is_no_listening_tcp_socket_is_refused(tmp_path: Path) -> None:
    with ExitStack() as stack:
        udp = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        idle = stack.enter_context(socket.socket())
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.bind(str(tmp_path / "relay.sock"))
        local.listen()
        for wrong in (udp, idle, local):
            assert said(wrong).startswith("descriptor 3 (public) is not a listening TCP socket: the socket unit needs ")


def test_numbers_that_are_none_are_refused() -> None:
    told = subprocess.run(
        [sys.executable, "-c", ASK], env=os.environ | {"LISTEN_PID": "x"}, capture_output=True, text=True, check=True
    )
    assert told.stdout == "LISTEN_PID and LISTEN_FDS must be numbers: let systemd set them\n"


@pytest.mark.parametrize("abstract", [False, True], ids=["a path", "an abstract name"])
def test_systemd_is_notified_where_it_listens(abstract: bool, tmp_path: Path) -> None:
    name = f"{tmp_path}/notify"[-100:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}" if abstract else name)
        notify("READY=1", {"NOTIFY_SOCKET": f"@{name}" if abstract else name})
        assert systemd.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    ("environment", "asked"),
    [({}, 0), ({"NOTIFY_SOCKET": ""}, 0), ({"NOTIFY_SOCKET": "nobody-listens"}, 1), ({"NOTIFY_SOCKET": "@nobody"}, 1)],
)
def test_without_systemd_nothing_is_sent_and_no_socket_stays_open(
    environment: dict[str, str], asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[socket.socket] = []

    class Noted(socket.socket):
        def __init__(self, *kind: int) -> None:
            super().__init__(*kind)
            opened.append(self)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket, "socket", Noted)
    notify("READY=1", environment)
    assert [each.fileno() for each in opened] == [-1] * asked
