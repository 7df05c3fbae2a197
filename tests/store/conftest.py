"""The stores that the contract's suite runs on, and the values it calls them with.

A store joins with one file like `kind_sqlite.py`, which has the functions of `Kind`, and a line in `KINDS`.
"""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from relay.model import Delivered, Delivery, Event, Outcome, PlannedDelivery, Reason, RoutedEvent, Webhook
from relay.signals import Emit, Signal
from relay.store.contract import Archive
from relay.store.postgres.migrate import scripts
from relay.store.records import AuditEntry
from relay.store.url import PostgresUrl, SqliteUrl, StoreUrl
from tests.store import kind_postgres, kind_sqlite, kind_sqlite_many

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OK = Outcome(reason=Reason.OK, started_at=NOON, took=timedelta(milliseconds=12), status=200)
REFUSED = Outcome(
    reason=Reason.SERVER_ERROR, started_at=NOON, took=timedelta(milliseconds=3), status=503, detail="busy"
)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"

Reopen = Callable[[datetime], Archive]


class Kind(Protocol):
    """What the suite has to know of a store beside the contract."""

    def open_store(self, folder: Path, now: datetime, emit: Emit = ...) -> Archive:
        """Own the store that belongs to `folder`; made if there is none."""
        ...

    def take_over(self, folder: Path, now: datetime) -> Archive:
        """As `open_store`, under the same name, while the object of the owner before still lives."""
        ...

    async def join(self, folder: Path, now: datetime) -> Archive | None:
        """A further owner that lives beside those there are; None if the store refuses a second one."""
        ...

    async def lose_webhooks(self, folder: Path, now: datetime) -> Archive | None:
        """Own a store that lacks two webhooks that it acknowledged; None if a store of this kind cannot lose any."""
        ...

    def lose_answer(self, store: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        """The next call commits what it is to commit, and is told StoreBusy."""
        ...


KINDS: dict[str, Kind] = {"sqlite": kind_sqlite, "sqlite-many": kind_sqlite_many, "postgres": kind_postgres}
open_sqlite = kind_sqlite.open_store
OPENERS = {name: kind.open_store for name, kind in KINDS.items()}


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def kind(request: pytest.FixtureRequest) -> Kind:
    return started(request)


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS.keys())
def kind_of_all(request: pytest.FixtureRequest) -> Kind:
    """As `kind`, for all examples of a property."""
    return started(request)


def started(request: pytest.FixtureRequest) -> Kind:
    """The kind that is the fixture's parameter, with its server, if it needs one."""
    if request.param is kind_postgres:
        kind_postgres.servers.append(request.getfixturevalue("postgres"))
    return request.param


@pytest.fixture
def opener(kind: Kind, tmp_path: Path, signals: list[Signal]) -> Reopen:
    return lambda now: kind.open_store(tmp_path, now, signals.append)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> StoreUrl:
    """The URL of a store that nobody has opened: no file yet, or a database with our tables."""
    if request.param == "sqlite":
        return SqliteUrl(tmp_path / "relay.db")
    dsn = request.getfixturevalue("postgres_dsn")
    with psycopg.connect(dsn, autocommit=True) as connection:
        for script in scripts():
            connection.execute(f"{script.sql}\nupdate relay_meta set schema = {script.number}".encode())
    return PostgresUrl(dsn, shown="postgresql://…")


@pytest.fixture
def signals() -> list[Signal]:
    """What the store has emitted."""
    return []


@pytest.fixture
async def store(opener: Reopen) -> AsyncIterator[Archive]:
    opened = opener(NOON)
    yield opened
    await opened.close()


def webhook(number: int = 1, *, unparsed: str | None = None, after: timedelta = timedelta()) -> Webhook:
    return Webhook(
        id=f"webhook-{number:04}",
        source="crm",
        received_at=NOON + after,
        body=b"leads[add][0][id]=7",
        unparsed=unparsed,
    )


def routed(number: int, *planned: PlannedDelivery, lead: int = 7, after: timedelta = timedelta()) -> RoutedEvent:
    event = Event(
        id=f"event-{number:04}",
        source="crm",
        received_at=NOON + after,
        account={},
        entity="leads",
        action="add",
        data={"id": lead, "pipeline_id": 3},
    )
    return RoutedEvent(event=event, payload=b'{"n":%d,"data":{"pipeline_id":3}}' % number, planned=planned)


def to(target: str = "bot", *, lease: timedelta | None = None, key: str | None = None) -> PlannedDelivery:
    return PlannedDelivery(target=target, routes=("all",), lease=lease, key=key)


async def claim(store: Archive, target: str = "bot", *, limit: int = 10, now: datetime = NOON) -> list[Delivery]:
    return await store.claim(target, limit=limit, max_bytes=1_000_000, now=now, lease=MINUTE)


async def deliver(store: Archive, delivery: Delivery, *, now: datetime = NOON) -> bool:
    return await store.settle(delivery, OK, Delivered(), now=now)


def act(number: int = 1, *, at: datetime = NOON, command: str = "replay", **details: object) -> AuditEntry:
    return AuditEntry(id=f"act-{number:04}", at=at, who="olga@host", command=command, details=details)


def interrupted(folder: Path, *database: Path) -> list[Path]:
    """Folders with what kill -9 left of a start, at each of its statements; see `tests.store.interrupted`."""
    folder.mkdir()
    command = (sys.executable, "-m", "tests.store.interrupted", str(folder), *map(str, database))
    steps = int(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120).stdout)
    assert steps > 20
    return [folder / str(step) for step in range(1, steps + 1)]
