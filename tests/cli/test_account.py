"""`relay account check|login` against the double: what it says, its exit codes, and no secret in any of it."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from relay.account import pace
from relay.cli import relay
from relay.store.sqlite.account_files import AccountFiles
from relay.store.sqlite.store import SqliteStore
from tests.cli.conftest import NOON
from tests.fakeamo import FakeAmo, VirtualClock
from tests.fakeamo.server import Server

ROUTES = """\
version: 1
accounts:
  main: {{host: "{host}", {credentials}}}
sources:
  crm: {{token: "${{CRM_TOKEN}}", account: main}}
targets:
  bot: {{url: "https://bot.example/in"}}
routes:
  - {{name: all, match: {{entity: {{exists: true}}}}, to: bot}}
"""
TOKEN = 'token: "${API_TOKEN}"'
OAUTH = "oauth: {{client_id: {}, client_secret: '${{API_TOKEN}}', redirect_uri: 'https://relay.example/oauth'}}"


class Shell:
    """Commands in a folder with a routes file, beside the double in a thread."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.amo = server.amo
        self.server = server
        self.folder = folder
        self.secrets = ["canary-token-0123456789"]
        self.file(TOKEN, self.amo.token)

    def file(self, credentials: str, secret: str) -> None:
        self.secrets.append(secret)
        (self.folder / "routes.yaml").write_text(ROUTES.format(host=self.server.host, credentials=credentials))

    def run(self, *arguments: str, given: str = "") -> Result:
        env = {"CRM_TOKEN": self.secrets[0], "API_TOKEN": self.secrets[-1]}
        ended = CliRunner().invoke(relay, ["account", *arguments], env=env, input=given)
        assert not [secret for secret in self.secrets if secret in ended.output]
        return ended


@contextmanager
def served(amo: FakeAmo) -> Iterator[Server]:
    loop, stop, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    found: list[Server] = []

    async def serve() -> None:
        async with Server(amo).serving() as server:
            found.append(server)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait()
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pace, "RATE", 100.0)
    amo = FakeAmo(5, clock=VirtualClock())
    amo.limiter.most = 1000
    with served(amo) as server:
        yield Shell(server, tmp_path)


def test_an_account_that_serves_everything_is_good(shell: Shell) -> None:
    ended = shell.run("check")
    assert ended.exit_code == 0, ended.output
    lines = [line.strip() for line in ended.stdout.splitlines()]
    assert lines[0] == f"main  {shell.server.host}"
    structure = shell.amo.structure
    assert lines[1].startswith(f"account       id {structure.id}, {structure.subdomain}, user ")
    rights = ("history", "webhooks", "pipelines", "users")
    assert lines[2:6] == [f"{each:14}may be read" for each in rights]
    assert lines[6] == "clock         its time is known to within 1.0 s"
    assert re.fullmatch(r"token +(it has ended.*|\d+ days left)", lines[7])


def test_what_is_refused_is_said_line_by_line_and_is_exit_code_1(shell: Shell) -> None:
    shell.amo.faults.plan("no rights", "/api/v4/webhooks")
    shell.amo.faults.plan("not my address", "/api/v4/users")
    ended = shell.run("check", "main", "--json")
    assert ended.exit_code == 1
    [report] = json.loads(ended.stdout)["accounts"]
    assert not report["good"]
    errors = {each["what"]: each["error"] for each in report["findings"] if each["error"]}
    errors.pop("token", None)
    assert sorted(errors) == ["users", "webhooks"]
    assert "no right to this" in errors["webhooks"]
    assert "not in the account's list" in errors["users"]


def test_a_token_that_is_none_ends_the_look(shell: Shell) -> None:
    shell.file(TOKEN, "canary-of-no-account")
    ended = shell.run("check")
    assert ended.exit_code == 1
    assert "the token is wrong, has expired or was revoked" in ended.stdout
    assert "history" not in ended.stdout


def test_a_block_is_lifted_once_it_has_ended(shell: Shell) -> None:
    shell.amo.limiter.blocked = True
    records = AccountFiles(shell.folder / "relay.db")
    for _ in range(2):
        ended = shell.run("check")
        assert ended.exit_code == 1
        assert "its support alone ends that" in ended.stdout
        assert asyncio.run(records.read("main")).blocked
    shell.amo.limiter.unblock()
    shell.run("check")
    assert asyncio.run(records.read("main")).blocked is None


