"""A real store with something of everything, and the routes that filled it; no terminal."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.routes import config as routes_file
from relay.routes.config import Config
from relay.store.contract import Archive
from relay.store.records import AuditEntry
from relay.store.sqlite.store import SqliteStore
from tests.cli.conftest import NOON, SECRETS, fill
from tests.cli.conftest import folder as folder  # a fixture

BY = "olga@host"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[Archive]:
    opened = SqliteStore.open(folder / "relay.db", now=NOON, emit=lambda _signal: None, failed=lambda: None)
    await fill(opened)
    yield opened
    await opened.close()


@pytest.fixture
def config(folder: Path) -> Config:
    return routes_file.load(folder / "routes.yaml", SECRETS)


async def last(store: Archive) -> AuditEntry:
    [entry] = await store.audit(limit=1)
    return entry
