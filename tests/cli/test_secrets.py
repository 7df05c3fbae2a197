"""No secret of the routes file is in any output of any command, whatever happens to the command."""

import socket
from pathlib import Path

import pytest

from relay.amocrm import form, samples
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
    (folder / "body.form").write_bytes(form.encode(samples.body("leads.status")))
    (folder / "routes.yaml").write_text(BROKEN[routes])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    where = ["--listen", f"127.0.0.1:{port}"] if arguments[0] == "send" else []
    said = run(*arguments, *where).output
    assert said
    assert [name for name, value in SECRETS.items() if value in said] == []
