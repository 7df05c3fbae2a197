"""A start that fails leaves nothing behind that was not there, and speaks the log format that was asked for."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.store.sqlite.lock import Lock
from tests.scene import OTHER_TOKEN, ROUTES, TOKEN
from tests.store.conftest import NOON, open_sqlite, webhook

BAD_ROUTES = "version: 1\nsources: {}\ntargets: [\nroutes: 7\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    nowhere = "http://127.0.0.1:9/in"
    (tmp_path / "routes.yaml").write_text(ROUTES.format(token=TOKEN, other=OTHER_TOKEN, bot=nowhere, dwh=nowhere))
    return tmp_path


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def start(folder: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Exit code and standard error of a start that ends by itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    command = [sys.executable, "-m", "relay", "run", "--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0", *arguments]
    ended = subprocess.run(
        command, cwd=folder, env=environment | variables, capture_output=True, timeout=30, stdin=subprocess.DEVNULL
    )
    assert ended.stdout == b""
    return ended.returncode, ended.stderr.decode()


def test_a_port_that_is_taken_leaves_no_file_behind(folder: Path) -> None:
    with taken_port() as port:
        for flag in ("--listen", "--admin"):
            assert start(folder, flag, f"127.0.0.1:{port}")[0] == 1
    assert [each.name for each in folder.iterdir()] == ["routes.yaml"]


def test_routes_that_cannot_be_used_leave_no_file_behind(folder: Path) -> None:
    (folder / "routes.yaml").write_text(BAD_ROUTES)
    assert start(folder)[0] == 1
    assert [each.name for each in folder.iterdir()] == ["routes.yaml"]


@pytest.mark.parametrize("content", [b"hello, this is no database " * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_store_that_is_none_is_left_as_it_was(folder: Path, content: bytes) -> None:
    (folder / "relay.db").write_bytes(content)
    assert start(folder)[0] == 1
    assert {each.name for each in folder.iterdir()} == {"routes.yaml", "relay.db"}
    assert (folder / "relay.db").read_bytes() == content


def test_a_store_that_cannot_be_begun_leaves_no_file_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no more room")

    monkeypatch.setattr("relay.store.sqlite.migrate.migrate", fail)
    with pytest.raises(OSError, match="no more room"):
        asyncio.run(opened(folder))
    assert [each.name for each in folder.iterdir()] == ["routes.yaml"]


def test_what_a_start_before_had_made_stays(folder: Path) -> None:
    async def keep() -> None:
        store = open_sqlite(folder, NOON)
        await store.keep(webhook(1), [])
        await store.close()

    asyncio.run(keep())
    before = {each.name: each.read_bytes() for each in folder.iterdir() if each.suffix != ".lock"}
    with taken_port() as port:
        assert start(folder, "--listen", f"127.0.0.1:{port}")[0] == 1
    assert start(folder, "--init")[0] == 1
    assert {each.name: each.read_bytes() for each in folder.iterdir() if each.suffix != ".lock"} == before
    assert (folder / "relay.db.lock").exists()


async def opened(folder: Path) -> None:
    await open_sqlite(folder, NOON).close()


def test_a_lock_whose_file_went_away_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One start fails and takes its file away just when the next has opened it."""
    database, real = tmp_path / "relay.db", os.open
    first = Lock(database)

    def open_late(*given: object, **more: object) -> int:
        fd = real(*given, **more)  # type: ignore[arg-type]
        monkeypatch.setattr("os.open", real)
        first.undo()
        return fd

    monkeypatch.setattr("os.open", open_late)
    second = Lock(database)
    assert (tmp_path / "relay.db.lock").read_text() == f"{os.getpid()}\n"
    second.release()


# ---- what is said


def lines(said: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in said.splitlines()]


@pytest.mark.parametrize("asked", [{}, {"RELAY_LOG_FORMAT": "json"}])
def test_a_failed_start_speaks_json_if_that_was_asked_for(folder: Path, asked: dict[str, str]) -> None:
    flags = [] if asked else ["--log-format=json"]
    with taken_port() as port:
        code, said = start(folder, *flags, "--listen", f"127.0.0.1:{port}", **asked)
    [line] = lines(said)
    assert (code, line["level"], line["message"]) == (1, "error", "cannot start")
    assert line["detail"].startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert line["time"].endswith("Z")


def test_every_problem_of_the_routes_is_a_json_line(folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("version: 1", "version: 2").replace("url:", "ulr:"))
    code, said = start(folder, "--log-format", "json")
    assert (code, len(lines(said)) > 2) == (1, True)
    assert all(line["detail"].startswith("routes.yaml:") for line in lines(said))


@pytest.mark.parametrize(
    ("arguments", "code", "detail"),
    [
        (["--store", "sqlite:///."], 1, ". is a folder: name a file"),
        (["--store", "sqlite:nonsense"], 2, "a store is a path like relay.db"),
        (["--store", "mysql://db1/relay"], 2, "a PostgreSQL store is written postgresql://"),
        (["--store", "postgresql://relay:hunter2@db1/relay?nonsense=1"], 2, 'invalid URI query parameter: "nonsense"'),
        (["--store", "postgresql://relay:hunter2@db1/relay?sslmode=banana"], 2, 'invalid sslmode value: "banana"'),
        (["--max-body", "lots"], 2, "'lots' must be bytes"),
        (["--tls-cert", "x.pem"], 2, "--tls-cert and --tls-key go together"),
        (["--frobnicate"], 2, "No such option '--frobnicate'"),
    ],
)
def test_flags_that_do_not_fit_are_a_json_line_too(folder: Path, arguments: list[str], code: int, detail: str) -> None:
    ended, said = start(folder, "--log-format", "json", *arguments)
    [line] = lines(said)
    assert (ended, line["message"]) == (code, "cannot start")
    assert detail in line["detail"]


def test_without_a_wish_it_is_a_line_for_people(folder: Path) -> None:
    with taken_port() as port:
        for flags in ([], ["--log-format", "text"]):
            _, said = start(folder, *flags, "--listen", f"127.0.0.1:{port}")
            assert said.startswith(f"relay: cannot listen on 127.0.0.1:{port}: ")
            assert said.count("\n") == 1


def test_a_fault_of_ours_is_one_json_line_with_its_trace(folder: Path) -> None:
    code = (
        "import relay.daemon.wiring\n"
        "def fault(*_, **__): raise ZeroDivisionError('ours')\n"
        "relay.daemon.wiring.choose_variants = fault\n"
        "from relay.cli import main; main()\n"
    )
    command = [sys.executable, "-c", code, "run", "--log-format", "json"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30)
    [line] = lines(ended.stderr)
    assert (ended.returncode, line["message"]) == (1, "internal error: the relay stops")
    assert line["trace"].startswith("Traceback")
