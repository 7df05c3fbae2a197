"""A server that must not be used: a relay refuses it when it asks whether it is ready, and works on without it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from relay.errors import ConfigurationError, StoreBusy, StoreUnsafe
from relay.model import Retention
from relay.store.postgres import store as postgres_store
from relay.store.postgres.store import PostgresStore
from relay.store.times import utc_now
from tests.e2e.processes import until
from tests.postgres import Cluster

WHY = "PostgreSQL may lose what it has committed: fsync=off"


def opened(dsn: str) -> PostgresStore:
    return PostgresStore.open(
        dsn, name="a", emit=lambda _signal: None, disowned=lambda: None, clock_set=lambda _by: None
    )


VERBS: dict[str, Callable[[PostgresStore], Awaitable[Any]]] = {
    "due": lambda store: store.due(["bot"]),
    "claim": lambda store: store.claim("bot", limit=1, max_bytes=1, now=utc_now(), lease=timedelta(1)),
    "release": lambda store: store.release([], now=utc_now()),
    "publish": lambda store: store.publish("files", {}, now=utc_now()),
    "publish_health": lambda store: store.publish_health({}),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_what_a_running_relay_asks_is_busy_as_if_the_server_were_away(postgres_dsn: str, verb: str) -> None:
    store = opened(postgres_dsn)  # the tests' own server has no fsync
    with pytest.raises(StoreBusy, match=WHY):
        await VERBS[verb](store)
    with pytest.raises(StoreUnsafe, match=WHY):
        await store.ready()
    with pytest.raises(StoreBusy, match=WHY):
        await VERBS[verb](store)
    await store.close()


async def test_a_relay_without_rights_works_on_too(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_transaction: object) -> None:
        raise ConfigurationError("the role may make no tables: relay migrate --sql")

    monkeypatch.setattr(postgres_store, "migrate", refuse)
    store = PostgresStore(postgres_dsn, name="a", emit=lambda _signal: None, durable=False)
    with pytest.raises(StoreBusy, match="may make no tables"):
        await store.due(["bot"])
    with pytest.raises(ConfigurationError, match="may make no tables"):
        await store.ready()
    await store.close()


async def test_it_registers_once_the_server_is_mended(
    postgres: Cluster, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.store.postgres.membership.EVERY", 0.05)
    store = opened(postgres_dsn)
    running = [asyncio.create_task(each) for each in store.background(Retention)]
    await asyncio.sleep(0.5)
    assert not [each for each in running if each.done()]
    await asyncio.to_thread(postgres.configure, fsync="on", full_page_writes="on")
    try:
        await until(lambda: store.registered)
    finally:
        await asyncio.to_thread(postgres.configure, fsync="off", full_page_writes="off")
        for each in running:
            each.cancel()
        await store.close()
