"""A private listener before a relay that the test plays."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from prometheus_client import CollectorRegistry, Gauge

from relay.admin.app import admin
from relay.model import Secret
from relay.observe import EventStream
from relay.operations.access import Bearers
from relay.operations.tail import documents
from relay.signals import Reloaded, Signal

Client = TestClient[web.Request, web.Application]

PUBLIC_PATHS = ["/livez", "/readyz", "/readyz/store"]
PATHS = [*(("GET", path) for path in ("/metrics", *PUBLIC_PATHS, "/-/tail", "/-/forward")), ("POST", "/-/reload")]
BEARER = {"Authorization": "Bearer a-long-admin-token"}
ADMIN = Bearers(admin=Secret("a-long-admin-token"))


class Relay:
    """What stands behind the listener; its answers are set by the test."""

    def __init__(self, connect: Callable[[web.Application], Awaitable[Client]]) -> None:
        self.connect = connect
        self.registry = CollectorRegistry()
        self.backlog = Gauge("relay_backlog", "As the store knows it.", registry=self.registry)
        self.refreshes = 0
        self.reloads = 0
        self.reason: str | None = None
        self.store_reason: str | None = None
        self.problems: list[str] = []
        self.signals: list[Signal] = []
        self.live = EventStream(lambda: datetime(2026, 11, 22, 12, 0, tzinfo=UTC), documents)

    async def refresh(self) -> None:
        self.refreshes += 1
        self.backlog.set(self.refreshes)

    async def ready(self) -> str | None:
        return self.reason

    async def store_ready(self) -> str | None:
        return self.store_reason or self.reason

    async def reload(self) -> Reloaded:
        self.reloads += 1
        return Reloaded(file="routes.yaml", problems=self.problems)

    async def client(self, **more: Any) -> Client:
        asked = {
            "refresh": self.refresh,
            "unready": self.ready,
            "store_unready": self.store_ready,
            "reload": self.reload,
            "stream": self.live,
            "targets": lambda: ["warehouse"],
        } | more
        return await self.connect(admin(registry=self.registry, emit=self.signals.append, **asked))


@pytest.fixture
def relay(aiohttp_client: Callable[[web.Application], Awaitable[Client]]) -> Relay:
    return Relay(aiohttp_client)


async def hang() -> None:
    await asyncio.Event().wait()
