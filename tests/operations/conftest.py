"""A real store with something of everything, and the routes that filled it; no terminal."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.errors import RoutesInvalid
from relay.operations.asker import Asker, Role
from relay.operations.desk import Desk
from relay.routes import config as routes_file
from relay.routes.config import Config
from relay.store.contract import Archive
from relay.store.records import AuditEntry
from relay.store.sqlite.store import SqliteStore
from tests.cli.conftest import NOON, SECRETS, fill
from tests.cli.conftest import folder as folder  # a fixture

BY = "olga@host"
OPERATOR = Asker(name=BY, role=Role.OPERATOR, payloads=True)
ANN = Asker(name="ann@host", role=Role.OPERATOR, payloads=True)
VIEWER = Asker(name="ivan", role=Role.VIEWER, payloads=False)


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[Archive]:
    """It is NOON by its clock."""
    opened = SqliteStore.open(
        folder / "relay.db",
        now=NOON,
        emit=lambda _signal: None,
        failed=lambda: None,
        wall=NOON.timestamp,
        steady=lambda: 0.0,
    )
    await fill(opened)
    yield opened
    await opened.close()


@pytest.fixture
def config(folder: Path) -> Config:
    return routes_file.load(folder / "routes.yaml", SECRETS)


@pytest.fixture
def desk(store: Archive, config: Config) -> Desk:
    """The desk of an operator."""
    return Desk(store, OPERATOR, config=lambda: config)


@pytest.fixture
def viewers_desk(store: Archive, config: Config) -> Desk:
    """The desk of a viewer who sees no payloads."""
    return Desk(store, VIEWER, config=lambda: config)


def no_config() -> Config:
    """What a desk has where the routes file cannot be used."""
    raise RoutesInvalid("routes.yaml", [])


async def last(store: Archive) -> AuditEntry:
    [entry] = await store.audit(limit=1)
    return entry
