"""docs/guides/secrets.md: each recipe is followed under a running daemon, and loses no webhook."""

import re
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.docs.conftest import done
from tests.docs.pages import blocks, commands, read, section
from tests.example import ETC

pytestmark = pytest.mark.timeout(240)  # many commands, each a process

PAGE = read("docs/guides/secrets.md")
ROTATION = section(PAGE, "## Change a token")
CREDENTIALS = section(PAGE, "## Change a target's credentials")
STORE = section(PAGE, "## Store them")


def test_every_command_is_in_one_of_the_recipes() -> None:
    assert commands(PAGE) == [*commands(STORE), *commands(ROTATION), *commands(CREDENTIALS)]


def test_secrets_are_stored_for_one_user_alone(folder: Path, environment: dict[str, str]) -> None:
    (folder / "routes.yaml").write_text(
        (folder / "config/routes.example.yaml").read_text().replace(ETC, str(folder))
    )  # fmt: skip
    (folder / "secrets").mkdir(mode=0o700)
    (folder / "secrets/dwh_token").write_text("any")
    for command in commands(STORE):
        done(folder, environment, command)
    assert {path.stat().st_mode & 0o077 for path in (folder / "secrets").iterdir()} == {0}


def test_a_token_is_changed_by_the_recipe_under_a_running_daemon(
    folder: Path, environment: dict[str, str], daemon: None
) -> None:
    routes = folder / "routes.yaml"
    as_it_was = routes.read_text()
    make, status, try_new, take_over, try_only, remove = commands(ROTATION)
    [both] = re.findall(r"    (token: .*)\n", blocks(ROTATION, "yaml")[0])
    old = (folder / "secrets/crm_token").read_text().strip()

    done(folder, environment, make)
    routes.write_text(re.sub(r"token: .*crm_token}", both.replace(ETC, str(folder)), as_it_was, count=1))
    until(lambda: "crm_token.new" in done(folder, environment, status))
    assert "\n200 after" in done(folder, environment, try_new)
    new = (folder / "secrets/crm_token.new").read_text().strip()
    assert (posted(environment, old), posted(environment, new)) == (200, 200)

    done(folder, environment, take_over)
    routes.write_text(as_it_was)
    until(lambda: "crm_token.new" not in done(folder, environment, status))
    until(lambda: posted(environment, old) == 404)
    assert "\n200 after" in done(folder, environment, try_only)
    done(folder, environment, remove)
    assert posted(environment, new) == 200
    assert "not loaded" not in done(folder, environment, status)


def test_a_targets_credentials_are_loaded_by_a_running_daemon(
    folder: Path, environment: dict[str, str], daemon: None
) -> None:
    overwrite, status = commands(CREDENTIALS)
    before = loaded(done(folder, environment, status))
    done(folder, environment, overwrite)
    until(lambda: loaded(done(folder, environment, status)) not in ("", before))


def loaded(status: str) -> str:
    """The line of the secret's file; its first time is the file's."""
    return "".join(re.findall(r"^.*secrets/dwh_token.*$", status, re.MULTILINE))


def posted(environment: dict[str, str], token: str) -> int:
    """The status that a webhook with this token is answered."""
    connection = HTTPConnection(environment["RELAY_LISTEN"], timeout=10)
    connection.request("POST", f"/hooks/crm/{token}", b"leads[add][0][id]=7")
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def until(holds: Callable[[], bool]) -> None:
    """What the daemon does by itself it does within some seconds."""
    deadline = monotonic() + 20
    while not holds():
        assert monotonic() < deadline
        sleep(0.1)
