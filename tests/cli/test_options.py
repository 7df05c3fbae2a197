"""The text of shared flags -> stores and instants."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from relay.cli.options import instant, store_url
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
    assert store_url(text) == Path(path)


@pytest.mark.parametrize("text", ["relay.db", "sqlite://relay.db", "sqlite:///", "mysql:///x", ""])
def test_what_is_no_store_is_misuse_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"sqlite:///relay\.db"):
        store_url(text)


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


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-22T10:53:00Z", datetime(2026, 11, 22, 10, 53, tzinfo=UTC)),
        ("2026-11-22T13:53:00+03:00", datetime(2026, 11, 22, 10, 53, tzinfo=UTC)),
        ("2026-11-22T10:53:00", datetime(2026, 11, 22, 10, 53, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(text: str, at: datetime) -> None:
    assert instant(text) == at


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("45s", timedelta(seconds=45)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
    ],
)
def test_an_age_is_counted_back_from_now(text: str, age: timedelta) -> None:
    before = datetime.now(UTC) - age
    assert before <= instant(text) <= datetime.now(UTC) - age


@pytest.mark.parametrize("text", ["", "yesterday", "h", "-h", "9999999999d", "2026-13-01", "nan", "infd"])
def test_what_is_no_time_is_misuse(text: str) -> None:
    with pytest.raises(click.BadParameter, match="neither a time like"):
        instant(text)


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
