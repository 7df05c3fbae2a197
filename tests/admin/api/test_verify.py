"""POST /verify and `relay verify --relay`: a process beside the relay looks at its store."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from relay.admin.api import acts, asking
from relay.admin.api.asking import Asking
from relay.admin.api.routes import Api
from relay.daemon.verifying import verify_beside
from relay.routes.config import Config
from relay.store.contract import Archive
from relay.store.open import SqliteUrl
from tests.admin.api.conftest import OPERATOR, VIEWER, Client, get, send
from tests.cli.conftest import Run
from tests.cli.conftest import run as run


@pytest.fixture
async def verifying(
    application: web.Application, store: Archive, config: Config, folder: Path, aiohttp_client: Callable[..., Any]
) -> Client:
    app = web.Application(middlewares=application.middlewares)
    api = Api(Asking(store, lambda: config, verify=partial(verify_beside, SqliteUrl(folder / "relay.db"))))
    app.add_routes(api.routes(None))
    app.on_cleanup.append(api.close)
    return await aiohttp_client(app)


async def test_the_command_finds_the_same_here_and_from_afar(
    verifying: Client, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_TOKEN", OPERATOR["Authorization"].removeprefix("Bearer "))
    url = str(verifying.make_url("")).rstrip("/")
    here = await asyncio.to_thread(run, "verify", "--json")
    there = await asyncio.to_thread(run, "verify", "--json", "--relay", url)
    assert here.exit_code == there.exit_code == 0
    assert json.loads(here.stdout) == json.loads(there.stdout)
    said = (await asyncio.to_thread(run, "verify", "--relay", url)).stdout
    assert said.splitlines()[-1] == f"the store of the relay at {url} is sound"


async def test_a_viewer_has_nothing_verified(verifying: Client) -> None:
    assert (await send(verifying, "POST", "/verify", {}, **VIEWER))[0] == 403


async def test_where_no_relay_runs_it_says_what_to_do(client: Client) -> None:
    status, problem = await send(client, "POST", "/verify", {})
    assert (status, problem["detail"]) == (409, "no relay runs here that could verify its store: relay verify does")


class Looks:
    """Looks at a store that end when they are let."""

    def __init__(self) -> None:
        self.began, self.ends = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> bytes:
        self.began.set()
        await self.ends.wait()
        return b'{"error": "store-failed", "text": "it is gone"}'


async def test_a_second_look_meanwhile_is_refused_and_holds_up_no_other_act(
    application: web.Application,
    store: Archive,
    config: Config,
    aiohttp_client: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "MAX_LONG", 1)
    monkeypatch.setattr(acts, "PATIENCE", 60.0)
    looks = Looks()
    api = Api(Asking(store, lambda: config, verify=looks))
    app = web.Application(middlewares=application.middlewares)
    app.add_routes(api.routes(None))
    app.on_cleanup.append(api.close)
    client = await aiohttp_client(app)
    first = asyncio.create_task(send(client, "POST", "/verify", {}, Idempotency_Key="one"))
    await looks.began.wait()
    [running] = (await get(client, "/acts"))[1]["data"]
    status, problem = await send(client, "POST", "/verify", {})
    assert (status, problem["detail"]) == (409, f"another verify is under way: see the act {running['act']}")
    assert (await send(client, "POST", "/replays", {"all_dead": True}))[0] == 200
    looks.ends.set()
    await first
    looks.began.clear()
    await send(client, "POST", "/verify", {})
    assert looks.began.is_set()


async def test_a_look_is_in_the_audit_with_what_it_found(
    verifying: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acts, "PATIENCE", 60.0)
    assert (await send(verifying, "POST", "/verify", {"accept_loss": True}))[1]["sound"]
    found = await store.audit(limit=9)
    assert [(each.command, each.details, each.count) for each in found if each.command == "verify"] == [
        ("verify", {"sound": True}, 0)
    ]
    assert [each.who for each in found] == ["RELAY_ADMIN_TOKEN"]
