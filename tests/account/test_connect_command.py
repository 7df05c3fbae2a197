"""`relay connect` and `relay disconnect` as commands, against the double of amoCRM on a port."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.store.sqlite.store import SqliteStore
from relay.store.times import utc_now
from tests.fakeamo.amo import FakeAmo
from tests.fakeamo.clock import RunningClock
from tests.fakeamo.server import Server

TOKEN = "canary-token-0123456789"
URL = f"https://hooks.example.com/hooks/crm/{TOKEN}"
ROUTES = """\
version: 1
accounts: {{main: {{host: "{host}", token: {api_token}}}}}
sources: {{crm: {{token: {token}, account: main, guard: {{url: https://hooks.example.com}}}}}}
targets: {{bot: {{url: "https://bot.example/in"}}}}
routes: [{{name: moved, match: {{entity: leads, action: [add, status, mail_in]}}, to: bot}}]
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Beside a folder with a routes file and a store."""
    async with Server(FakeAmo(7, clock=RunningClock())).serving() as made:
        text = ROUTES.format(host=made.host, api_token=made.amo.token, token=TOKEN)
        (tmp_path / "routes.yaml").write_text(text)
        store = SqliteStore.open(tmp_path / "relay.db", now=utc_now(), emit=lambda _: None, failed=lambda: None)
        await store.close()
        yield made


async def run(folder: Path, *arguments: str) -> tuple[int | None, str]:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    command = (sys.executable, "-m", "relay", *arguments)
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE, stderr=STDOUT, env=environment)
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_connect_and_disconnect_tell_what_they_did_and_no_secret(server: Server, tmp_path: Path) -> None:
    code, said = await run(tmp_path, "connect", "crm")
    assert code == 0, said
    made = server.amo.webhooks.known(URL)
    assert made and set(made.settings) == {"add_lead", "status_lead", "update_lead"}
    for each in ("https://hooks.example.com/hooks/crm/***", "add_lead, status_lead, update_lead", "leads.mail_in",
                 "heal: report"):  # fmt: skip
        assert each in said
    code, gone = await run(tmp_path, "disconnect", "crm")
    assert (code, gone) == (0, "crm: 1 webhook deleted in amoCRM\n")
    assert server.amo.webhooks.known(URL) is None
    code, status = await run(tmp_path, "status")
    assert "disconnected, and not watched: relay connect crm" in status
    for secret in (TOKEN, server.amo.token):
        assert secret not in said + gone + status


async def test_a_source_whose_account_refuses_to_be_asked_is_not_disconnected(server: Server, tmp_path: Path) -> None:
    server.amo.faults.plan("unauthorized", times=9)
    code, said = await run(tmp_path, "disconnect", "crm")
    assert (code, len(said.splitlines())) == (1, 1), said
    _, status = await run(tmp_path, "status")
    assert "disconnected" not in status


async def test_a_refusal_is_one_line(server: Server, tmp_path: Path) -> None:
    server.amo.faults.plan("unauthorized", times=9)
    code, said = await run(tmp_path, "connect", "crm")
    assert code == 1
    [line] = said.splitlines()
    assert line.startswith("relay: GET /api/v4/account: answered 401")