def test_an_unknown_account_and_a_file_without_any_are_said(shell: Shell) -> None:
    ended = shell.run("check", "mian")
    assert (ended.exit_code, ended.stderr) == (1, "relay: no account 'mian' (known: main)\n")
    text = (shell.folder / "routes.yaml").read_text().replace(", account: main", "")
    (shell.folder / "routes.yaml").write_text(re.sub(r"accounts:\n.*\n", "", text))
    ended = shell.run("check")
    assert (ended.exit_code, ended.stdout) == (0, "the routes file has no accounts\n")


# ---- login


def integrated(shell: Shell) -> str:
    """The client id of an integration that the routes file has from now on."""
    found = shell.amo.tokens.add_integration("https://relay.example/oauth")
    shell.file(OAUTH.format(found.client_id), found.client_secret)
    return found.client_id


def test_an_administrator_follows_the_link_and_pastes_where_it_led(shell: Shell) -> None:
    client_id = integrated(shell)
    assert "no grant yet; grant access with: relay account login main" in shell.run("check").stdout
    code = shell.amo.tokens.authorize(client_id)
    shell.secrets.append(code)
    shell.secrets[-1], shell.secrets[-2] = shell.secrets[-2], shell.secrets[-1]
    pasted = f"https://relay.example/oauth?code={code}&referer=other.amocrm.ru"
    ended = CliRunner().invoke(
        relay, ["account", "login", "main"], env={"CRM_TOKEN": "x" * 20, "API_TOKEN": shell.secrets[-1]}, input=pasted
    )
    assert ended.exit_code == 0, ended.output
    link = re.search(r"http://\S+", ended.stdout)
    assert link
    assert parse_qs(urlsplit(link[0]).query)["client_id"] == [client_id]
    assert "main: access is granted" in ended.stdout
    assert shell.run("check").stdout.count("may be read") == 4


def test_a_login_is_audited_where_there_is_a_store(shell: Shell) -> None:
    client_id = integrated(shell)
    first = shell.run("login", "main", "--code", shell.amo.tokens.authorize(client_id))
    assert (first.exit_code, "not in the audit: " in first.stderr) == (0, True), first.output

    async def make_store() -> None:
        store = SqliteStore.open(shell.folder / "relay.db", now=NOON, emit=lambda _signal: None, failed=lambda: None)
        await store.close()

    asyncio.run(make_store())
    second = shell.run("login", "main", "--code", shell.amo.tokens.authorize(client_id))
    assert (second.exit_code, second.stderr) == (0, "")
    [entry] = json.loads(CliRunner().invoke(relay, ["audit", "--json"]).stdout)
    assert (entry["command"], entry["details"]) == ("account login", {"account": "main"})


def test_a_code_may_be_given_and_works_once(shell: Shell) -> None:
    code = shell.amo.tokens.authorize(integrated(shell))
    assert shell.run("login", "main", "--code", code).exit_code == 0
    ended = shell.run("login", "main", "--code", code)
    assert ended.exit_code == 1
    assert "Token has been revoked" in ended.stderr


@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        ("https://relay.example/oauth?error=access_denied", "access was not granted: access_denied"),
        ("https://relay.example/oauth?code=c&state=other", "the address is of another login"),
        ("https://relay.example/oauth", "the address has no code"),
    ],
)
def test_an_address_that_grants_nothing_is_refused_before_anything_is_asked(
    shell: Shell, pasted: str, said: str
) -> None:
    integrated(shell)
    ended = shell.run("login", "main", given=pasted)
    assert ended.exit_code == 1
    assert said in ended.stderr
    assert shell.amo.requests == []


def test_an_account_with_a_token_has_nothing_to_log_in_for(shell: Shell) -> None:
    ended = shell.run("login", "main", "--code", "c")
    assert (ended.exit_code, ended.stderr) == (
        1,
        "relay: accounts.main has a long-lived token: there is nothing to log in for\n",
    )
