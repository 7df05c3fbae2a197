"""The API before a real store with something of everything, asked by HTTP as an operator or a viewer."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from prometheus_client import CollectorRegistry

from relay.admin.api.asking import Asking
from relay.admin.api.routes import Api
from relay.admin.app import admin
from relay.model import Secret
from relay.observe import EventStream
from relay.operations.access import Bearers
from relay.operations.tail import documents
from relay.routes.config import Config
from relay.signals import Reloaded
from relay.store.contract import Archive
from tests.cli.conftest import folder as folder
from tests.operations.conftest import config as config
from tests.operations.conftest import store as store

Client = TestClient[web.Request, web.Application]

OPERATOR = {"Authorization": "Bearer an-operator-0123456789"}
VIEWER = {"Authorization": "Bearer a-viewer-0123456789"}
BEARERS = Bearers(admin=Secret("an-operator-0123456789"), viewer=Secret("a-viewer-0123456789"))


async def ready() -> None:
    """Ready, and nothing to refresh."""


@pytest.fixture
def live() -> EventStream:
    return EventStream(lambda: datetime(2026, 11, 22, 12, 0, tzinfo=UTC), documents)


@pytest.fixture
def application(store: Archive, config: Config, live: EventStream) -> web.Application:
    return admin(
        registry=CollectorRegistry(),
        refresh=ready,
        unready=ready,
        store_unready=ready,
        reload=_reload,
        stream=live,
        api=Api(Asking(store, lambda: config)),
        emit=lambda _signal: None,
        bearers=BEARERS,
    )


async def _reload() -> Reloaded:
    return Reloaded(file="routes.yaml")


@pytest.fixture
async def client(
    application: web.Application, aiohttp_client: Callable[..., Awaitable[Client]]
) -> AsyncIterator[Client]:
    """A client that shows no token by itself."""
    yield await aiohttp_client(application)


async def get(client: Client, path: str, **more: Any) -> tuple[int, Any]:
    """Ask as an operator, unless `headers` say otherwise."""
    answer = await client.get(f"/api/v1{path}", **{"headers": OPERATOR, **more})
    return answer.status, await answer.json(content_type=None)


async def send(client: Client, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Act as an operator, unless `headers` say otherwise."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await client.request(method, f"/api/v1{path}", json=body, headers=OPERATOR | named)
    return answer.status, await answer.json(content_type=None)
