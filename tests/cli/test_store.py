"""The text of shared flags -> stores and instants."""

import sys
from pathlib import Path

import click
import pytest

from relay.cli.store import default_spool, parse_store_url
from relay.store.open import SqliteUrl
from tests.cli.conftest import Run

NOBODY = "postgresql://relay:s3cret@127.0.0.1:1/relay"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///relay.db", "relay.db"),
        ("sqlite:///data/relay.db", "data/relay.db"),
        ("sqlite:////var/lib/relay.db", "/var/lib/relay.db"),
        ("relay.db", "relay.db"),
        ("./a:b.db", "a:b.db"),
        ("/var/lib/relay/relay.db", "/var/lib/relay/relay.db"),
    ],
)
def test_a_store_is_a_path(text: str, path: str) -> None:
    assert parse_store_url(text) == SqliteUrl(Path(path))


@pytest.mark.parametrize(
    "text", ["sqlite:relay.db", "sqlite://relay.db", "sqlite:///", "mysql:///x", "relay:s3cret@db1", ""]
)
def test_what_is_no_store_is_misuse_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"sqlite:///relay\.db"):
        parse_store_url(text)


@pytest.mark.parametrize("command", [["list"], ["status"], ["verify"]])
def test_a_server_that_is_away_is_one_clear_line_without_the_password(run: Run, command: list[str]) -> None:
    ended = run(*command, "--store", NOBODY)
    assert ended.exit_code == 1
    [line] = ended.stderr.splitlines()[-1:]
    assert line.startswith("relay: PostgreSQL is away: ")
    assert "s3cret" not in ended.stderr


def test_without_the_extra_it_is_said_how_to_install_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("psycopg", "relay.store.postgres"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for command in ("list", "verify", "run"):
        ended = run(command, "--store", NOBODY)
        assert ended.exit_code == 1
        assert "a PostgreSQL store needs another package: pip install 'amocrm-relay[postgresql]'" in ended.stderr


@pytest.mark.parametrize(
    ("folder", "file"), [(".", "relay.db"), ("..", "../relay.db"), ("/", "/relay.db"), ("new/", "new/relay.db")]
)
@pytest.mark.parametrize("command", [["run"], ["list"], ["backup", "copy.db"], ["verify"]])
def test_a_store_that_is_a_folder_is_one_clear_line(run: Run, command: list[str], folder: str, file: str) -> None:
    ended = run(*command, "--store", f"sqlite:///{folder}")
    assert ended.exit_code == 1
    assert ended.stderr == f"relay: {folder} is a folder: name a file, like {file}\n"


def test_misuse_is_said_of_the_flag_or_of_the_variable_that_it_came_from(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Invalid value for '--listen': '8080' is not" in run("run", "--listen", "8080").stderr
    monkeypatch.setenv("RELAY_LISTEN", "8081")
    monkeypatch.setenv("RELAY_STORE", "sqlite:relay.db")
    assert "Invalid value for the variable RELAY_STORE: a store is a path" in run("list").stderr
    monkeypatch.delenv("RELAY_STORE")
    assert "Invalid value for the variable RELAY_LISTEN: '8081' is not" in run("run").stderr
    assert "Invalid value for '--listen': '8080' is not" in run("run", "--listen", "8080").stderr


@pytest.mark.parametrize("command", [["run"], ["list"], ["verify"]])
def test_a_password_by_reference_is_read_before_anything_is_opened(
    run: Run, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = run(*command, "--store", "postgresql://relay:${file:%s}@db/relay" % (tmp_path / "absent"))
    assert ended.stderr == f"relay: the file {tmp_path / 'absent'} does not exist or is no file\n"


def test_a_url_with_a_password_is_not_printed_when_it_is_refused(run: Run) -> None:
    for text in ("postgresql://relay:s3cret/@db/relay", "postgresql://relay:s3cret\udcff@db/relay"):
        ended = run("list", "--store", text)
        assert ended.exit_code == 2
        assert "s3cret" not in ended.stderr


def test_a_postgresql_store_is_no_file_to_copy(run: Run) -> None:
    ended = run("backup", "copy.db", "--store", "postgresql://relay:s3cret@db/relay")
    assert ended.exit_code == 2
    assert (
        "postgresql://relay@db/relay is no file: back it up by PostgreSQL's own means, as pg_basebackup or"
        " pg_dump --serializable-deferrable\n"
    ) in ended.stderr


def test_a_spool_is_for_postgresql(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run("run", "--spool", "spool.db")
    assert ended.exit_code == 2
    assert "--spool goes with --store postgresql://" in ended.stderr
    monkeypatch.setenv("RELAY_SPOOL", "spool.db")
    assert "--spool goes with" in run("run").stderr
    assert "--spool goes with" not in run("run", "--config", "absent.yaml", "--store", NOBODY).stderr


def test_the_spool_is_where_systemd_keeps_state_or_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert default_spool() == Path("relay-spool.db")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/relay:/var/lib/other")
    assert default_spool() == Path("/var/lib/relay/relay-spool.db")
