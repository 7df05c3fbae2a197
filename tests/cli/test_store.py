"""The text of shared flags -> stores and instants."""

from pathlib import Path

import click
import pytest

from relay.cli.store import parse_store_url
from relay.store.open import StoreUrl
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///relay.db", "relay.db"),
        ("sqlite:///data/relay.db", "data/relay.db"),
        ("sqlite:////var/lib/relay.db", "/var/lib/relay.db"),
    ],
)
def test_a_store_is_a_path(text: str, path: str) -> None:
    assert parse_store_url(text) == StoreUrl(Path(path))


@pytest.mark.parametrize("text", ["relay.db", "sqlite://relay.db", "sqlite:///", "mysql:///x", ""])
def test_what_is_no_store_is_misuse_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"sqlite:///relay\.db"):
        parse_store_url(text)


def test_a_store_that_is_yet_to_come_is_one_clear_line(run: Run) -> None:
    ended = run("list", "--store", "postgresql://db/relay")
    assert ended.exit_code == 1
    assert ended.stderr == "relay: a PostgreSQL store is not available yet: use --store sqlite:///relay.db\n"


@pytest.mark.parametrize(
    ("folder", "file"), [(".", "relay.db"), ("..", "../relay.db"), ("/", "/relay.db"), ("new/", "new/relay.db")]
)
@pytest.mark.parametrize("command", [["run"], ["list"], ["backup", "copy.db"], ["verify"]])
def test_a_store_that_is_a_folder_is_one_clear_line(run: Run, command: list[str], folder: str, file: str) -> None:
    ended = run(*command, "--store", f"sqlite:///{folder}")
    assert ended.exit_code == 1
    assert ended.stderr == f"relay: {folder} is a folder: name a file, like sqlite:///{file}\n"


def test_misuse_is_said_of_the_flag_or_of_the_variable_that_it_came_from(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Invalid value for '--listen': '8080' is not" in run("run", "--listen", "8080").stderr
    monkeypatch.setenv("RELAY_LISTEN", "8081")
    monkeypatch.setenv("RELAY_STORE", "relay.db")
    assert "Invalid value for the variable RELAY_STORE: a store is written" in run("list").stderr
    monkeypatch.delenv("RELAY_STORE")
    assert "Invalid value for the variable RELAY_LISTEN: '8081' is not" in run("run").stderr
    assert "Invalid value for '--listen': '8080' is not" in run("run", "--listen", "8080").stderr
