"""What a start finds in the store and respects before it sends anything."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from relay.daemon import wiring
from relay.daemon.settings import Settings
from relay.daemon.wiring import running, url
from relay.delivery.dispatcher import Dispatcher
from relay.errors import StoreBusy
from relay.model import Health, Secret
from relay.signals import Notice, Signal, WebhookRejected
from relay.store.contract import OwnedStore
from relay.store.open import SqliteUrl, StoreUrl, open_store
from relay.store.records import AuditEntry, Due, HealthReport
from relay.store.sqlite.store import SqliteStore
from tests.e2e.processes import until
from tests.scene import OTHER_TOKEN, ROUTES, TOKEN


async def test_a_target_that_was_paused_before_is_paused_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    store = SqliteStore.open(tmp_path / "relay.db", now=now, emit=lambda _signal: None, failed=lambda: None)
    await store.pause("bot", AuditEntry(id="act-1", at=now, who="olga@host", command="pause"))
    await store.close()
    routes = tmp_path / "routes.yaml"
    nowhere = "http://127.0.0.1:9/in"
    routes.write_text(ROUTES.format(token=TOKEN, other=OTHER_TOKEN, bot=nowhere, dwh=nowhere))
    monkeypatch.setattr(Dispatcher, "run", lambda _self: asyncio.Event().wait())  # which would notice it, but later
    settings = Settings(
        config=routes, store=SqliteUrl(tmp_path / "relay.db"), listen=("127.0.0.1", 0), admin=("127.0.0.1", 0)
    )
    async with running(settings, emit=lambda _signal: None, registry=CollectorRegistry()) as relay:
        assert relay.dispatcher.health() == {"bot": Health.PAUSED, "dwh": Health.OK}


async def test_templates_that_could_not_be_rendered_before_hold_their_target_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    store = SqliteStore.open(tmp_path / "relay.db", now=now, emit=lambda _signal: None, failed=lambda: None)
    unrendered = HealthReport(health=Health.OPEN, since=now, as_of=now, error="template body: too large")
    away = replace(unrendered, error="connect: refused")
    await store.publish_health({"bot": unrendered, "dwh": away, "gone": unrendered})
    await store.close()
    routes = tmp_path / "routes.yaml"
    nowhere = "http://127.0.0.1:9/in"
    routes.write_text(ROUTES.format(token=TOKEN, other=OTHER_TOKEN, bot=nowhere, dwh=nowhere))
    monkeypatch.setattr(Dispatcher, "run", lambda _self: asyncio.Event().wait())
    settings = Settings(
        config=routes, store=SqliteUrl(tmp_path / "relay.db"), listen=("127.0.0.1", 0), admin=("127.0.0.1", 0)
    )
    async with running(settings, emit=lambda _signal: None, registry=CollectorRegistry()) as relay:
        assert relay.dispatcher.health() == {"bot": Health.OPEN, "dwh": Health.OK}


async def test_while_the_store_cannot_tell_which_targets_are_paused_nothing_is_sent_to_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when PostgreSQL is away at the start: it may come back, and a claim be made, before the next poll."""
    due, away = SqliteStore.due, True

    async def asked(store: SqliteStore, targets: Sequence[str]) -> Due:
        if away:
            raise StoreBusy("PostgreSQL is away")
        return await due(store, targets)

    monkeypatch.setattr(SqliteStore, "due", asked)
    routes = tmp_path / "routes.yaml"
    nowhere = "http://127.0.0.1:9/in"
    routes.write_text(ROUTES.format(token=TOKEN, other=OTHER_TOKEN, bot=nowhere, dwh=nowhere))
    settings = Settings(
        config=routes, store=SqliteUrl(tmp_path / "relay.db"), listen=("127.0.0.1", 0), admin=("127.0.0.1", 0)
    )
    async with running(settings, emit=lambda _signal: None, registry=CollectorRegistry()) as relay:
        await asyncio.sleep(0.1)
        assert relay.dispatcher.health() == {"bot": Health.PAUSED, "dwh": Health.PAUSED}
        away = False
        await until(lambda: relay.dispatcher.health() == {"bot": Health.OK, "dwh": Health.OK})


async def test_a_store_that_is_disowned_while_it_is_opened_does_not_end_the_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was suspended right after it had registered finds itself dead at its first heartbeat."""

    async def open_slowly(
        url: StoreUrl, *, disowned: Callable[[], object], clock_set: Callable[[timedelta], object], **how: Any
    ) -> OwnedStore:
        disowned()
        clock_set(timedelta(minutes=10))
        return await open_store(url, disowned=disowned, clock_set=clock_set, **how)

    monkeypatch.setattr(wiring, "open_store", open_slowly)
    routes = tmp_path / "routes.yaml"
    nowhere = "http://127.0.0.1:9/in"
    routes.write_text(ROUTES.format(token=TOKEN, other=OTHER_TOKEN, bot=nowhere, dwh=nowhere))
    settings = Settings(
        config=routes, store=SqliteUrl(tmp_path / "relay.db"), listen=("127.0.0.1", 0), admin=("127.0.0.1", 0)
    )
    async with running(settings, emit=lambda _signal: None, registry=CollectorRegistry()) as relay:
        assert relay.dispatcher.health() == {"bot": Health.OK, "dwh": Health.OK}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_listening_everywhere_is_for_both_families(host: str, tmp_path: Path) -> None:
    routes = tmp_path / "routes.yaml"
    nowhere = "http://127.0.0.1:9/in"
    routes.write_text(ROUTES.format(token=TOKEN, other=OTHER_TOKEN, bot=nowhere, dwh=nowhere))
    settings = Settings(
        config=routes,
        store=SqliteUrl(tmp_path / "relay.db"),
        listen=("::", 0),
        admin=("::", 0),
        admin_token=Secret("0123456789abcdefghij"),
    )
    facts: list[Signal] = []
    starting = running(settings, emit=facts.append, registry=CollectorRegistry())
    async with starting as relay, aiohttp.ClientSession() as session:
        async with session.get(url((host, relay.admin_listening[1])) + "/readyz") as answer:
            assert answer.status == 200
        async with session.post(url((host, relay.listening[1])) + "/hooks/crm/wrong", data=b"") as answer:
            assert answer.status == 404
    assert [each.remote for each in facts if isinstance(each, WebhookRejected)] == [host], "not ::ffff:127.0.0.1"


@pytest.mark.parametrize(("more", "noted"), [("", 1), (", proxy: '${HTTPS_PROXY}'", 0)])
async def test_a_proxy_of_the_environment_that_no_target_has_is_logged_at_the_start(
    more: str, noted: int, tmp_path: Path
) -> None:
    nowhere = "http://127.0.0.1:9/in"
    routes = tmp_path / "routes.yaml"
    text = ROUTES.format(token=TOKEN, other=OTHER_TOKEN, bot=nowhere, dwh=nowhere)
    routes.write_text(text.replace('in"}', f'in"{more}}}', 1))
    settings = Settings(
        config=routes,
        store=SqliteUrl(tmp_path / "relay.db"),
        listen=("127.0.0.1", 0),
        admin=("127.0.0.1", 0),
        environment={"HTTPS_PROXY": "http://u:canary@127.0.0.1:9"},
    )
    signals: list[Signal] = []
    async with running(settings, emit=signals.append, registry=CollectorRegistry()):
        notices = [each for each in signals if isinstance(each, Notice) and "proxy" in each.text]
    assert len(notices) == noted
    assert "canary" not in repr(notices)
