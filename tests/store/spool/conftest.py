"""A relay's store with its spool, before a shared store whose faults a test controls."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from uuid_utils import uuid7

from relay.model import Delivery, Retention
from relay.signals import Signal
from relay.store.records import AuditEntry, KeepResult
from relay.store.requests import KeepRequest, Windows
from relay.store.spool import forward
from relay.store.spool.store import SpoolingStore
from relay.store.sqlite.spool import SqliteSpool
from tests.store.conftest import MINUTE, routed, to, webhook
from tests.store.spool.shared import FakeShared

HEDGE = 0.3  # seconds: more than a commit takes on a busy machine


def audit(relay: str, now: datetime) -> AuditEntry:
    """Of a drain."""
    return AuditEntry(id=str(uuid7()), at=now, who="olga@host", command="spool drain", details={"relay": relay})


def request(number: int, *, key: str | None = None, window=None, lead: int = 0, **how: Any) -> KeepRequest:
    """A webhook with a body of its own, and one event that may be claimed at insert."""
    body = b"leads[add][0][id]=%d" % (lead or number)
    event = routed(number, to(lease=MINUTE, key=key), lead=lead or number)
    return KeepRequest(replace(webhook(number, **how), body=body), [event], None, Windows(window))


@dataclass
class Relay:
    """One life of a relay: its spool, its store, and the task that forwards."""

    folder: Path
    shared: FakeShared
    hedge: float = HEDGE
    late: list[Delivery] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    admits: bool = True
    replies: dict[str, KeepResult | Exception] = field(default_factory=dict)

    def begin(self) -> None:
        self.spool = SqliteSpool.own(self.folder / "spool.db", emit=self.signals.append, failed=lambda: None)
        self.store = SpoolingStore(
            self.shared,
            self.spool,
            emit=self.signals.append,
            late=self.late.extend if self.admits else None,
            hedge=self.hedge,
            hold=HEDGE,
        )
        self.tasks = [asyncio.create_task(each) for each in self.store.background(Retention)]

    def keep(self, *requests: KeepRequest) -> "asyncio.Future[list[KeepResult | Exception]]":
        done: asyncio.Future[list[KeepResult | Exception]] = asyncio.get_running_loop().create_future()

        def note(replies: list[KeepResult | Exception]) -> None:
            self.replies |= {each.webhook.id: reply for each, reply in zip(requests, replies, strict=True)}
            done.set_result(replies)

        self.store.keep_many(requests, note)
        return done

    stopped = False

    async def stop(self) -> None:
        """As a crash for what is in memory; the shared store lives on."""
        if self.stopped:
            return
        self.stopped = True
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.shared.drop()
        self.store._intake.unhold()
        await self.spool.close()

    async def again(self) -> "Relay":
        """The same relay, started anew."""
        await self.stop()
        after = Relay(self.folder, self.shared, self.hedge)
        after.begin()
        return after

    def lose_shared(self) -> None:
        """The server of the shared store is gone."""
        self.shared.away = True
        self.shared.drop()

    def of(self, kind: type) -> list[Any]:
        return [each for each in self.signals if isinstance(each, kind)]


async def until(true: Callable[[], object]) -> None:
    while not true():  # noqa: ASYNC110  it is asked of several threads
        await asyncio.sleep(0.005)


async def direct(relay: Relay) -> None:
    """Intake is direct, by a connection that lives."""
    await until(lambda: relay.shared.connected and relay.store.spool().direct)


def aside(folder: Path) -> list[str]:
    """The files that were set aside."""
    return sorted(each.name for each in folder.glob("*.damaged-*"))


async def held(folder: Path) -> list[str]:
    """The ids of webhooks in a spool that nobody owns."""
    spool = SqliteSpool.own(folder / "spool.db", emit=lambda _signal: None, failed=lambda: None)
    page = await spool.oldest()
    await spool.close()
    return [each.id for each in page.webhooks]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "AGAIN", 0.01)
    monkeypatch.setattr(forward, "IDLE", 0.05)


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[FakeShared]:
    made = FakeShared(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def relay(tmp_path: Path, shared: FakeShared) -> AsyncIterator[Relay]:
    """A relay whose intake is direct."""
    made = Relay(tmp_path, shared)
    made.begin()
    await direct(made)
    yield made
    await made.stop()
