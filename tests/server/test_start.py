"""What a start finds in the store and respects before it sends anything."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from relay.daemon import running
from relay.delivery.breaker import Health
from relay.delivery.dispatch import Dispatcher
from relay.settings import Settings
from relay.store.contract import Act
from relay.store.sqlite import SqliteStore
from tests.server.conftest import OTHER_TOKEN, ROUTES, TOKEN


async def test_a_target_that_was_paused_before_is_paused_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    store = SqliteStore.open(tmp_path / "relay.db", now=now, emit=lambda _signal: None, failed=lambda: None)
    await store.pause("bot", Act(id="act-1", at=now, who="olga@host", command="pause"))
    await store.close()
    routes = tmp_path / "routes.yaml"
    nowhere = "http://127.0.0.1:9/in"
    routes.write_text(ROUTES.format(token=TOKEN, other=OTHER_TOKEN, bot=nowhere, dwh=nowhere))
    monkeypatch.setattr(Dispatcher, "run", lambda _self: asyncio.Event().wait())  # which would notice it, but later
    settings = Settings(config=routes, store=tmp_path / "relay.db", listen=("127.0.0.1", 0), admin=("127.0.0.1", 0))
    async with running(settings, emit=lambda _signal: None, registry=CollectorRegistry()) as relay:
        assert relay.dispatcher.health() == {"bot": Health.PAUSED, "dwh": Health.OK}
