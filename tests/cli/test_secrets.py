"""No secret of the routes file is in any output of any command, whatever happens to the command."""

import socket
from pathlib import Path

import pytest

from relay.amocrm import form, sample_bodies
from tests.cli.conftest import CONTACT, CYRILLIC, OFFER, ROUTES, SECRETS, Run

COMMANDS = [
    ["check"],
    ["check", "--json"],
    ["explain", "body.form"],
    ["explain", "body.form", "--json"],
    ["explain", OFFER, "--json"],
    ["explain", CONTACT],
    ["send", "--event", "leads.status", "--dry-run"],
    ["send", "--event", "leads.status"],
    ["status"],
    ["status", "--json"],
    ["list"],
    ["list", "--json"],
    ["list", "--unparsed"],
    ["show", OFFER],
    ["show", OFFER, "--json"],
    ["replay", "--all-dead"],
    ["reparse"],
    ["reparse", CYRILLIC, "--charset", "cp1251"],
    ["schema", "routes"],
]
BROKEN = {
    "whole": ROUTES,
    "misspelt": ROUTES.replace("token:", "tokn:").replace("headers:", "header:").replace("url:", "ulr:"),
    "misplaced": ROUTES.replace("to: sales-bot", "to: ${CRM_TOKEN}").replace("version: 1", "version: ${DWH_TOKEN}"),
    "unfit": ROUTES.replace("secret: ${DWH_SECRET}", "secret: ${DWH_TOKEN}").replace("https://dwh", "ftp://dwh"),
}


@pytest.mark.parametrize("routes", BROKEN)
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_secret_is_in_any_output(run: Run, kept: Path, folder: Path, arguments: list[str], routes: str) -> None:
    (folder / "body.form").write_bytes(form.encode(sample_bodies.body("leads.status")))
    (folder / "routes.yaml").write_text(BROKEN[routes])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    where = ["--listen", f"127.0.0.1:{port}"] if arguments[0] == "send" else []
    said = run(*arguments, *where).output
    assert said
    assert [name for name, value in SECRETS.items() if value in said] == []


@pytest.mark.parametrize(
    "arguments", [["status"], ["list"], ["show", OFFER], ["explain", OFFER], ["reparse", "--dry-run"]], ids=" ".join
)
def test_looking_needs_no_secrets(run: Run, kept: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    before = run(*arguments)
    for name in SECRETS:
        monkeypatch.delenv(name)
    after = run(*arguments)
    assert (after.exit_code, after.stderr) == (before.exit_code, before.stderr)
    assert [line for line in after.stdout.splitlines() if "webhook-timestamp" not in line] == [
        line for line in before.stdout.splitlines() if "webhook-timestamp" not in line
    ]


@pytest.mark.parametrize("arguments", [["check"], ["run"], ["send", "--event", "leads.chat"]], ids=" ".join)
def test_whatever_uses_secrets_demands_them(run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.delenv("CRM_TOKEN")
    ended = run(*arguments)
    assert ended.exit_code == 1
    assert "sources.crm.token: the variable CRM_TOKEN is not set or empty" in ended.output
